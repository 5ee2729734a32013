"""Whether a profile has what its detectors read."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from driftloop.settings.detectors import BaseDetector


def misread(
    detectors: Sequence[BaseDetector], task: str, numeric: Sequence[str], categorical: Sequence[str]
) -> list[str]:
    """What of a profile the detectors read that it does not have, as rules; empty for none.

    Args:
        detectors: The detectors.
        task: The profile's task.
        numeric: Its numeric features.
        categorical: Its other features.
    """
    names = [detector.name for detector in detectors]
    faults = [
        f"each detector reads a value once; twice: {name}"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    for detector in detectors:
        place = detector.name
        feature = detector.on.removeprefix("x.")
        if detector.on == "score" and detector.reads == "unit" and task == "regression":
            faults.append(f"{place} reads numbers from 0 to 1; a regression's score has others")
        elif not detector.on.startswith("x.") or feature in numeric:
            continue
        elif feature in categorical:
            faults.append(f"{place} reads a number; {feature} is categorical")
        else:
            close = difflib.get_close_matches(feature, numeric, n=1, cutoff=0.5)
            known = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(numeric)}"
            known = known if numeric else "features.numeric is empty"
            faults.append(f"{place} reads no known feature ({known})")
    return faults
