"""Loss tests by resampling: block permutation and the sieve bootstrap, for audits.

Their p-values are multiples of 1/(1 + draws), never below it: 999 draws cannot reject at a level
under .001. They cost milliseconds, a hundred times `loss_test`.

Sizes by simulation (Gaussian AR(1) losses; no verdict counts as no rejection):

====================================  =====  ======  ======  ======  =====
test, records                         level  φ = 0   φ = .6  φ = .9  runs
====================================  =====  ======  ======  ======  =====
block permutation, 300 against 100    .05    .042    .057    (1)     1,000
block permutation, 100 against 300    .05    .049    .071    (1)     1,000
block permutation, 1500 against 500   .05    .050    .070    .062    500
block permutation, 1500 against 500   .001   .000    .004    .002    500
sieve bootstrap, 300 against 100      .05    .035    .035    .032    600
sieve bootstrap, 100 against 300      .05    .060    .055    .055    600
sieve bootstrap, 1500 against 500     .05    .053    .053    .050    300
====================================  =====  ======  ======  ======  =====

Reference before batch. (1): 93 to 100 % without a verdict; so has the sieve bootstrap half of the
time there.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.autocorrelation import (
    MAX_PERSISTENCE,
    finite,
    fit_autoregression,
    variance_inflation,
)
from driftloop.statistics.phases import Phases, phase_inflation, remove_phases
from driftloop.statistics.results import MIN_EFFECTIVE, TestResult, no_verdict

Array = npt.NDArray[np.float64]

MIN_BLOCKS = 5
"""Fewer blocks than this in the batch or the reference: no verdict."""

_CHUNK_VALUES = 2_000_000  # bounds the memory of the draws to some 50 MB


@np.errstate(all="ignore")  # absurd magnitudes end in "no verdict", not in a warning
def block_permutation_test(
    batch: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    tolerance: float = 0.0,
    phases: Phases | None = None,
    seed: int | np.random.Generator = 0,
    block: int | None = None,
    draws: int = 999,
) -> TestResult:
    """Test H0: mean loss(batch) - mean loss(reference) ≤ tolerance, one-sided, by permutation.

    Each sample is cut into blocks of consecutive records, of `block` records or some more so that
    none is left over. The block means of both are pooled and dealt anew `draws` times; the
    statistic is Welch's t of the block means, which keeps the level also where the samples differ
    in variance (Janssen 1997; Chung, Romano 2013). p = (1 + #{t* ≥ t}) / (1 + draws). Exact where
    block means are exchangeable under H0; neighbours that still depend raise the size.

    By default a block has ⌈3 (k - 1)⌉ records, at least 1, k the reference's `variance_inflation`:
    the means of neighbours are then correlated by at most about .13 for an AR(1).
    No verdict below `MIN_BLOCKS` blocks in a sample, or when no block mean differs.

    Args:
        batch: (n,) losses in their order; non-finite ones are dropped.
        reference: (m,) losses in their order, likewise.
        tolerance: Rise of the mean loss that is accepted, in units of the loss.
        phases: As in `loss_test`; the uncertainty of the phases' means enters the statistic.
        seed: Of the permutations; equal seeds give equal p-values.
        block: Records a block, ≥ 1; None chooses it from the reference.
        draws: Permutations, ≥ 1.

    Returns:
        `statistic` is t, `effect` as in `loss_test`; effective sizes are the numbers of blocks.

    Raises:
        SettingsError: `block` or `draws` is below 1, or phases and losses differ in length.
    """
    _check(draws=draws, block=1 if block is None else block)
    new, old, worth, groups = _prepare(batch, reference, phases)
    n, m = len(new), len(old)
    if n == 0 or m <= groups or worth == 0.0:
        return no_verdict("no records to compare", n=n, n_reference=m)
    difference, effect = _effect(new, old, tolerance)
    if math.isnan(difference):
        return no_verdict("losses too large to compare", n=n, n_reference=m)
    if block is None:
        hidden = 1.0 if phases is None else phase_inflation(reference, phases[1])
        block = max(math.ceil(3.0 * (variance_inflation(old) * hidden - 1.0)), 1)
    counts = (n // block, m // block)
    silent = partial(
        no_verdict,
        effect=effect,
        n=n,
        n_reference=m,
        n_effective=float(counts[0]),
        n_effective_reference=float(counts[1]),
    )
    if min(counts) < MIN_BLOCKS:
        which = "batch" if counts[0] <= counts[1] else "reference"
        return silent(f"{which} has {min(counts)} blocks of {block}, fewer than {MIN_BLOCKS}")
    # The batch is moved down by the tolerance, so that H0's edge is one of equal means.
    means = np.concatenate([_block_means(new - tolerance, counts[0]), _block_means(old, counts[1])])
    if not float(np.ptp(means)) > 0.0:
        return silent("neither batch nor reference varies")
    observed = float(_welch(means[None, :], counts[0], m / worth)[0])
    rng = np.random.default_rng(seed)
    bar = observed - 1e-12 * abs(observed)  # the same blocks in another order tie
    exceeding = 0
    rows = max(_CHUNK_VALUES // len(means), 1)
    for start in range(0, draws, rows):
        dealt = np.tile(means, (min(rows, draws - start), 1))  # (draws, blocks)
        rng.permuted(dealt, axis=1, out=dealt)
        exceeding += int(np.count_nonzero(_welch(dealt, counts[0], 1.0) >= bar))
    return TestResult(
        statistic=observed,
        p_value=(1 + exceeding) / (1 + draws),
        effect=effect,
        n=n,
        n_reference=m,
        n_effective=float(counts[0]),
        n_effective_reference=float(counts[1]),
    )


@np.errstate(all="ignore")  # absurd magnitudes end in "no verdict", not in a warning
def sieve_bootstrap_test(
    batch: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    tolerance: float = 0.0,
    phases: Phases | None = None,
    seed: int | np.random.Generator = 0,
    draws: int = 999,
) -> TestResult:
    """Test H0: mean loss(batch) - mean loss(reference) ≤ tolerance, one-sided, by an AR sieve.

    An AR(p), p by AIC, is fitted to the reference (Bühlmann 1997); Σφ is corrected for bias as
    `variance_inflation` does, all φ by one factor. Each draw is one stationary series of m + n
    records from resampled, centred residuals (of both samples, each scaled to the reference's
    variance), the first m the reference, the last n the batch, which follows it without a gap, as
    a monitor's batch does. The batch is scaled by max(1, sd(batch)/sd(reference)), since a loss
    that varies more has a less certain mean. The statistic is the difference of means,
    p = (1 + #{D* ≥ D - tolerance}) / (1 + draws).

    No verdict when a sample is worth fewer than `MIN_EFFECTIVE` / 2 records, or when the reference
    does not vary.

    Args:
        batch: (n,) losses in their order; non-finite ones are dropped.
        reference: (m,) losses in their order, likewise.
        tolerance: Rise of the mean loss that is accepted, in units of the loss.
        phases: As in `loss_test`; the uncertainty of the phases' means enters the draws.
        seed: Of the residuals drawn; equal seeds give equal p-values.
        draws: Bootstrap series, ≥ 1.

    Returns:
        `statistic` is D - tolerance over the draws' standard deviation, `effect` as in `loss_test`.

    Raises:
        SettingsError: `draws` is below 1, or phases and losses differ in length.
    """
    _check(draws=draws)
    new, old, worth, groups = _prepare(batch, reference, phases)
    n, m = len(new), len(old)
    if n == 0 or m <= groups or worth == 0.0:
        return no_verdict("no records to compare", n=n, n_reference=m)
    difference, effect = _effect(new, old, tolerance)
    if math.isnan(difference):
        return no_verdict("losses too large to compare", n=n, n_reference=m)
    hidden = 1.0 if phases is None else phase_inflation(reference, phases[1])
    k = variance_inflation(old) * hidden
    silent = partial(
        no_verdict,
        effect=effect,
        n=n,
        n_reference=m,
        n_effective=n / k,
        n_effective_reference=worth / k,
    )
    if min(n, worth) / k < MIN_EFFECTIVE / 2.0:
        which = "batch" if n <= worth else "reference"
        least = MIN_EFFECTIVE / 2.0
        return silent(f"{which} has {min(n, worth) / k:.1f} effective records, fewer than {least}")
    scale = float(old.std())
    if not scale > 0.0:
        return silent("reference does not vary")
    ratio = max(float(new.std()) / scale, 1.0)
    # Phases cost the reference degrees of freedom, and its standardised mean is less certain.
    reference_error = math.sqrt(m / worth)
    means = _sieve_means(old / scale, n, draws, np.random.default_rng(seed))
    scale *= math.sqrt(m / (m - groups) * hidden)
    drawn = scale * (ratio * means[1] - reference_error * means[0])
    error = float(drawn.std())
    if not error > 0.0:
        return silent("reference does not vary")
    return TestResult(
        statistic=difference / error,
        p_value=(1 + int(np.count_nonzero(drawn >= difference))) / (1 + draws),
        effect=effect,
        n=n,
        n_reference=m,
        n_effective=n / k,
        n_effective_reference=worth / k,
    )


def _sieve_means(old: Array, n: int, draws: int, rng: np.random.Generator) -> Array:
    """Return means of the first m and the last n records of bootstrap series, (2, draws)."""
    m = len(old)
    centred = old - old.mean()
    phi, _ = fit_autoregression(centred)
    if len(phi):
        total = float(phi.sum())
        better = min(total + (1.0 + 3.0 * total) / m, MAX_PERSISTENCE)
        if 0.0 < total < better:
            phi = phi * (better / total)
    denominator = np.concatenate(([1.0], -phi))
    residuals = lfilter(denominator, [1.0], centred)[len(phi) :]
    residuals -= residuals.mean()
    # From rest, the start has faded to 1 % after this many records.
    warm = math.ceil(math.log(0.01) / math.log(max(abs(float(phi.sum())), 0.1))) + 10 * len(phi)
    length = warm + m + n
    means = np.empty((2, draws))
    rows = max(_CHUNK_VALUES // length, 1)
    for start in range(0, draws, rows):
        stop = min(start + rows, draws)
        drawn = rng.choice(residuals, size=(stop - start, length))
        path = lfilter([1.0], denominator, drawn, axis=1)
        means[0, start:stop] = path[:, warm : warm + m].mean(axis=1)
        means[1, start:stop] = path[:, warm + m :].mean(axis=1)
    return means


def _prepare(
    batch: npt.ArrayLike, reference: npt.ArrayLike, phases: Phases | None
) -> tuple[Array, Array, float, int]:
    """Return what `remove_phases` does, also without phases."""
    new, old = np.asarray(batch, np.float64).ravel(), np.asarray(reference, np.float64).ravel()
    if phases is None:
        new, old = finite(new), finite(old)
        return new, old, float(len(old)), 1
    return remove_phases(new, old, phases)


def _effect(new: Array, old: Array, tolerance: float) -> tuple[float, float]:
    """Return the difference of means less the tolerance, nan if absurd; and standardised."""
    difference = float(new.mean()) - float(old.mean()) - tolerance
    spread = math.sqrt((float(new.var()) + float(old.var())) / 2.0)
    if not math.isfinite(difference) or not math.isfinite(spread):
        return math.nan, math.nan
    return difference, difference / spread if spread > 0.0 else math.nan


def _block_means(x: Array, blocks: int) -> Array:
    """Return the means of consecutive blocks of nearly equal lengths, (blocks,)."""
    edges = np.arange(blocks + 1) * len(x) // blocks
    means: Array = np.add.reduceat(x, edges[:-1]) / np.diff(edges)
    return means


def _welch(means: Array, first: int, factor: float) -> Array:
    """Return t of the first block means against the others, (rows,); 0/0 gives 0.

    `factor` enlarges the variance of the others' mean.
    """
    a, b = means[:, :first], means[:, first:]
    error = a.var(axis=1, ddof=1) / a.shape[1] + factor * b.var(axis=1, ddof=1) / b.shape[1]
    difference = a.mean(axis=1) - b.mean(axis=1)
    t: Array = np.where(difference == 0.0, 0.0, difference / np.sqrt(error))
    return t


def _check(**counts: int) -> None:
    """Refuse a count below 1."""
    faults = [
        Fault(name, str(value), "must be at least 1") for name, value in counts.items() if value < 1
    ]
    if faults:
        raise SettingsError(faults)
