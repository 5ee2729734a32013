"""Null distributions against other ways to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from scipy.integrate import quad
from scipy.stats._hypotests import _cdf_cvm_inf

from driftloop.statistics.laws import (
    AD_LIMIT_DEVIATION,
    anderson_darling_sf,
    cramer_von_mises_sf,
    kolmogorov_sf,
)


def imhof(weights: np.ndarray, x: float) -> float:
    """P(Σ wⱼ Zⱼ² > x) by inversion of the characteristic function (Imhof 1961)."""

    def integrand(u: float) -> float:
        phase = 0.5 * np.arctan(weights * u).sum() - 0.5 * x * u
        return np.sin(phase) / (u * np.exp(0.25 * np.log1p((weights * u) ** 2).sum()))

    return 0.5 + quad(integrand, 0.0, 400.0, limit=800)[0] / np.pi


def test_cramer_von_mises_agrees_with_scipys_series() -> None:
    x = np.concatenate([np.geomspace(0.003, 3.0, 200), [0.001]])
    np.testing.assert_allclose(cramer_von_mises_sf(x[:-1]), 1.0 - _cdf_cvm_inf(x[:-1]), atol=1e-10)
    assert cramer_von_mises_sf(x[-1]) == 1.0


@pytest.mark.parametrize("x", [0.4, 1.0, 2.492, 6.0])
def test_anderson_darling_agrees_with_imhofs_inversion(x: float) -> None:
    j = np.arange(1.0, 2001.0)
    rest = 1.0 / 2001.0  # the mean of what is cut off
    expected = imhof(1.0 / (j * (j + 1.0)), x - rest)
    assert anderson_darling_sf(x) == pytest.approx(expected, abs=2e-6, rel=1e-4)


def test_anderson_darlings_moments() -> None:
    """∫ P(> x) dx = 1 and 2 ∫ x P(> x) dx - 1 = 2 (π² - 9) / 3."""
    mean = quad(lambda x: float(anderson_darling_sf(x)), 0.0, 60.0, limit=400)[0]
    second = quad(lambda x: 2.0 * x * float(anderson_darling_sf(x)), 0.0, 60.0, limit=400)[0]
    assert mean == pytest.approx(1.0, abs=1e-8)
    assert np.sqrt(second - mean**2) == pytest.approx(AD_LIMIT_DEVIATION, abs=1e-7)


def test_tails_fall_smoothly_far_out_and_keep_nan() -> None:
    for law in (cramer_von_mises_sf, anderson_darling_sf):
        x = np.linspace(0.0, 400.0, 4001)
        p = law(x)
        assert p[0] == 1.0
        assert (np.diff(p) <= 0.0).all()
        slopes = np.diff(np.log(p[p > 1e-250][200:]))
        assert (np.abs(np.diff(slopes)) < 1e-2).all()
        assert np.isnan(law([np.nan, 1.0])).tolist() == [True, False]


def test_kolmogorov_agrees_with_scipys_one_sided_law() -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(1, 300, 200).astype(float)
    d = rng.uniform(size=200) ** 2
    d[:4] = 0.0, 1.0, 1e-9, np.nan
    expected = [min(2.0 * special.smirnov(int(a), b), 1.0) for a, b in zip(n, d, strict=True)]
    np.testing.assert_allclose(kolmogorov_sf(n, d), expected, rtol=1e-9, atol=1e-300)
    assert kolmogorov_sf(np.empty(0), np.empty(0)).shape == (0,)
