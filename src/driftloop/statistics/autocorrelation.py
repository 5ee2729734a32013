"""How many independent records a dependent series is worth.

The variance of the mean of a stationary series of n records is, for large n, k times what it
would be for independent ones, k = long-run variance / variance = 1 + 2 Σ autocorrelations. So its
mean is known as well as that of n / k independent records.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dposv, dpotrf, dtrtrs

Array = npt.NDArray[np.float64]

MAX_PERSISTENCE = 0.995
"""Σφ is read as at most this: k stays finite (399 for AR(1)) for a unit root."""

_RECORDS_PER_ORDER = 10
_RELATIVE_RIDGE = 1e-10  # keeps the normal equations of a periodic series solvable


def finite(values: npt.ArrayLike) -> Array:
    """Return the finite values, flattened, (n,) float64; the neighbours of a gap close up."""
    array = np.asarray(values, dtype=np.float64).ravel()
    mask = np.isfinite(array)
    return array if mask.all() else array[mask]


@np.errstate(over="ignore", invalid="ignore")  # absurd magnitudes count as no dependence
def fit_autoregression(x: Array, max_order: int = 6) -> tuple[Array, float]:
    """Fit AR(p) with an intercept by conditional least squares, p ≤ max_order by AIC.

    The orders are compared on the same n - max_order records, AIC(p) = N ln(RSS_p / N) + 2p, ties
    to the smaller; the chosen order is fitted again on all n - p. At most one order for ten records
    is tried.

    Args:
        x: (n,) finite values.
        max_order: Largest order, ≥ 0.

    Returns:
        The coefficients φ, (p,), and the innovation variance RSS / (n - p). p = 0 for a constant
        or a short series.
    """
    n = len(x)
    order = min(max_order, n // _RECORDS_PER_ORDER)
    centred = x - np.add.reduce(x) / n if n else x
    variance = float(centred @ centred) / max(n, 1)
    if order < 1 or not 0.0 < variance < np.inf:
        return np.empty(0), variance
    centred /= math.sqrt(variance)
    gram, target, total = _normal_equations(centred, order)
    # With L Lᵀ = gram and L z = target, the first p values of z give RSS_p for every p at once.
    factor, failed = dpotrf(gram, lower=1)
    if failed:  # rounding alone made it indefinite, in spite of the ridge
        return np.empty(0), variance
    explained = np.cumsum(dtrtrs(factor, target, lower=1)[0] ** 2)
    rss = np.maximum(total - np.concatenate(([0.0], explained)), _RELATIVE_RIDGE * total)
    records = n - order
    chosen = int(np.argmin(records * np.log(rss / records) + 2.0 * np.arange(order + 1)))
    if chosen == 0:
        return np.empty(0), variance
    gram, target, total = _normal_equations(centred, chosen)
    phi: Array = dposv(gram, target)[1]
    innovation = max(total - float(phi @ target), 0.0) / (n - chosen)
    return phi, innovation * variance


def _normal_equations(x: Array, order: int) -> tuple[Array, Array, float]:
    """Return LᵀL (order, order), Lᵀy (order,) and yᵀy of the centred lags L and target y."""
    n = len(x)
    columns = np.empty((order + 1, n - order))  # target, lag 1, …
    for lag in range(order + 1):
        columns[lag] = x[order - lag : n - lag]
    columns -= np.add.reduce(columns, axis=1, keepdims=True) / (n - order)
    gram = columns @ columns.T
    gram.flat[:: order + 2] += _RELATIVE_RIDGE * (n - order)  # its diagonal
    return gram[1:, 1:], gram[1:, 0], float(gram[0, 0])


def variance_inflation(x: npt.ArrayLike, max_order: int = 6) -> float:
    """Return k ≥ 1: long-run variance over variance of a series, by an autoregression.

    The order is chosen by AIC (see `fit_autoregression`). Least squares finds too little
    persistence in a short series, so Σφ is corrected for bias before use: by Kendall (1954),
    E φ̂ - φ ≈ -(1 + 3φ)/n for AR(1) with an unknown mean; the same shift is applied to the sum of a
    higher order, where it is an approximation. Then

    - AR(1): k = (1 + φ)/(1 - φ);
    - AR(p): k = s / (1 - Σφ)², s = innovation variance / variance of the series.

    k below 1 (negative dependence) is read as 1, and Σφ as at most `MAX_PERSISTENCE`. Non-finite
    values are dropped; a constant series, or one of fewer than ten records, gives 1.

    Args:
        x: (n,) values in their order of time.
        max_order: Largest order of the autoregression.
    """
    values = finite(x)
    phi, innovation = fit_autoregression(values, max_order)
    if not len(phi):
        return 1.0
    total = float(phi.sum())
    total = min(total + (1.0 + 3.0 * total) / len(values), MAX_PERSISTENCE)
    if len(phi) == 1:
        return max((1.0 + total) / (1.0 - total), 1.0)
    return max(innovation / float(values.var()) / (1.0 - total) ** 2, 1.0)


def effective_size(x: npt.ArrayLike, max_order: int = 6) -> float:
    """Return n / k, in (0, n]: the finite values' worth in independent ones; 0 for none."""
    values = finite(x)
    return len(values) / variance_inflation(values, max_order)


@np.errstate(all="ignore")  # constant columns and absurd magnitudes end in k = 1
def column_inflation(x: Array, max_order: int = 6) -> Array:
    """Return `variance_inflation` of every row of (d, n), (d,), all rows in one pass.

    The autoregressions are fitted by Burg's recursion (1975) instead of least squares; orders,
    AIC, the correction for bias and the bounds are those of `variance_inflation`, with the same
    limit. Rows with nan are done one by one.

    Args:
        x: (d, n) values, each row in its order of time.
        max_order: Largest order of the autoregressions.
    """
    d, n = x.shape
    factors = np.ones(d)
    order = min(max_order, n // _RECORDS_PER_ORDER)
    if order < 1 or d == 0:
        return factors
    broken = ~np.isfinite(x).all(axis=1)
    for row in np.flatnonzero(broken):
        factors[row] = variance_inflation(x[row], max_order)
    whole = np.flatnonzero(~broken)
    centred = x[whole] - x[whole].mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", centred, centred) / n
    usable = (variance > 0.0) & (variance < np.inf)
    usable &= np.ptp(x[whole], axis=1) > _RELATIVE_RIDGE * np.abs(x[whole]).max(axis=1)
    whole, variance = whole[usable], variance[usable]
    if len(whole):
        factors[whole] = _burg_inflation(centred[usable] / np.sqrt(variance)[:, None], order)
    return factors


def _burg_inflation(x: Array, order: int) -> Array:
    """Return k ≥ 1 of standardised rows (d, n)."""
    d, n = x.shape
    forward, backward = x[:, 1:], x[:, :-1]
    phi = np.zeros((d, 0))
    innovation = np.ones(d)
    best, totals, innovations = np.zeros(d), np.zeros(d), np.ones(d)
    chosen = np.zeros(d, dtype=np.intp)
    for p in range(1, order + 1):
        power = np.einsum("ij,ij->i", forward, forward) + np.einsum("ij,ij->i", backward, backward)
        reflection = 2.0 * np.einsum("ij,ij->i", forward, backward) / np.maximum(power, 1e-300)
        phi = np.hstack([phi - reflection[:, None] * phi[:, ::-1], reflection[:, None]])
        innovation = innovation * np.maximum(1.0 - reflection**2, _RELATIVE_RIDGE)
        criterion = n * np.log(innovation) + 2.0 * p
        better = criterion < best
        best = np.where(better, criterion, best)
        chosen = np.where(better, p, chosen)
        totals = np.where(better, phi.sum(axis=1), totals)
        innovations = np.where(better, innovation, innovations)
        forward, backward = (
            (forward - reflection[:, None] * backward)[:, 1:],
            (backward - reflection[:, None] * forward)[:, :-1],
        )
    totals = np.minimum(totals + (1.0 + 3.0 * totals) / n, MAX_PERSISTENCE)
    first = (1.0 + totals) / (1.0 - totals)
    higher = innovations / (1.0 - totals) ** 2
    k = np.where(chosen == 1, first, higher)
    return np.where(chosen == 0, 1.0, np.maximum(k, 1.0))
