"""River's incremental detectors on undisturbed losses, and on losses that rise."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftloop.detection.detectors import DETECTORS, make_detector
from driftloop.detection.signals import LargeLoss
from experiments._looks import generator
from experiments._losses import DAY, Array, Noise

ON_LOSS = ("adwin", "page_hinkley", "kswin")
SLOW = {"kswin": 0.1}
"""Share of the records that a slow one is given."""


def readable(kind: str, losses: Array) -> Array:
    """What a detector reads of losses: themselves, or whether they are large."""
    return losses if kind in ON_LOSS else LargeLoss().of(losses)


def false_alarms(noise: Noise, *, streams: int, looks: int, seed: int) -> dict[str, Any]:
    """Alarms of each detector on undisturbed streams, and the stream-years watched."""
    out = {}
    for kind in DETECTORS:
        records = int(looks * DAY * SLOW.get(kind, 1.0))
        alarms = 0
        for index in range(streams):
            losses = noise.losses(generator(seed, noise, index), records)
            alarms += len(make_detector(kind).update_many(readable(kind, losses)))
        out[kind] = {"alarms": alarms, "years": streams * records / DAY / 365.25}
    return out


def found(
    noise: Noise, *, shift: float, streams: int, before: int, after: int, seed: int
) -> dict[str, list[float]]:
    """Days from a rise to the first alarm after it, a stream; inf: none."""
    out: dict[str, list[float]] = {}
    for kind in DETECTORS:
        delays = []
        for index in range(max(int(streams * (0.3 if kind in SLOW else 1.0)), 1)):
            losses = noise.losses(generator(seed, noise, index), (before + after) * DAY)
            losses[before * DAY :] += shift
            signals = np.array(make_detector(kind).update_many(readable(kind, losses)))
            later = signals[signals >= before * DAY] if len(signals) else signals
            delays.append(float((later[0] - before * DAY + 1) / DAY) if len(later) else np.inf)
        out[kind] = delays
    return out
