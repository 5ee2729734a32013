"""The rank statistics of two samples, all columns at once, from one merge of their values.

Tied values have no order. Every statistic here is the mean over all their orders (for KS: its
value at the ends of the groups of equal values). Under the null hypothesis this keeps the mean that
the laws of distinct values assume and has less spread about it, so their p-values err to the
conservative side. Without ties it changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from driftloop.statistics.samples import Sample

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RANK_TESTS = ("ks", "cramer_von_mises", "anderson_darling", "mann_whitney")

_CHUNK = 1 << 15  # numbers an array: several such arrays stay in the second-level cache


class Pooled(NamedTuple):
    """The pooled values of c columns in ascending order, N places a column.

    Attributes:
        new: (c, N) how many of the window's values are at or before each place, on average.
        variance: (c, N) variance of that number over the orders of tied values; None without ties.
        place: (N,) 1, 2, …, N.
        valid: (c, N) whether any value stands there; None when all do.
        tie_sum: (c,) Σ (t³ - t) over groups of t equal values.
        n: (c, 1) finite values of the window.
        m: (c, 1) of the reference.
    """

    new: Array
    variance: Array | None
    place: Array
    valid: Flags | None
    tie_sum: Array
    n: Array
    m: Array


def rank_statistics(window: Sample, reference: Sample, tests: frozenset[str]) -> dict[str, Array]:
    """Return the statistics of the wanted rank tests, each (d,), and what their laws need.

    - ``ks``: max |F - G|, F and G the empirical distribution functions.
    - ``cramer_von_mises``: T = n m / N² Σ (F - G)² over the pooled values (Anderson 1962).
    - ``anderson_darling``: A² = n m / N Σ (F - G)² / (H (1 - H)) / N, H the pooled distribution
      function, over all but the largest (Pettitt 1976; Scholz, Stephens 1987).
    - ``mann_whitney``: U of the window.
    - ``tie_sum``: Σ (t³ - t) over groups of t equal pooled values.

    nan for a column that is empty on one side, or constant over both.
    """
    d = len(window)
    wanted = [*sorted(tests.intersection(RANK_TESTS)), "tie_sum"]
    out = {name: np.full(d, np.nan) for name in wanted}
    width = window.sorted.shape[1] + reference.sorted.shape[1]
    if not width:
        return out
    step = max(_CHUNK // width, 1)
    for start in range(0, d, step):
        columns = slice(start, min(start + step, d))
        pooled = _merge(window, reference, columns)
        n, m = pooled.n[:, 0], pooled.m[:, 0]
        size = n + m
        silent = (n == 0) | (m == 0) | (pooled.tie_sum >= size**3 - size)
        for name in wanted:
            out[name][columns] = np.where(silent, np.nan, _STATISTICS[name](pooled))
    return out


def _merge(window: Sample, reference: Sample, columns: slice) -> Pooled:
    new, old = window.sorted[columns], reference.sorted[columns]
    n, m = window.counts[columns].astype(np.intp), reference.counts[columns].astype(np.intp)
    c, width = len(new), new.shape[1] + old.shape[1]
    is_new = np.zeros((c, width), dtype=np.bool_)
    tied = (old[:, 1:] == old[:, :-1]).any(axis=1) | (new[:, 1:] == new[:, :-1]).any(axis=1)
    steps = np.arange(new.shape[1])
    for j in range(c):
        a, b = new[j, : n[j]], old[j, : m[j]]
        at = b.searchsorted(a, "right")
        if len(b):
            tied[j] |= (b[at - 1] == a).any()
        is_new[j, at + steps[: n[j]]] = True
    count = np.cumsum(is_new, axis=1, dtype=np.float64)
    variance, tie_sum = None, np.zeros(c)
    if tied.any():
        variance = np.zeros((c, width))
        for j in np.flatnonzero(tied).tolist():
            values = np.empty(n[j] + m[j])
            flags = is_new[j, : len(values)]
            values[flags], values[~flags] = new[j, : n[j]], old[j, : m[j]]
            tie_sum[j] = _average_ties(values, count[j], variance[j])
    valid = None if (n + m == width).all() else np.arange(width) < (n + m)[:, None]
    place = np.arange(1.0, width + 1.0)
    sizes = n[:, None].astype(np.float64), m[:, None].astype(np.float64)
    return Pooled(count, variance, place, valid, tie_sum, *sizes)


def _average_ties(values: Array, count: Array, variance: Array) -> float:
    """Replace a column's counts by their means over the orders of ties; return Σ (t³ - t).

    Of t equal values, f of them the window's, the first b hold a hypergeometric number of them.

    Args:
        values: (N,) in order.
        count: (≥ N,), changed in place.
        variance: (≥ N,) zeros, changed in place.
    """
    size = len(values)
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    lengths = np.diff(np.append(starts, size))
    group = np.repeat(np.arange(len(starts)), lengths)
    after = count[starts + lengths - 1]
    before = np.concatenate(([0.0], after[:-1]))
    share = (after - before) / lengths
    b = np.arange(1.0, size + 1.0) - starts[group]
    count[:size] = before[group] + share[group] * b
    each = share * (1.0 - share) / np.maximum(lengths - 1.0, 1.0)
    variance[:size] = each[group] * b * (lengths[group] - b)
    return float((lengths**3.0 - lengths).sum())


def _gap(s: Pooled) -> Array:
    """Return n m (F - G) at every place, (c, N); 0 where none is."""
    gap = (s.n + s.m) * s.new
    gap -= s.n * s.place
    if s.valid is not None:
        gap *= s.valid
    return gap


@np.errstate(all="ignore")  # an empty side divides by 0: nan
def _ks(s: Pooled) -> Array:
    gap = _gap(s)
    np.abs(gap, out=gap)
    largest: Array = gap.max(axis=1) / (s.n * s.m)[:, 0]
    return largest


@np.errstate(all="ignore")
def _cramer_von_mises(s: Pooled) -> Array:
    gap, size = _gap(s), (s.n + s.m)[:, 0]
    total: Array = np.einsum("ij,ij->i", gap, gap)
    if s.variance is not None:
        total += size**2 * s.variance.sum(axis=1)
    total /= (s.n * s.m)[:, 0] * size**2
    return total


@np.errstate(all="ignore")
def _anderson_darling(s: Pooled) -> Array:
    gap, size = _gap(s), s.n + s.m
    np.square(gap, out=gap)
    if s.variance is not None:
        gap += size**2 * s.variance
    same = s.valid is None
    weight = 1.0 / (s.place * ((size[:1] if same else size) - s.place))  # (1 or c, N)
    weight[:, -1] = 0.0
    if s.valid is not None:
        weight[s.place >= size] = 0.0
    gap *= weight
    total: Array = gap.sum(axis=1) / (s.n * s.m)[:, 0]
    return total


def _mann_whitney(s: Pooled) -> Array:
    before = s.new if s.valid is None else s.new * s.valid
    n, size = s.n[:, 0], (s.n + s.m)[:, 0]
    ranks: Array = (size + 1.0) * n - before.sum(axis=1)  # their sum, by parts
    ranks -= n * (n + 1.0) / 2.0
    return ranks


def _tie_sum(s: Pooled) -> Array:
    return s.tie_sum


_STATISTICS = {
    "ks": _ks,
    "cramer_von_mises": _cramer_von_mises,
    "anderson_darling": _anderson_darling,
    "mann_whitney": _mann_whitney,
    "tie_sum": _tie_sum,
}
