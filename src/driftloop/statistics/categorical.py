"""Tests of a category column: its shares, and categories that the reference never had.

Sizes by simulation (`benchmarks/criteria_sizes.py`, 4,000 runs of independent records; none: no
verdict in most runs, all categories are too rare):

==================  =========  =========  =====  ======  =====  ===========  =====
categories          n, m       chi²: .05  .001   G: .05  .001   unseen: .05  .001
==================  =========  =========  =====  ======  =====  ===========  =====
5 equal             100, 300   .044       .0005  .047    .0008  .0000        .0000
5 equal             300, 1000  .054       .0008  .055    .0005  .0000        .0000
5 equal             1000, 300  .048       .0008  .048    .0008  .0000        .0000
50 equal            100, 300   none              none           .028         .0018
50 equal            300, 1000  .050       .0005  .070    .0027  .0000        .0000
50 equal            1000, 300  .047       .0013  .070    .0015  .068         .0035
500 equal           100, 300   none              none           .026         .0000
500 equal           300, 1000  none              none           .036         .0008
500 equal           1000, 300  none              none           .022         .0003
Zipf 1.2 of 100     100, 300   .053       .0015  .058    .0013  .037         .0005
Zipf 1.2 of 100     300, 1000  .052       .0015  .059    .0020  .033         .0000
Zipf 1.2 of 100     1000, 300  .050       .0008  .054    .0008  .035         .0000
Zipf 1.2 of 20,000  100, 300   .046       .0013  .051    .0008  .030         .0000
Zipf 1.2 of 20,000  300, 1000  .046       .0010  .056    .0015  .036         .0003
Zipf 1.2 of 20,000  1000, 300  .049       .0008  .053    .0008  .026         .0005
geometric 1/2       100, 300   .053       .0005  .056    .0010  .017         .0003
geometric 1/2       300, 1000  .053       .0018  .058    .0030  .012         .0000
geometric 1/2       1000, 300  .049       .0013  .051    .0018  .025         .0008
==================  =========  =========  =====  ======  =====  ===========  =====

G exceeds its level with many categories of few records: chi² is the safer one. The unseen test
does where a window is much longer than its reference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.autocorrelation import column_inflation
from driftloop.statistics.results import MIN_EFFECTIVE, MIN_VALUES, TestResult, no_verdict

Array = npt.NDArray[np.float64]
Values = Iterable[Any]

MIN_EXPECTED = 5.0
"""Categories with a smaller expected count in either sample are pooled into one (Cochran 1954)."""


def count_categories(values: Values) -> Counter[Any]:
    """Return how often each category occurs; None and nan are missing and left out.

    >>> count_categories(["a", None, "b", "a", float("nan")])
    Counter({'a': 2, 'b': 1})
    """
    items = values.tolist() if isinstance(values, np.ndarray) else values
    counts = Counter(items)
    for value in [key for key in counts if is_missing(key)]:
        del counts[value]
    return counts


def is_missing(value: object) -> bool:
    """Return whether a category is None or nan."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def chi_square(window: Values, reference: Values, *, inflation: float = 1.0) -> TestResult:
    """Test with Pearson's chi² that the shares of the categories are those of the reference.

    χ² = Σ (O - E)² / E over the two samples' counts; with r categories it has r - 1 degrees of
    freedom. Categories whose expected count is below `MIN_EXPECTED` in either sample are pooled
    into one, and that one, if still too rare, with the rarest other. Equals
    ``scipy.stats.chi2_contingency(correction=False)`` on the pooled table.

    Args:
        window: Categories (texts, codes) of n records; None and nan are missing.
        reference: Of m records.
        inflation: k ≥ 1; the statistic is divided by it (Rao, Scott 1981), for records whose
            categories stay the same for a while.

    Returns:
        `effect` is Cramér's V, √(χ² / (n + m)) before the division, in [0, 1]. No verdict with
        fewer than `MIN_VALUES` records in a sample or fewer than two categories after pooling.

    Raises:
        SettingsError: An inflation below 1.

    >>> round(chi_square("aabbb" * 20, "aaabb" * 20).p_value, 4)
    0.0047
    """
    return _shares_test(window, reference, inflation, likelihood=False)


def g_test(window: Values, reference: Values, *, inflation: float = 1.0) -> TestResult:
    """Test as `chi_square` does with G = 2 Σ O ln(O / E) (Wilks 1935; Sokal, Rohlf 1981).

    `effect` is Cramér's V from χ², the same number as `chi_square` gives.
    """
    return _shares_test(window, reference, inflation, likelihood=True)


def _shares_test(
    window: Values,
    reference: Values,
    inflation: float,
    *,
    likelihood: bool,
) -> TestResult:
    if not inflation >= 1.0:
        raise SettingsError([Fault("inflation", str(inflation), "must be at least 1")])
    new, old = count_categories(window), count_categories(reference)
    observed = _pool_rare(_table(new, old))  # (2, categories)
    n, m = new.total(), old.total()
    silent = partial(_silent, n, m, inflation)
    if min(n, m) < MIN_VALUES:
        return silent(f"fewer than {MIN_VALUES} records with a category")
    if inflation > 1.0 and min(n, m) / inflation < MIN_EFFECTIVE:
        return silent(f"fewer than {MIN_EFFECTIVE:.0f} effective records")
    if observed.shape[1] < 2:
        return silent("fewer than two categories that are common enough")
    expected = np.outer([n, m], observed.sum(axis=0)) / (n + m)
    pearson = float(((observed - expected) ** 2 / expected).sum())
    statistic = pearson
    if likelihood:
        statistic = 2.0 * float(special.xlogy(observed, observed / expected).sum())
    statistic = max(statistic, 0.0) / inflation
    return TestResult(
        statistic=statistic,
        p_value=float(special.chdtrc(observed.shape[1] - 1, statistic)),
        effect=math.sqrt(pearson / (n + m)),
        n=n,
        n_reference=m,
        n_effective=n / inflation,
        n_effective_reference=m / inflation,
    )


def _silent(n: int, m: int, inflation: float, reason: str) -> TestResult:
    return no_verdict(
        reason,
        n=n,
        n_reference=m,
        n_effective=n / inflation,
        n_effective_reference=m / inflation,
    )


def _table(new: Counter[Any], old: Counter[Any]) -> Array:
    """Return the counts of both samples, (2, categories), in an order that their texts decide."""
    names = sorted(set(new) | set(old), key=lambda value: (str(type(value)), str(value)))
    return np.array([[side[name] for name in names] for side in (new, old)], dtype=np.float64)


def _pool_rare(observed: Array) -> Array:
    """Pool columns of (2, categories) until each expects `MIN_EXPECTED` in both samples."""
    total = observed.sum()
    if not total:
        return observed
    expected = observed.sum(axis=0) * (observed.sum(axis=1).min() / total)
    rare = expected < MIN_EXPECTED
    if not rare.any():
        return observed
    kept, rest = observed[:, ~rare], observed[:, rare].sum(axis=1, keepdims=True)
    if kept.shape[1] and expected[rare].sum() < MIN_EXPECTED:
        rarest = int(np.argmin(expected[~rare]))
        kept[:, rarest] += rest[:, 0]
        return kept
    return np.hstack([kept, rest])


def unseen_categories(window: Values, reference: Values) -> TestResult:
    """Test that categories which the reference lacks are no more frequent than it lets expect.

    A reference of m records misses categories of total probability M. Given M, the number u of the
    window's n records with an unseen category is binomial (n, M). Good's (1953) estimate of M is
    s₁ / m, s₁ the number of categories seen once; its error has the variance (s₁ + 2 s₂) / m²
    (Robbins 1968; Esty 1983), s₂ the number seen twice. M is taken as a beta variable with mean
    (s₁ + 1) / (m + 2) and variance (s₁ + 2 s₂ + 1) / (m + 2)², and p = P(U ≥ u) of the
    beta-binomial law. One record more in s₁ and in the variance keeps a reference without rare
    categories from calling M zero: it is the law of succession for an event never seen.

    Args:
        window: Categories of n records; None and nan are missing.
        reference: Of m records.

    Returns:
        `statistic` is u, `effect` u / n. One-sided. No verdict with fewer than `MIN_VALUES` records
        in a sample.

    >>> unseen_categories(["a"] * 97 + ["new"] * 3, ["a", "b"] * 500).p_value < 0.01
    True
    """
    new, old = count_categories(window), count_categories(reference)
    n, m = new.total(), old.total()
    if min(n, m) < MIN_VALUES:
        return _silent(n, m, 1.0, f"fewer than {MIN_VALUES} records with a category")
    u = sum(count for name, count in new.items() if name not in old)
    frequencies = Counter(old.values())
    once, twice = frequencies[1], frequencies[2]
    a, b = _beta((once + 1.0) / (m + 2.0), (once + 2.0 * twice + 1.0) / (m + 2.0) ** 2)
    p_value = 1.0 if u == 0 else float(stats.betabinom.sf(u - 1, n, a, b))
    return TestResult(
        statistic=float(u),
        p_value=min(max(p_value, 0.0), 1.0),
        effect=u / n,
        n=n,
        n_reference=m,
        n_effective=float(n),
        n_effective_reference=float(m),
    )


def _beta(mean: float, variance: float) -> tuple[float, float]:
    """Return the parameters of the beta law with these moments; its a is at least .5."""
    mean = min(mean, 0.99)
    precision = max(mean * (1.0 - mean) / variance - 1.0, 0.5 / mean)
    return mean * precision, (1.0 - mean) * precision


def category_inflation(codes: npt.NDArray[np.int64]) -> float:
    """Return k, the factor by which dependence between records inflates chi² (Rao, Scott 1981).

    The mean over categories of the inflation of their indicators (`column_inflation`), weighted by
    1 - share, which are the weights of their parts of chi². Categories with fewer than
    `MIN_EXPECTED` records, which the tests pool, share one indicator.

    Args:
        codes: (n,) categories as whole numbers, in the records' order of time, none missing.

    Returns:
        k ≥ 1; 1 with fewer than two categories.

    >>> category_inflation(np.tile(np.repeat([0, 1], 20), 10)) > 5
    True
    """
    names, index, counts = np.unique(codes, return_inverse=True, return_counts=True)
    common = np.flatnonzero(counts >= MIN_EXPECTED)
    if len(names) < 2 or not len(common):
        return 1.0
    indicators = (index == common[:, None]).astype(np.float64)  # (categories, n)
    rest = 1.0 - indicators.sum(axis=0)
    if rest.any():
        indicators = np.vstack([indicators, rest])
    weights = 1.0 - indicators.mean(axis=1)
    return float(max(np.average(column_inflation(indicators), weights=weights), 1.0))


def category_counts(window: Sequence[Any], reference: Sequence[Any]) -> tuple[Array, Array]:
    """Return both samples' counts over all their categories, (categories,), for `effects`."""
    table = _table(count_categories(window), count_categories(reference))
    return table[0], table[1]
