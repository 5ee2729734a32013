"""Tests of the share of missing values.

Sizes as measured, and what a window costs: ``docs/criteria.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.categorical import is_missing
from driftloop.statistics.results import MIN_VALUES, ColumnTests, TestResult
from driftloop.statistics.samples import Sample

Array = npt.NDArray[np.float64]

_EXACT_UP_TO = 2000  # terms of the hypergeometric law


def missing_columns(
    window: npt.ArrayLike | Sample,
    reference: npt.ArrayLike | Sample,
    *,
    inflation: npt.ArrayLike | None = None,
) -> ColumnTests:
    """Test of each column that non-finite values are as frequent as in the reference.

    Fisher's exact test, two-sided by the probabilities (as ``scipy.stats.fisher_exact``); where
    its law has more than 2,000 terms, the two-proportion z-test with pooled variance. Being
    discrete, the exact test is conservative. See `missing_rates`, which does it.

    Args:
        window: (n, d) values, or a `Sample`.
        reference: (m, d).
        inflation: k ≥ 1, (d,): counts are divided by it and rounded, for values that are missing
            in stretches.

    Returns:
        `statistic` is the number of missing values in the window, `effect` the difference of the
        rates, in [-1, 1]; `n` and `n_reference` count records. No verdict with fewer than
        `MIN_VALUES` records in a sample.

    Raises:
        SettingsError: Columns differ, or an inflation below 1.
    """
    new = window if isinstance(window, Sample) else Sample(window)
    old = reference if isinstance(reference, Sample) else Sample(reference)
    if len(new) != len(old):
        rule = "window and reference must have the same columns"
        raise SettingsError([Fault("window", f"{len(new)} and {len(old)}", rule)])
    n, m = new.ordered.shape[1], old.ordered.shape[1]
    k = np.ones(len(new)) if inflation is None else np.asarray(inflation, dtype=np.float64)
    return missing_rates(n - new.counts, np.full(len(new), n), m - old.counts, m, k)


def missing_rate(window: Sequence[Any], reference: Sequence[Any]) -> TestResult:
    """Test of a category column, None or nan where missing, as `missing_columns` does.

    >>> round(missing_rate([None] * 3 + ["a"] * 7, ["a"] * 90).p_value, 5)
    0.00074
    """
    gaps = [np.array([float(sum(map(is_missing, side)))]) for side in (window, reference)]
    return missing_rates(gaps[0], len(window), gaps[1], len(reference)).column(0)


def missing_rates(
    missing: npt.ArrayLike,
    n: npt.ArrayLike,
    missing_reference: npt.ArrayLike,
    m: npt.ArrayLike,
    inflation: npt.ArrayLike = 1.0,
) -> ColumnTests:
    """Test whether two shares are equal, from counts; see `missing_columns`.

    Args:
        missing: (d,) of `n` records each.
        n: A number, or (d,).
        missing_reference: (d,) of `m` records each.
        m: A number, or (d,).
        inflation: A number, or (d,).

    Raises:
        SettingsError: An inflation below 1, or of another shape.
    """
    k = np.asarray(inflation, dtype=np.float64)
    shape = np.shape(missing)
    if not (k >= 1.0).all() or k.shape not in {(), shape}:
        raise SettingsError([Fault("inflation", str(inflation), "must be (d,) of at least 1")])
    counts = (np.broadcast_to(np.asarray(c, np.float64), shape) for c in (missing, n))
    x, size = (np.array(c) for c in counts)
    counts = (np.broadcast_to(np.asarray(c, np.float64), shape) for c in (missing_reference, m))
    y, size_reference = (np.array(c) for c in counts)
    with np.errstate(all="ignore"):
        effect = x / size - y / size_reference
    p_value = _fisher(*(np.round(value / k) for value in (x, size, y, size_reference)))
    silent = np.minimum(size, size_reference) < MIN_VALUES
    return ColumnTests(
        statistic=np.where(silent, np.nan, x),
        p_value=np.where(silent, np.nan, p_value),
        effect=effect,
        n=size,
        n_reference=size_reference,
        n_effective=size / k,
        n_effective_reference=size_reference / k,
    )


def _fisher(x: Array, n: Array, y: Array, m: Array) -> Array:
    """Return two-sided p-values of x of n against y of m, (d,)."""
    p_value = np.ones(len(x))
    total = x + y
    first, last = np.maximum(total - m, 0.0), np.minimum(total, n)
    open_rows = np.flatnonzero(last > first)
    exact = open_rows[(last - first)[open_rows] <= _EXACT_UP_TO]
    if len(exact):
        rows = (values[exact, None] for values in (x, n, total, n + m, first, last))
        p_value[exact] = _hypergeometric(*rows)
    rest = open_rows[(last - first)[open_rows] > _EXACT_UP_TO]
    if len(rest):
        a, b, s = n[rest], m[rest], total[rest] / (n + m)[rest]
        error = np.sqrt(s * (1.0 - s) * (1.0 / a + 1.0 / b))
        p_value[rest] = 2.0 * special.ndtr(-np.abs(x[rest] / a - y[rest] / b) / error)
    return p_value


def _hypergeometric(
    x: Array, n: Array, total: Array, size: Array, first: Array, last: Array
) -> Array:
    """Return Σ P(v) over all v at most as probable as x; arguments (rows, 1)."""
    v = first + np.arange((last - first).max() + 1.0)  # (rows, terms)
    inside = v <= last
    v = np.minimum(v, last)
    logs = -sum(special.gammaln(part + 1.0) for part in (v, total - v, n - v, size - total - n + v))
    logs -= logs.max(axis=1, keepdims=True)
    mass = np.where(inside, np.exp(logs), 0.0)
    at = np.take_along_axis(mass, (x - first).astype(np.intp), axis=1)
    p: Array = np.where(mass <= at * (1.0 + 1e-7), mass, 0.0).sum(axis=1) / mass.sum(axis=1)
    return np.minimum(p, 1.0)
