"""Effect sizes: how far a window lies from its reference, whatever the number of records.

Population stability index, Jensen-Shannon and Hellinger compare shares of bins: ten bins between
quantiles of the reference, or the categories. **Empty bins are smoothed**: every bin that holds a
value of either sample gets `PSEUDO_COUNT` more values in both (Jeffreys' prior), so an empty bin
costs a finite amount that shrinks as records come. Bins that are empty on both sides are left out.
The outer bins are open: of a window that lies wholly beyond its reference, they see no more than
that it has left nine bins, a Jensen-Shannon distance of .85; `wasserstein` tells how far it went.
Small samples overstate all three: two samples of n and m records from one distribution have a
population stability index of about (bins - 1) (1/n + 1/m).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.samples import Sample

Array = npt.NDArray[np.float64]
Data = npt.ArrayLike | Sample

PSEUDO_COUNT = 0.5
"""Values added to each bin of each sample before shares are taken."""

BINS = 10
"""Bins of a numeric column."""


def bin_counts(window: Data, reference: Data, bins: int = BINS) -> tuple[Array, Array]:
    """Return how many finite values lie in each bin, (d, bins) for window and for reference.

    Bin i reaches from the (i/bins)- to the ((i + 1)/bins)-quantile of the reference, an observed
    value that belongs to the lower bin; the first and last are open. Where many values are equal,
    some bins are empty on both sides.

    Raises:
        SettingsError: Columns differ, or fewer than 2 bins.
    """
    new, old = _samples(window, reference)
    if bins < 2:
        raise SettingsError([Fault("bins", str(bins), "must be at least 2")])
    counts = np.zeros((2, len(new), bins))
    shares = np.arange(1, bins) / bins
    sizes = (new.counts.astype(np.intp), old.counts.astype(np.intp))
    for j in range(len(new)):
        a, b = new.sorted[j, : sizes[0][j]], old.sorted[j, : sizes[1][j]]
        if not len(b):
            continue
        edges = b[np.ceil(shares * len(b)).astype(np.intp) - 1]
        for side, values in enumerate((a, b)):
            up_to = values.searchsorted(edges, "right")
            counts[side, j] = np.diff(up_to, prepend=0, append=len(values))
    return counts[0], counts[1]


def psi(window: Data, reference: Data, bins: int = BINS) -> Array:
    """Return the population stability index of each column, (d,), ≥ 0; see `psi_of_counts`.

    nan where a sample has no finite value.
    """
    return psi_of_counts(*bin_counts(window, reference, bins))


def jensen_shannon(window: Data, reference: Data, bins: int = BINS) -> Array:
    """Return each column's Jensen-Shannon distance, (d,), in [0, 1]; see its ``_of_counts``."""
    return jensen_shannon_of_counts(*bin_counts(window, reference, bins))


def hellinger(window: Data, reference: Data, bins: int = BINS) -> Array:
    """Return each column's Hellinger distance, (d,), in [0, 1]; see its ``_of_counts``."""
    return hellinger_of_counts(*bin_counts(window, reference, bins))


def psi_of_counts(window: npt.ArrayLike, reference: npt.ArrayLike) -> Array:
    """Return Σ (p - q) ln(p / q) over the smoothed shares p of the window, q of the reference.

    The symmetrised Kullback-Leibler divergence (Jeffreys 1946), in nats. By convention of credit
    scoring, below .1 is stable and above .25 is a shift.

    Args:
        window: (..., bins) counts.
        reference: (..., bins) counts.

    Returns:
        (...), ≥ 0; nan where a side is empty.

    >>> round(float(psi_of_counts([50, 50, 0], [40, 40, 20])), 3)
    0.775
    """
    p, q, used = _shares(window, reference)
    with np.errstate(all="ignore"):
        terms = (p - q) * np.log(p / q)
    return _total(terms, used)


def jensen_shannon_of_counts(window: npt.ArrayLike, reference: npt.ArrayLike) -> Array:
    """Return √JSD in base 2, in [0, 1], of the smoothed shares (Endres, Schindelin 2003).

    JSD = ½ Σ p log₂(p / r) + ½ Σ q log₂(q / r), r = (p + q) / 2. Shapes as in `psi_of_counts`.
    """
    p, q, used = _shares(window, reference)
    middle = (p + q) / 2.0
    with np.errstate(all="ignore"):
        terms = (p * np.log2(p / middle) + q * np.log2(q / middle)) / 2.0
    return np.sqrt(np.clip(_total(terms, used), 0.0, 1.0))


def hellinger_of_counts(window: npt.ArrayLike, reference: npt.ArrayLike) -> Array:
    """Return √(½ Σ (√p - √q)²), in [0, 1], of the smoothed shares; shapes as `psi_of_counts`."""
    p, q, used = _shares(window, reference)
    return np.sqrt(_total((np.sqrt(p) - np.sqrt(q)) ** 2 / 2.0, used))


def wasserstein(window: Data, reference: Data) -> Array:
    """Return ∫ |F - G| dx over the reference's standard deviation, each column's, (d,), ≥ 0.

    The first Wasserstein distance, ∫ |F⁻¹(u) - G⁻¹(u)| du, in standard deviations. nan where a
    sample has no finite value or the reference does not vary.
    """
    new, old = _samples(window, reference)
    distance = np.full(len(new), np.nan)
    sizes = np.stack([new.counts, old.counts]).astype(np.intp)
    for n, m in set(zip(*sizes.tolist(), strict=True)):
        if not n or not m:
            continue
        columns = np.flatnonzero((sizes[0] == n) & (sizes[1] == m))
        # both quantile functions are constant between the steps i/n and j/m
        steps = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
        a = new.sorted[columns][:, (steps - 1) // m]
        b = old.sorted[columns][:, (steps - 1) // n]
        with np.errstate(all="ignore"):
            distance[columns] = np.abs(a - b) @ (np.diff(steps, prepend=0) / (n * m))
    return _over(distance, np.sqrt(old.variance))


def cohens_d(window: Data, reference: Data) -> Array:
    """Return each column's difference of means over the pooled deviation, (d,); Cohen (1988).

    Positive when the window is larger; nan with fewer than three finite values in all, an empty
    sample, or when nothing varies.
    """
    new, old = _samples(window, reference)
    with np.errstate(all="ignore"):
        pooled = new.counts * new.variance + old.counts * old.variance
        pooled = np.sqrt(pooled / (new.counts + old.counts - 2.0))
        difference = new.mean - old.mean
    return _over(difference, pooled)


def _samples(window: Data, reference: Data) -> tuple[Sample, Sample]:
    new = window if isinstance(window, Sample) else Sample(window)
    old = reference if isinstance(reference, Sample) else Sample(reference)
    if len(new) != len(old):
        rule = "window and reference must have the same columns"
        raise SettingsError([Fault("window", f"{len(new)} and {len(old)}", rule)])
    return new, old


def _over(value: Array, scale: Array) -> Array:
    with np.errstate(all="ignore"):
        ratio = value / scale
    return np.where(np.isfinite(ratio), ratio, np.nan)


def _shares(
    window: npt.ArrayLike, reference: npt.ArrayLike
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return smoothed shares of both, and which bins hold a value of either."""
    a, b = np.asarray(window, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if a.shape != b.shape or not a.ndim:
        rule = "window and reference must count the same bins"
        raise SettingsError([Fault("window", f"{a.shape} and {b.shape}", rule)])
    used = (a > 0.0) | (b > 0.0)
    shares = []
    for counts in (a, b):
        total = counts.sum(axis=-1, keepdims=True)
        smoothed = np.where(used, counts + PSEUDO_COUNT, 0.0)
        sums = smoothed.sum(axis=-1, keepdims=True)
        with np.errstate(all="ignore"):
            shares.append(np.where(total > 0.0, smoothed / sums, np.nan))
    return shares[0], shares[1], used


def _total(terms: Array, used: npt.NDArray[np.bool_]) -> Array:
    """Return the sum over the bins that are used; nan where there is none, or a side is empty."""
    total: Array = np.where(used, terms, 0.0).sum(axis=-1)
    return np.where(used.any(axis=-1), total, np.nan)
