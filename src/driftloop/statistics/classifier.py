"""The classifier two-sample test: can a classifier tell the window from its reference?

Sizes as measured, and what a window costs: ``docs/criteria.md``.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.autocorrelation import column_inflation
from driftloop.statistics.multivariate import MAX_RECORDS, prepare
from driftloop.statistics.results import MIN_EFFECTIVE, MIN_VALUES, TestResult, no_verdict
from driftloop.statistics.univariate import DEPENDENCES

Array = npt.NDArray[np.float64]

GAP = 10
"""Records left out before each part when records are dependent."""

_STEPS = 8  # Newton steps; the ridge makes them converge


def classifier_test(
    window: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    folds: int = 5,
    ridge: float = 5.0,
    dependence: str = "none",
    max_records: int = MAX_RECORDS,
) -> TestResult:
    """Test one joint distribution by a classifier's AUC on later records (Lopez-Paz, Oquab 2017).

    Both samples are cut into `folds` contiguous parts. A ridge logistic regression on the
    standardised columns and their squares is fitted on the parts before the i-th and scores the
    records of the i-th, i = 2, 3, …. The Mann-Whitney statistics U of the parts are added up. Given
    the past, each has under the null hypothesis the mean n m / 2 and the variance
    n m (n + m + 1) / 12 of its part (less ties): their sum is a martingale, and its z normal.
    (Ordinary cross-fitting is not: two parts that train each other's models agree twice, and its
    variance is about double; it rejected 11 % at .05.) One-sided: a classifier worse than chance is
    no evidence. Nothing is random.

    Args:
        window: (n, d) records in their order; see `multivariate.prepare` for gaps and scale.
        reference: (m, d).
        folds: ≥ 2; less where a part would hold fewer than `MIN_VALUES` records of a side.
        ridge: Weight of |coefficients|² / 2 in the loss, > 0.
        dependence: ``ar`` inflates each side's part of the variance by the k of its ranks
            (`autocorrelation.column_inflation`), takes Student's law with the effective sizes, and
            leaves `GAP` records out before each part.
        max_records: Records a side that are used.

    Returns:
        `statistic` is z, `effect` 2 AUC - 1, in [-1, 1], 0 for no difference. No verdict with fewer
        than 2 `MIN_VALUES` records in a sample, with fewer than `MIN_EFFECTIVE` effective ones
        when k > 1, or when nothing varies.

    Raises:
        SettingsError: Columns differ, an unknown name, or a number below its least.
    """
    faults = []
    if folds < 2:
        faults.append(Fault("folds", str(folds), "must be at least 2"))
    if not ridge > 0.0:
        faults.append(Fault("ridge", str(ridge), "must be above 0"))
    if dependence not in DEPENDENCES:
        rule = f"must be one of {', '.join(DEPENDENCES)}"
        faults.append(Fault("dependence", repr(dependence), rule))
    if faults:
        raise SettingsError(faults)
    pair = prepare(window, reference, max_records)
    n, m = len(pair.window), len(pair.reference)
    folds = min(folds, min(n, m) // MIN_VALUES)
    if pair.reason or folds < 2:
        reason = pair.reason or f"fewer than {2 * MIN_VALUES} records"
        return no_verdict(reason, n=n, n_reference=m)
    gap = GAP if dependence == "ar" else 0
    parts = _forward(_terms(pair.window), _terms(pair.reference), folds, ridge, gap)
    k = (1.0, 1.0)
    if dependence == "ar":
        k = _inflation([part.ranks for part in parts]), _inflation([part.own for part in parts])
    u = sum(part.u for part in parts)
    centre = sum(part.n * part.m for part in parts) / 2.0
    variance = sum(part.variance(*k) for part in parts)
    n_effective, m_effective = n / k[0], m / k[1]
    result = partial(
        TestResult,
        effect=u / centre - 1.0,
        n=n,
        n_reference=m,
        n_effective=n_effective,
        n_effective_reference=m_effective,
    )
    if max(k) > 1.0 and min(n_effective, m_effective) < MIN_EFFECTIVE:
        reason = f"fewer than {MIN_EFFECTIVE:.0f} effective records"
        return result(statistic=math.nan, p_value=math.nan, reason=reason)
    if variance <= 0.0:
        return result(statistic=math.nan, p_value=math.nan, reason="all scores are equal")
    z = (u - centre) / math.sqrt(variance)
    freedom = n_effective + m_effective - 2.0
    return result(statistic=z, p_value=float(special.stdtr(freedom, -z)))


class _Part(NamedTuple):
    """One part's outcome: U, sizes, tie correction, and each side's ranks in the other."""

    u: float
    n: int
    m: int
    tied: float
    ranks: Array
    own: Array

    def variance(self, k: float, k_reference: float) -> float:
        """Return the variance of U if both sides' records are worth n / k and m / k."""
        n, m = self.n, self.m
        return n * m * (m * k + n * k_reference + 1.0 - self.tied) / 12.0


def _inflation(parts: list[Array]) -> float:
    """Return k of a series of ranks; a part's own mean, which drift moves, is removed."""
    series = np.concatenate([part - part.mean() for part in parts])
    return float(column_inflation(series[None, :])[0])


def _terms(records: Array) -> Array:
    """Return a constant, the columns and their squares, (n, 1 + 2 d)."""
    return np.hstack([np.ones((len(records), 1)), records, np.minimum(records**2, 100.0) - 1.0])


def _forward(new: Array, old: Array, folds: int, ridge: float, gap: int) -> list[_Part]:
    """Return the outcome of every part but the first."""
    parts = np.array_split(np.arange(len(new)), folds), np.array_split(np.arange(len(old)), folds)
    outcomes = []
    for a, b in list(zip(*parts, strict=True))[1:]:
        past = max(int(a[0]) - gap, MIN_VALUES), max(int(b[0]) - gap, MIN_VALUES)
        x = np.vstack([new[: past[0]], old[: past[1]]])
        y = np.zeros(len(x))
        y[: past[0]] = 1.0
        coefficients = _logistic(x, y, ridge)
        held, own = new[a] @ coefficients, old[b] @ coefficients
        pooled = np.sort(np.concatenate([held, own]))
        _, ties = np.unique(pooled, return_counts=True)
        n, m = len(a), len(b)
        ranks = _ranks(held, np.sort(own))
        tied = float((ties**3.0 - ties).sum()) / ((n + m) * (n + m - 1.0))
        outcomes.append(_Part(float(ranks.sum()), n, m, tied, ranks, _ranks(own, np.sort(held))))
    return outcomes


def _ranks(values: Array, ordered: Array) -> Array:
    """Return how many of the ordered values lie below each value; equal ones count half."""
    ranks: Array = (ordered.searchsorted(values) + ordered.searchsorted(values, "right")) / 2.0
    return ranks


@np.errstate(all="ignore")
def _logistic(x: Array, y: Array, ridge: float) -> Array:
    """Return coefficients of a ridge logistic regression by Newton's method; x[:, 0] is 1."""
    penalty = np.full(x.shape[1], ridge)
    penalty[0] = 1e-6
    share = y.mean()
    coefficients = np.zeros(x.shape[1])
    coefficients[0] = math.log(share / (1.0 - share))
    for _ in range(_STEPS):
        p = special.expit(x @ coefficients)
        weights = np.maximum(p * (1.0 - p), 1e-6)
        gradient = x.T @ (y - p) - penalty * coefficients
        hessian = (x * weights[:, None]).T @ x
        hessian.flat[:: len(penalty) + 1] += penalty
        step = linalg.solve(hessian, gradient, assume_a="pos", check_finite=False)
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-6:
            break
    return coefficients
