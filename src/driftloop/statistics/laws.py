"""Null distributions of the rank tests, fast for many statistics at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.interpolate import CubicSpline

Array = npt.NDArray[np.float64]

AD_LIMIT_DEVIATION = float(np.sqrt(2.0 * (np.pi**2 - 9.0) / 3.0))
"""Standard deviation of the limit law of Anderson-Darling's two-sample statistic; its mean is 1."""

_NODES = 40
_PAIRS = 120
_KNOTS = 1500
_LARGEST_BLOCK = 1 << 20  # numbers at once in `kolmogorov_sf`: 8 MB


def kolmogorov_sf(size: npt.ArrayLike, distance: npt.ArrayLike) -> Array:
    """Return min(1, 2 P(D⁺ₙ ≥ d)) for each n and d: see `two_sample.ks_features` for its accuracy.

    P(D⁺ₙ ≥ d) = d Σⱼ C(n, j) (d + j/n)^(j - 1) (1 - d - j/n)^(n - j) over 0 ≤ j < n (1 - d)
    (Smirnov 1944), in logarithms; all terms are positive.

    Args:
        size: (d,) whole numbers ≥ 1, as floats: the rounded n m / (n + m).
        distance: (d,) in [0, 1]; nan gives nan.
    """
    sizes, d = np.broadcast_arrays(
        np.asarray(size, dtype=np.float64), np.asarray(distance, dtype=np.float64)
    )
    tail = np.ones(d.shape)
    rows = np.flatnonzero(d > 0.0)
    if len(rows):
        width = int(sizes[rows].max()) + 1
        step = max(_LARGEST_BLOCK // width, 1)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            tail[part] = _smirnov(sizes[part], d[part])
    return np.where(np.isnan(d), np.nan, np.minimum(2.0 * tail, 1.0))


@np.errstate(divide="ignore", invalid="ignore")
def _smirnov(n: Array, d: Array) -> Array:
    terms = int(np.minimum(np.ceil(n * (1.0 - d)), n).max()) + 1
    j = np.arange(float(terms))  # (terms,)
    if (n == n[0]).all():
        binomials = log_binomials(int(n[0]))[0][:terms]
    else:
        rest = np.maximum(n[:, None] - j, 0.0)
        binomials = special.gammaln(n + 1.0)[:, None] - special.gammaln(rest + 1.0)
        binomials -= special.gammaln(j + 1.0)
    share = j / n[:, None]
    share += d[:, None]  # (rows, terms)
    rest = 1.0 - share
    outside = (rest <= 0.0) & (j < n[:, None])
    np.maximum(rest, 0.0, out=rest)
    log_terms = np.log(share)
    log_terms *= j - 1.0
    np.log(rest, out=rest)
    rest *= n[:, None] - j
    # j = n adds d (d + 1)^(n - 1) 0^0 only at d = 0, which is not asked for
    log_terms += rest
    log_terms += binomials
    log_terms[outside | (j >= n[:, None])] = -np.inf
    total: Array = d * np.exp(log_terms, out=log_terms).sum(axis=1)
    return np.minimum(total, 1.0)


@lru_cache(maxsize=64)
def log_binomials(n: int) -> tuple[Array, Array]:
    """Return log C(n, j) and j, both (n + 1,), over 0 ≤ j ≤ n."""
    j = np.arange(n + 1.0)
    return special.gammaln(n + 1.0) - special.gammaln(j + 1.0) - special.gammaln(n - j + 1.0), j


def cramer_von_mises_sf(x: npt.ArrayLike) -> Array:
    """Return P(W² > x) of the limit law W² = Σ Zⱼ² / (j π)².

    Smirnov's inversion (see `_mixture`) with D(y) = sin √y / √y, accurate to 1e-11, and to 1e-7
    relative in the tail. (scipy's series differs by up to 3e-8 for x > 4, where it leaves its own
    range.) Below x = .003, where the probability lies within 1e-15 of 1, it is 1. nan gives nan.

    >>> round(float(cramer_von_mises_sf(0.46136)), 4)
    0.05
    """
    return _tabled(_cvm_mixture, 0.003, 60.0, x)


def anderson_darling_sf(x: npt.ArrayLike) -> Array:
    """Return P(A² > x) of the limit law A² = Σ Zⱼ² / (j (j + 1)).

    Smirnov's inversion (see `_mixture`) with D(y) = -cos(π √(1 + 4y) / 2) / (π y), Anderson and
    Darling (1952), accurate to 1e-11, and to 1e-7 relative in the tail. Below x = .03, where the
    probability lies within 1e-15 of 1, it is 1. nan gives nan.

    >>> round(float(anderson_darling_sf(2.492)), 4)
    0.05
    """
    return _tabled(_ad_mixture, 0.03, 200.0, x)


def _mixture(
    rates: Array, determinant: Callable[[Array], Array], nodes: int = _NODES
) -> tuple[Array, Array]:
    """Return weights w and rates y with P(Σ Zⱼ²/μⱼ > x) = Σ w exp(-x y / 2).

    Smirnov (1937): P = π⁻¹ Σₖ (-1)^(k+1) ∫ exp(-x y / 2) / (y √|D(y)|) dy over μ₂ₖ₋₁ < y < μ₂ₖ,
    D(y) = Π (1 - y/μⱼ). Gauss-Chebyshev nodes take the roots at both ends.

    Args:
        rates: μ₁ < μ₂ < …, an even number of them.
        determinant: D.
        nodes: Nodes of each integral.
    """
    low, high = rates[::2, None], rates[1::2, None]
    angle = (np.arange(nodes) + 0.5) * np.pi / nodes
    half = (high - low) / 2.0
    y = low + half * (1.0 - np.cos(angle))  # (pairs, nodes)
    signs = np.where(np.arange(len(low)) % 2 == 0, 1.0, -1.0)[:, None]
    weights = signs * half * np.sin(angle) / (nodes * y * np.sqrt(np.abs(determinant(y))))
    return weights, y


@lru_cache(maxsize=1)
def _cvm_mixture() -> tuple[Array, Array]:
    rates = (np.arange(1.0, 2 * _PAIRS + 1.0) * np.pi) ** 2
    return _mixture(rates, lambda y: np.sin(np.sqrt(y)) / np.sqrt(y))


@lru_cache(maxsize=1)
def _ad_mixture() -> tuple[Array, Array]:
    j = np.arange(1.0, 2 * _PAIRS + 1.0)
    return _mixture(
        j * (j + 1.0), lambda y: np.cos(np.pi / 2.0 * np.sqrt(1.0 + 4.0 * y)) / (np.pi * y)
    )


Mixture = Callable[[], tuple[Array, Array]]


@lru_cache(maxsize=4)
def _table(mixture: Mixture, low: float, high: float) -> CubicSpline:
    """Return a spline of log P(> x) over log x."""
    weights, rates = mixture()
    knots = np.linspace(np.log(low), np.log(high), _KNOTS)
    values = np.empty(_KNOTS)
    for index, x in enumerate(np.exp(knots)):
        values[index] = np.exp(-x * (rates - rates[0, 0]) / 2.0).ravel() @ weights.ravel()
    return CubicSpline(knots, np.log(values) - np.exp(knots) * rates[0, 0] / 2.0)


def _tabled(mixture: Mixture, low: float, high: float, x: npt.ArrayLike) -> Array:
    values = np.atleast_1d(np.asarray(x, dtype=np.float64))
    spline = _table(mixture, low, high)
    inside = np.clip(values, low, high)  # keeps nan
    p: Array = np.minimum(np.exp(spline(np.log(inside))), 1.0)
    p[values < low] = 1.0
    far = values > high
    if far.any():
        weights, rates = mixture()  # there, the first integral is all
        p[far] = np.exp(-values[far, None] * rates[0] / 2.0) @ weights[0]
    return p.reshape(np.shape(x))
