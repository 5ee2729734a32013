"""Tests of the joint distribution of all columns, by permutation: MMD and energy distance.

Sizes by simulation (`benchmarks/criteria_sizes.py`, 400 runs, five columns, 199 permutations) at
levels .05 and .01, of single records and of blocks; two standard errors at .05 are .02 (3,000
other runs of energy distance with independent records, 300 against 1,000: .048 and .008):

=========  =========  =======  =====  ========  =====  ==========  =====  ========  =====
n, m       records    mmd .05  .01    block=25  .01    energy .05  .01    block=25  .01
=========  =========  =======  =====  ========  =====  ==========  =====  ========  =====
100, 300   AR(1) 0.0  .037     .010   .043      .015   .040        .018   .045      .018
100, 300   AR(1) 0.3  .275     .117   .040      .0050  .287        .120   .040      .0075
100, 300   AR(1) 0.6  .772     .608   .068      .013   .787        .603   .060      .013
100, 300   AR(1) 0.9  1.000    .998   .172      .058   1.000       1.000  .175      .052
300, 1000  AR(1) 0.0  .077     .0075  .045      .0075  .072        .010   .037      .0075
300, 1000  AR(1) 0.3  .190     .062   .052      .0075  .195        .065   .043      .010
300, 1000  AR(1) 0.6  .603     .370   .020      .0025  .605        .365   .020      .0025
300, 1000  AR(1) 0.9  .998     .958   .075      .0075  1.000       .970   .075      .0075
=========  =========  =======  =====  ========  =====  ==========  =====  ========  =====

A block must hold several times the memory of the records, and a window several blocks: at φ = .9 a
window of 100 is too short for either. The smallest p-value is 1 / (1 + permutations): corrected
over many streams, that needs more permutations, or another test.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist, squareform

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.autocorrelation import column_inflation
from driftloop.statistics.permutation import block_orders, permutation_p
from driftloop.statistics.results import MIN_VALUES, TestResult, no_verdict

Array = npt.NDArray[np.float64]

MAX_RECORDS = 300
"""Records a side that a multivariate test looks at; more are thinned evenly."""


class Pair(NamedTuple):
    """Window and reference made ready for a multivariate test.

    Attributes:
        window: (n, d') standardised, no gaps.
        reference: (m, d').
        reason: Why they cannot be tested; empty when they can.
    """

    window: Array
    reference: Array
    reason: str


@np.errstate(all="ignore")  # absurd magnitudes leave columns out
def prepare(
    window: npt.ArrayLike, reference: npt.ArrayLike, max_records: int, *, alike: bool = False
) -> Pair:
    """Thin, fill and standardise two samples.

    More than `max_records` records are thinned to evenly spaced ones, in order; both sides by the
    same step if `alike`, so that neighbours depend alike on both. Non-finite values
    are replaced by their column's mean over both samples: a column's gaps then pull it to the
    middle on that side, so a changed missing rate may be seen here, and is better tested by
    `missing`. Columns are standardised over both samples, so that exchanging records changes
    nothing but their places; a column that does not vary is left out.

    Raises:
        SettingsError: Columns differ, or fewer than `MIN_VALUES` records allowed.
    """
    new, old = np.asarray(window, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    faults = []
    if new.ndim != 2 or old.ndim != 2 or new.shape[1] != old.shape[1]:
        rule = "window (n, d) and reference (m, d) must have the same columns"
        faults.append(Fault("window", f"{new.shape} and {old.shape}", rule))
    if max_records < MIN_VALUES:
        faults.append(Fault("max_records", str(max_records), f"must be at least {MIN_VALUES}"))
    if faults:
        raise SettingsError(faults)
    if alike:
        step = max(math.ceil(max(len(new), len(old)) / max_records), 1)
        new, old = new[::step], old[::step]
    new, old = _thin(new, max_records), _thin(old, max_records)
    n, m = len(new), len(old)
    if min(n, m) < MIN_VALUES:
        return Pair(new, old, f"fewer than {MIN_VALUES} records")
    pooled = np.concatenate((new, old))
    finite = np.isfinite(pooled)
    counts = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, pooled, 0.0).sum(axis=0) / counts
    pooled = np.where(finite, pooled, mean) - mean
    scale = np.sqrt((pooled**2).mean(axis=0))
    size = np.abs(np.where(finite, np.concatenate((new, old)), 0.0)).max(axis=0, initial=0.0)
    varies = (scale > 1e-12 * size) & np.isfinite(scale)
    if not varies.any():
        return Pair(new, old, "nothing varies, or the values are too large to compare")
    pooled = pooled[:, varies] / scale[varies]
    return Pair(pooled[:n], pooled[n:], "")


def _thin(records: Array, most: int) -> Array:
    if len(records) <= most:
        return records
    places = np.linspace(0, len(records) - 1, most).round().astype(np.intp)
    thinned: Array = records[places]
    return thinned


def mmd(
    window: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    block: int | None = 1,
    n_permutations: int = 199,
    seed: int = 0,
    max_records: int = MAX_RECORDS,
) -> TestResult:
    """Test one joint distribution by the maximum mean discrepancy with a Gaussian kernel.

    MMD² = mean k(x, x') + mean k(y, y') - 2 mean k(x, y) over distinct records, the unbiased
    estimate of Gretton et al. (2012, eq. 3), k(x, y) = exp(-|x - y|² / (2 h²)), h the median
    distance between records (of both samples, so that permutations are exact). The p-value is by
    permutation, of single records or of blocks of consecutive ones (`permutation.block_orders`).

    Args:
        window: (n, d) records in their order; see `prepare` for gaps and scale.
        reference: (m, d).
        block: Records a block, after thinning; None takes `block_length`. Above 1, both sides are
            thinned by one step.
        n_permutations: ≥ 1.
        seed: The same seed gives the same p-value.
        max_records: Records a side that are used.

    Returns:
        `statistic` is MMD², `effect` √max(MMD², 0), in [0, √2]. `n_effective` is the number of
        records used over `block`. No verdict with fewer than `MIN_VALUES` records in a sample or
        when nothing varies.

    Raises:
        SettingsError: Columns differ, or a number below its least.
    """
    pair = prepare(window, reference, max_records, alike=block is not None and block > 1)
    if pair.reason:
        return _silent(pair, window, reference)
    pooled = np.concatenate((pair.reference, pair.window))
    squares = pdist(pooled, "sqeuclidean")
    bandwidth = float(np.median(squares))
    if bandwidth == 0.0:  # more than half of the pairs are equal
        bandwidth = float(squares.mean())
    kernel = squareform(np.exp(-squares / (2.0 * bandwidth)))
    block = block_length(pair) if block is None else block
    labels = _labels(pair, block, n_permutations, seed)
    n, m = len(pair.window), len(pair.reference)
    xx, xy, yy = _sums(kernel, labels)
    drawn = xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - 2.0 * xy / (n * m)
    return _result(drawn, np.sqrt(max(drawn[0], 0.0)), pair, block)


def energy_distance(
    window: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    block: int | None = 1,
    n_permutations: int = 199,
    seed: int = 0,
    max_records: int = MAX_RECORDS,
) -> TestResult:
    """Test one joint distribution by the energy distance (Székely, Rizzo 2004).

    E = 2 mean |x - y| - mean |x - x'| - mean |y - y'| over all pairs, Euclidean; the statistic is
    n m / (n + m) E. Arguments, p-value and no verdict as for `mmd`.

    Returns:
        `effect` is the coefficient of inhomogeneity √(E / (2 mean |x - y|)), in [0, 1].
    """
    pair = prepare(window, reference, max_records, alike=block is not None and block > 1)
    if pair.reason:
        return _silent(pair, window, reference)
    pooled = np.concatenate((pair.reference, pair.window))
    block = block_length(pair) if block is None else block
    labels = _labels(pair, block, n_permutations, seed)
    n, m = len(pair.window), len(pair.reference)
    xx, xy, yy = _sums(squareform(pdist(pooled)), labels)
    across = 2.0 * xy / (n * m)
    energy = np.maximum(across - xx / n**2 - yy / m**2, 0.0)
    effect = np.sqrt(min(energy[0] / across[0], 1.0))
    return _result(energy * (n * m / (n + m)), effect, pair, block)


def block_length(pair: Pair) -> int:
    """Return a block's length that keeps the window's dependence within blocks.

    1 + 10 (k - 1) records, k the median over columns of the window's `column_inflation`: 31 for
    AR(1) with φ = .6. At most a tenth of both samples, so that there are ten blocks to exchange;
    stronger dependence than that allows is not kept, and the test then rejects too often.
    """
    k = float(np.median(column_inflation(pair.window.T)))
    most = (len(pair.window) + len(pair.reference)) // 10
    return max(1, min(most, round(1.0 + 10.0 * (k - 1.0))))


def _labels(pair: Pair, block: int, n_permutations: int, seed: int) -> Array:
    """Return who is in the window, (1 + permutations, N): first as it is, then permuted."""
    n, m = len(pair.window), len(pair.reference)
    labels = np.zeros((1 + n_permutations, n + m))
    labels[0, m:] = 1.0
    orders = block_orders(n + m, block, n_permutations, seed)
    np.put_along_axis(labels[1:], orders[:, m:], 1.0, axis=1)
    return labels


def _sums(matrix: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return sums over (window, window), (window, reference), (reference, reference) pairs.

    Args:
        matrix: (N, N), zero diagonal.
        labels: (rows, N), 1 for the window.
    """
    xx = np.einsum("ij,ij->i", labels @ matrix, labels)
    both = labels @ matrix.sum(axis=1)  # window with all
    return xx, both - xx, matrix.sum() - 2.0 * both + xx


def _result(drawn: Array, effect: float, pair: Pair, block: int) -> TestResult:
    n, m = len(pair.window), len(pair.reference)
    # the observed sum differs from an equal permutation's by rounding of the largest terms
    return TestResult(
        statistic=float(drawn[0]),
        p_value=float(permutation_p(drawn[0] - 1e-12, drawn[1:])),
        effect=float(effect),
        n=n,
        n_reference=m,
        n_effective=max(n / block, 1.0),
        n_effective_reference=max(m / block, 1.0),
    )


def _silent(pair: Pair, window: npt.ArrayLike, reference: npt.ArrayLike) -> TestResult:
    sizes = len(np.asarray(window)), len(np.asarray(reference))
    return no_verdict(pair.reason, n=sizes[0], n_reference=sizes[1])
