"""One p-value, or one score, from the p-values of several criteria.

Which rules keep their level, and how they act (rejections at a nominal .05 of K = 8 true
hypotheses, 20,000 runs; one-sided normal statistics with the correlation r between all of them;
power at r = 0: 4 of 8 shifted by 2 standard deviations, 1 of 8 shifted by 4):

===================  ==============  =====  ======  =======  ======  ======
rule                 dependence      r = 0  r = .5  r = .95  4 by 2  1 by 4
===================  ==============  =====  ======  =======  ======  ======
min                  any             .049   .036    .013     .778    .935
partial conj. r = 2  any             .002   .009    .010     .407    .044
partial conj. r = 4  any             .000   .002    .009     .025    .000
partial conj. r = 8  any             .000   .000    .022     .000    .000
harmonic_bound       any             .009   .011    .009     .528    .829
twice_mean           any             .000   .001    .020     .000    .000
cauchy               many, small p   .052   .063    .052     .855    .935
harmonic_mean        many, small p   .050   .050    .042     .840    .934
fisher               independent     .050   .159    .194     .942    .819
stouffer             independent     .051   .218    .281     .881    .409
===================  ==============  =====  ======  =======  ======  ======

Criteria on the same window share its records: Fisher and Stouffer are then wrong by a factor of
three to six.

Every rule leaves out what is no p-value in [0, 1] (nan: no verdict); K counts the rest, and without
any the result is nan.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from driftloop.errors import Fault, SettingsError

Array = npt.NDArray[np.float64]

CAUCHY_CAP = 0.99
"""The Cauchy rule reads larger p-values as this: a discrete test's p = 1 would outweigh all."""

_TINY = 1e-300


def partial_conjunction(p_values: npt.ArrayLike, r: int) -> float:
    """Return min(1, (K - r + 1) p₍ᵣ₎), the p-value against 'fewer than r alternatives hold'.

    Valid under any dependence (Benjamini, Heller 2008). r = 1 is K times the smallest
    (Bonferroni's OR), r = K the largest (AND). nan when r > K: so few verdicts cannot be r votes.

    Raises:
        SettingsError: r is below 1.

    >>> partial_conjunction([0.01, 0.2, 0.02, float("nan")], r=2)
    0.04
    """
    if r < 1:
        raise SettingsError([Fault("r", str(r), "must be at least 1")])
    p = np.sort(_verdicts(p_values))
    return min((len(p) - r + 1) * float(p[r - 1]), 1.0) if r <= len(p) else math.nan


def bonferroni_min(p_values: npt.ArrayLike) -> float:
    """Return min(1, K min p). Valid under any dependence."""
    return partial_conjunction(p_values, 1)


def fisher(p_values: npt.ArrayLike) -> float:
    """Return P(χ² with 2K degrees of freedom ≥ -2 Σ ln p) (Fisher 1932). Valid if independent."""
    p = _verdicts(p_values)
    if not len(p):
        return math.nan
    statistic = -2.0 * float(np.log(np.maximum(p, _TINY)).sum())
    return float(special.chdtrc(2 * len(p), statistic))


def stouffer(p_values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Return Φ(Σ w Φ⁻¹(p) / √Σ w²) (Stouffer 1949; weights: Lipták 1958). Valid if independent.

    p is held within [1e-300, 1 - 1e-16], so that 0 and 1 do not cancel to nan.
    """
    p, w = _weighted(p_values, weights)
    if not len(p):
        return math.nan
    scores = special.ndtri(np.clip(p, _TINY, 1.0 - 1e-16))
    return float(special.ndtr(float(w @ scores) / math.sqrt(float(w @ w))))


def cauchy(p_values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Return the tail of the standard Cauchy law at Σ w tan((1/2 - p) π) / Σ w (Liu, Xie 2020).

    Known as ACAT. Its level holds in the limit of small levels for many forms of dependence
    (pairwise normal statistics), not under any; p above `CAUCHY_CAP` are read as the cap.
    """
    p, w = _weighted(p_values, weights)
    if not len(p):
        return math.nan
    p = np.clip(p, _TINY, CAUCHY_CAP)
    # tan((1/2 - p) π) = cot(π p); the tail at t is arctan2(1, t) / π, accurate for large t too.
    statistic = float(w @ (1.0 / np.tan(np.pi * p))) / float(w.sum())
    return math.atan2(1.0, statistic) / math.pi


def harmonic_mean(p_values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Return the asymptotically exact p-value of the harmonic mean (Wilson 2019).

    With H = Σ w / Σ (w / p), 1/H follows a Landau law, location ln K + .874, scale π/2, for many
    independent uniform p-values; robust to dependence at small levels, not valid under any.
    """
    p, w = _weighted(p_values, weights)
    if not len(p):
        return math.nan
    if len(p) == 1:
        return float(p[0])
    scale = math.pi / 2.0
    location = math.log(len(p)) + 1.0 - float(np.euler_gamma) + math.log(scale)
    return float(stats.landau.sf(_inverse_mean(p, w), loc=location, scale=scale))


def harmonic_bound(p_values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Return min(1, e ln K · H), H the harmonic mean; 2 H for K = 2. Valid under any dependence.

    Vovk, Wang (2020); Wilson's own approximation is the smaller `harmonic_mean`.
    """
    p, w = _weighted(p_values, weights)
    if not len(p):
        return math.nan
    factors = {1: 1.0, 2: 2.0}
    factor = factors.get(len(p), math.e * math.log(len(p)))
    return min(factor / _inverse_mean(p, w), 1.0)


def twice_mean(p_values: npt.ArrayLike) -> float:
    """Return min(1, 2 · mean p), p itself for K = 1. Valid under any dependence (Rüschendorf 1982).

    Also Vovk, Wang (2020). It needs all criteria to agree: one p of 1 of two prevents a rejection.
    """
    p = _verdicts(p_values)
    if len(p) < 2:
        return float(p[0]) if len(p) else math.nan
    return min(2.0 * float(p.mean()), 1.0)


def weighted_vote(
    p_values: npt.ArrayLike, level: float, weights: npt.ArrayLike | None = None
) -> float:
    """Return the share of the votes, Σ w over p < level / Σ w over verdicts, in [0, 1].

    The baseline that others use. It is no p-value: its rate of false alarms is unknown.

    >>> weighted_vote([0.01, 0.2, float("nan")], level=0.05, weights=[3.0, 1.0, 5.0])
    0.75
    """
    p, w = _weighted(p_values, weights)
    return float(w[p < level].sum() / w.sum()) if len(p) else math.nan


def combine(
    rule: str,
    p_values: npt.ArrayLike,
    *,
    r: int | None = None,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Return the combined p-value, in [0, 1], nan without a verdict.

    Args:
        rule: One of `COMBINERS`.
        p_values: (criteria,); nan is a criterion without a verdict.
        r: Votes needed, ≥ 1; for ``partial_conjunction`` only.
        weights: (criteria,), > 0; for ``stouffer``, ``cauchy`` and the harmonic rules only.

    Raises:
        SettingsError: The rule is unknown, or an argument does not fit it.

    >>> round(combine("fisher", [0.05, 0.05]), 6)
    0.017479
    """
    function = COMBINERS.get(rule)
    if function is None:
        raise SettingsError([Fault("rule", repr(rule), f"must be one of {', '.join(COMBINERS)}")])
    faults = []
    if (r is None) == (rule == "partial_conjunction"):
        faults.append(Fault("r", str(r), "partial_conjunction needs it, no other rule takes it"))
    if weights is not None and rule not in WEIGHTED:
        faults.append(Fault("weights", "weights", f"only {', '.join(WEIGHTED)} take them"))
    if faults:
        raise SettingsError(faults)
    return function(p_values, r, weights)


_Combiner = Callable[[npt.ArrayLike, int | None, npt.ArrayLike | None], float]

COMBINERS: dict[str, _Combiner] = {
    "partial_conjunction": lambda p, r, _: partial_conjunction(p, 1 if r is None else r),
    "min": lambda p, _r, _w: bonferroni_min(p),
    "fisher": lambda p, _r, _w: fisher(p),
    "stouffer": lambda p, _, w: stouffer(p, w),
    "cauchy": lambda p, _, w: cauchy(p, w),
    "harmonic_mean": lambda p, _, w: harmonic_mean(p, w),
    "harmonic_bound": lambda p, _, w: harmonic_bound(p, w),
    "twice_mean": lambda p, _r, _w: twice_mean(p),
}
"""The rules that `combine` knows, called as (p_values, r, weights)."""

WEIGHTED = ("stouffer", "cauchy", "harmonic_mean", "harmonic_bound")
"""The rules that take weights."""

ANY_DEPENDENCE = ("partial_conjunction", "min", "harmonic_bound", "twice_mean")
"""The rules whose p-value is valid whatever the criteria have to do with each other."""


def _verdicts(p_values: npt.ArrayLike) -> Array:
    """Return what is a p-value, (K,)."""
    p = np.asarray(p_values, np.float64).ravel()
    return p[(p >= 0.0) & (p <= 1.0)]  # nan compares false


def _weighted(p_values: npt.ArrayLike, weights: npt.ArrayLike | None) -> tuple[Array, Array]:
    """Return p-values and their weights, (K,) each."""
    p = np.asarray(p_values, np.float64).ravel()
    w = np.ones(len(p)) if weights is None else np.asarray(weights, np.float64).ravel()
    if w.shape != p.shape or not (np.isfinite(w) & (w > 0.0)).all():
        rule = f"must be {len(p)} finite numbers above 0, one a criterion"
        raise SettingsError([Fault("weights", str(w.tolist()), rule)])
    keep = (p >= 0.0) & (p <= 1.0)
    return p[keep], w[keep]


def _inverse_mean(p: Array, w: Array) -> float:
    """Return 1 / H, the weighted mean of 1 / p."""
    return float(w @ (1.0 / np.maximum(p, _TINY))) / float(w.sum())
