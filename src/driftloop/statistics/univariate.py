"""Two-sample tests of every column of a window at once, with effect sizes.

TABLES
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.laws import (
    AD_LIMIT_DEVIATION,
    anderson_darling_sf,
    cramer_von_mises_sf,
    kolmogorov_sf,
)
from driftloop.statistics.pooled import RANK_TESTS, rank_statistics
from driftloop.statistics.results import MIN_EFFECTIVE, MIN_VALUES, ColumnTests
from driftloop.statistics.samples import Sample

Array = npt.NDArray[np.float64]

DEPENDENCES = ("none", "ar")
"""How `compare_columns` takes the records: as independent, or as autoregressive."""


class _Case:
    """What a test's law needs: both samples, the rank statistics, and effective sizes."""

    __slots__ = ("k", "m", "m_eff", "n", "n_eff", "new", "old", "ranks")

    def __init__(self, new: Sample, old: Sample, ranks: dict[str, Array], k: Array) -> None:
        self.new, self.old, self.ranks, self.k = new, old, ranks, k
        self.n, self.m = new.counts, old.counts
        self.n_eff, self.m_eff = self.n / k, self.m / k


Outcome = tuple[Array, Array, Array]  # statistic, p-value, effect; each (d,)


def compare_columns(
    window: npt.ArrayLike | Sample,
    reference: npt.ArrayLike | Sample,
    tests: Sequence[str] | None = None,
    *,
    dependence: str = "none",
    inflation: npt.ArrayLike | None = None,
) -> dict[str, ColumnTests]:
    """Test each column of a window against a reference, two-sided, in one pass over all columns.

    ====================  ==========================================  ==========================
    test                  statistic; law of the p-value               effect
    ====================  ==========================================  ==========================
    ``ks``                D = max |F - G|; Kolmogorov's, see          D, in [0, 1]
                          `two_sample.ks_features`
    ``cramer_von_mises``  T = n m / N² Σ (F - G)²; limit law at       root of 3 times the mean
                          Anderson's (1962) moments                   (F - G)²: 0 to 1, apart
    ``anderson_darling``  A² (Scholz, Stephens 1987, eq. 7), less     the same, weighted by
                          its mean, over its deviation; limit law     1/(H (1 - H))
    ``mann_whitney``      U; normal, corrected for ties and           2 P(new > old) - 1 + P(=),
                          continuity                                  in [-1, 1]
    ``welch``             t; Student's, Welch's degrees of freedom    Cohen's d
    ``levene``            F of |x - median| (Brown, Forsythe 1974);   log of the ratio of the
                          F(1, N - 2)                                 variances
    ====================  ==========================================  ==========================

    The p-values are those of `scipy.stats` (``cramervonmises_2samp(method="asymptotic")``,
    ``mannwhitneyu(method="asymptotic")``, ``ttest_ind(equal_var=False)``,
    ``levene(center="median")``) to 1e-9, with two exceptions: scipy's Cramér-von Mises p-value is
    itself off by up to 3e-8 where p < 1e-8, and with ties scipy takes mid-ranks into a formula for
    distinct values, which rejects far too often; here F and G are compared at the middle of their
    jumps. scipy clips Anderson-Darling's p-value to [.001, .25] and interpolates between seven
    points; ours follows the same limit law to 1e-11 (its distance to scipy's is below .004).
    Limit laws of the ranks are conservative under heavy ties.

    With ``dependence="ar"`` both samples count for n / k and m / k independent records. k is
    `autocorrelation.column_inflation` of the reference: of the values for ``welch``, of their
    mid-ranks for the four rank tests, of |x - median| for ``levene``. D and T keep their values
    and meet the law of the effective sizes; A² and F are divided by k; U's variance and the squared
    error of t are multiplied by k (for t with the correction of `loss_tests.loss_test`). Only for
    Mann-Whitney, Welch and Levene, which average one number a record, is that the whole dependence;
    for the others it is the slowest part of it and therefore conservative.

    Args:
        window: (n, d) values, or a `Sample`; non-finite ones are dropped, column by column.
        reference: (m, d) likewise; prepare a `Sample` once for many windows. In the order of the
            records if dependence matters.
        tests: Names as above; all by default.
        dependence: ``none`` or ``ar``.
        inflation: k ≥ 1, (d,), where the caller knows it; it replaces the estimates.

    Returns:
        The outcome of each test. A column gets no verdict with fewer than `MIN_VALUES` finite
        values in a sample, with fewer than `MIN_EFFECTIVE` effective ones when k > 1, and where
        all its values are equal (for ``welch``: neither sample varies; ``levene``: no
        deviation varies).

    Raises:
        SettingsError: Columns differ, or an unknown name, or an inflation below 1.

    >>> a = np.arange(20.0)[:, None]
    >>> round(float(compare_columns(a + 9.0, a, ["mann_whitney"])["mann_whitney"].p_value[0]), 4)
    0.0002
    """
    names = tuple(tests) if tests is not None else TESTS
    new = window if isinstance(window, Sample) else Sample(window)
    old = reference if isinstance(reference, Sample) else Sample(reference)
    factors = _check(new, old, names, dependence, inflation)
    with np.errstate(all="ignore"):  # constant or absurd columns end in nan, not in a warning
        wanted = frozenset(names)
        ranks = rank_statistics(new, old, wanted) if wanted.intersection(RANK_TESTS) else {}
        return {name: _judge(name, new, old, ranks, dependence, factors) for name in names}


def _check(
    new: Sample,
    old: Sample,
    names: tuple[str, ...],
    dependence: str,
    inflation: npt.ArrayLike | None,
) -> Array | None:
    faults = []
    if len(new) != len(old):
        rule = "window and reference must have the same columns"
        faults.append(Fault("window", f"{len(new)} and {len(old)}", rule))
    faults += [
        Fault("tests", repr(name), f"must be of {', '.join(TESTS)}")
        for name in names
        if name not in _TESTS
    ]
    if dependence not in DEPENDENCES:
        rule = f"must be one of {', '.join(DEPENDENCES)}"
        faults.append(Fault("dependence", repr(dependence), rule))
    factors = None if inflation is None else np.asarray(inflation, dtype=np.float64)
    if factors is not None and (factors.shape != (len(old),) or not (factors >= 1.0).all()):
        faults.append(Fault("inflation", str(inflation), "must be (d,) numbers of at least 1"))
    if faults:
        raise SettingsError(faults)
    return factors


def _judge(
    name: str,
    new: Sample,
    old: Sample,
    ranks: dict[str, Array],
    dependence: str,
    factors: Array | None,
) -> ColumnTests:
    function, scale = _TESTS[name]
    if factors is None:
        factors = old.inflation(scale) if dependence == "ar" else np.ones(len(old))
    case = _Case(new, old, ranks, factors)
    statistic, p_value, effect = function(case)
    smallest = np.minimum(case.n_eff, case.m_eff)
    silent = np.minimum(case.n, case.m) < MIN_VALUES
    silent |= (smallest < MIN_EFFECTIVE) & (factors > 1.0)
    silent |= ~(np.isfinite(statistic) & np.isfinite(p_value))
    return ColumnTests(
        statistic=np.where(silent, np.nan, statistic),
        p_value=np.where(silent, np.nan, np.minimum(p_value, 1.0)),
        effect=np.where(np.isfinite(effect), effect, np.nan),
        n=case.n,
        n_reference=case.m,
        n_effective=case.n_eff,
        n_effective_reference=case.m_eff,
    )


def _ks(case: _Case) -> Outcome:
    distance = case.ranks["ks"]
    size = np.maximum(np.round(case.n_eff * (case.m_eff / (case.n_eff + case.m_eff))), 1.0)
    return distance, kolmogorov_sf(np.where(np.isnan(size), 1.0, size), distance), distance


def _cramer_von_mises(case: _Case) -> Outcome:
    t, n, m = case.ranks["cramer_von_mises"], case.n_eff, case.m_eff
    size = n + m
    mean = (1.0 + 1.0 / size) / 6.0
    variance = (size + 1.0) * (4.0 * n * m * size - 3.0 * (n**2 + m**2) - 2.0 * n * m)
    variance /= 45.0 * size**2 * 4.0 * n * m
    p_value = cramer_von_mises_sf(1.0 / 6.0 + (t / case.k - mean) / np.sqrt(45.0 * variance))
    effect = np.sqrt(3.0 * t * (case.n + case.m) / (case.n * case.m))
    return t, p_value, np.minimum(effect, 1.0)


def _anderson_darling(case: _Case) -> Outcome:
    a, n, m = case.ranks["anderson_darling"], case.n, case.m
    standard = (a / case.k - 1.0) / _anderson_darling_deviation(n, m)
    share = n / (n + m)
    apart = -(1.0 - share + np.log(share)) / (1.0 - share) ** 2
    apart -= (share + np.log1p(-share)) / share**2
    effect = np.sqrt(a * (n + m) / (n * m) / apart)
    p_value = anderson_darling_sf(1.0 + AD_LIMIT_DEVIATION * standard)
    return standard, p_value, np.minimum(effect, 1.0)


def _anderson_darling_deviation(n: Array, m: Array) -> Array:
    """Return the standard deviation of A² for two samples (Scholz, Stephens 1987, eq. 4)."""
    size = n + m
    inverse = 1.0 / n + 1.0 / m
    h = special.digamma(size) + np.euler_gamma  # Σ 1/i over i < N
    # g = Σ 1/((N - i) j) over 1 ≤ i < j < N, summed in closed form
    g = np.pi**2 / 6.0 - special.polygamma(1, size + 1.0) - (2.0 * h + 1.0 / size) / size
    a = (4.0 * g - 6.0) + (10.0 - 6.0 * g) * inverse
    b = (2.0 * g - 4.0) * 4.0 + 16.0 * h + (2.0 * g - 14.0 * h - 4.0) * inverse - 8.0 * h
    b += 4.0 * g - 6.0
    c = (6.0 * h + 2.0 * g - 2.0) * 4.0 + (4.0 * h - 4.0 * g + 6.0) * 2.0
    c += (2.0 * h - 6.0) * inverse + 4.0 * h
    d = (2.0 * h + 6.0) * 4.0 - 8.0 * h
    variance = (((a * size + b) * size + c) * size + d) / (
        (size - 1.0) * (size - 2.0) * (size - 3.0)
    )
    deviation: Array = np.sqrt(variance)
    return deviation


def _mann_whitney(case: _Case) -> Outcome:
    u, n, m = case.ranks["mann_whitney"], case.n, case.m
    size = n + m
    variance = n * m / 12.0 * (size + 1.0 - case.ranks["tie_sum"] / (size * (size - 1.0)))
    distance = np.abs(u - n * m / 2.0) - 0.5
    z = distance / np.sqrt(variance * case.k)
    return u, 2.0 * special.ndtr(-z), 2.0 * u / (n * m) - 1.0


def _welch(case: _Case) -> Outcome:
    new, old = case.new, case.old
    parts = (new.variance / (case.n_eff - 1.0), old.variance / (case.m_eff - 1.0))
    error = parts[0] + parts[1]
    share = parts[0] / error
    freedom = 1.0 / (share**2 / (case.n_eff - 1.0) + (1.0 - share) ** 2 / (case.m_eff - 1.0))
    t = (new.mean - old.mean) / np.sqrt(error)
    spread = (case.n * new.variance + case.m * old.variance) / (case.n + case.m - 2.0)
    effect = (new.mean - old.mean) / np.sqrt(spread)
    return t, 2.0 * special.stdtr(freedom, -np.abs(t)), effect


def _levene(case: _Case) -> Outcome:
    new, old, n, m = case.new, case.old, case.n, case.m
    within = n * new.spread_variance + m * old.spread_variance
    between = n * m / (n + m) * (new.spread_mean - old.spread_mean) ** 2
    freedom = case.n_eff + case.m_eff - 2.0
    # with k = 1 this is (N - 2) between / within
    statistic = freedom * between / within
    statistic = np.where(within > 0.0, statistic, np.nan)
    unbiased = (new.variance * n / (n - 1.0), old.variance * m / (m - 1.0))
    effect = np.log(unbiased[0] / unbiased[1])
    return statistic, special.fdtrc(1.0, freedom, statistic), effect


_TESTS: dict[str, tuple[Callable[[_Case], Outcome], str]] = {
    "ks": (_ks, "sides"),
    "cramer_von_mises": (_cramer_von_mises, "ranks"),
    "anderson_darling": (_anderson_darling, "ranks"),
    "mann_whitney": (_mann_whitney, "ranks"),
    "welch": (_welch, "values"),
    "levene": (_levene, "spread"),
}

TESTS = tuple(_TESTS)
"""The names that `compare_columns` knows."""
