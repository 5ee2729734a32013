"""Effect sizes: how large a difference is, without saying how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from driftloop.criteria.columns import prepared
from driftloop.criteria.contract import MISSING, Family, Finding, Part, Sample
from driftloop.criteria.describe import Description
from driftloop.statistics import effects
from driftloop.statistics.categorical import category_counts
from driftloop.statistics.results import MIN_VALUES, TestResult

Measure = Callable[..., npt.NDArray[np.float64]]


class Effect:
    """An effect size of every feature; has no p-value.

    Args:
        name: As registered.
        measure: Of the numeric columns, (n, d) and (m, d), gives (d,).
        of_counts: The same of the counts of one column's categories; None leaves them out.
    """

    family: ClassVar[Family] = "features"

    def __init__(self, name: str, measure: Measure, of_counts: Measure | None = None) -> None:
        self.name = name
        self._measure = measure
        self._of_counts = of_counts
        parts: tuple[Part, ...] = ("x",) if of_counts is None else ("x", "codes")
        self.needs: frozenset[Part] = frozenset(parts)

    def evaluate(self, window: Sample, reference: Sample, seed: int) -> list[Finding]:  # noqa: ARG002  # nothing is drawn
        """One finding a feature, the numeric ones first."""
        out: list[Finding] = []
        if window.x is not None and reference.x is not None and window.x.shape[1]:
            values = self._measure(prepared(window), prepared(reference))
            counts = np.isfinite(window.x).sum(axis=0), np.isfinite(reference.x).sum(axis=0)
            out += [
                Finding(_effect(values[j], counts[0][j], counts[1][j]), name)
                for j, name in enumerate(window.names)
            ]
        if self._of_counts and window.codes is not None and reference.codes is not None:
            for j, name in enumerate(window.code_names):
                new, old = (
                    side[:, j][side[:, j] != MISSING].tolist()
                    for side in (window.codes, reference.codes)
                )
                value = math.nan
                if new and old:
                    both = category_counts(new, old)
                    value = float(self._of_counts(both[0][None, :], both[1][None, :])[0])
                out.append(Finding(_effect(value, len(new), len(old)), name))
        return out


def _effect(value: float, n: int, m: int) -> TestResult:
    if min(n, m) < MIN_VALUES:  # an effect votes by itself: it must not be made of two records
        value = math.nan
    return TestResult(
        statistic=math.nan,
        p_value=math.nan,
        effect=float(value),
        n=int(n),
        n_reference=int(m),
        n_effective=float(n),
        n_effective_reference=float(m),
        reason="" if not math.isnan(value) else "too few values, or nothing varies",
    )


def _describe(
    name: str,
    measures: tuple[Measure, Measure | None],
    finds: str,
    formula: str,
    source: str,
    floor: float,
) -> Description:
    return Description(
        partial(Effect, name, *measures),
        "features",
        finds,
        formula,
        source,
        calibrated=False,
        floor=floor,
    )


DESCRIPTIONS = {
    "psi": _describe(
        "psi",
        (effects.psi, effects.psi_of_counts),
        "other shares of ten quantile bins, or of the categories",
        "Σ (p - q) ln(p / q), empty bins smoothed",
        "Jeffreys (1946)",
        0.25,
    ),
    "jensen-shannon": _describe(
        "jensen-shannon",
        (effects.jensen_shannon, effects.jensen_shannon_of_counts),
        "as psi, in [0, 1]",
        "√JSD in base 2, empty bins smoothed",
        "Endres, Schindelin (2003)",
        0.21,  # a small shift with PSI = .25 has this distance, and the next one's
    ),
    "hellinger": _describe(
        "hellinger",
        (effects.hellinger, effects.hellinger_of_counts),
        "as psi, in [0, 1]",
        "√(½ Σ (√p - √q)²), empty bins smoothed",
        "Hellinger (1909)",
        0.18,
    ),
    "wasserstein": _describe(
        "wasserstein",
        (effects.wasserstein, None),
        "how far values have moved, in standard deviations",
        "∫ |F - G| dx / deviation of the reference",
        "Kantorovich (1942)",
        0.25,
    ),
    "cohens-d": _describe(
        "cohens-d",
        (effects.cohens_d, None),
        "how far the mean has moved",
        "difference of means / pooled deviation",
        "Cohen (1988)",
        0.25,
    ),
}
