"""The autoregression against statsmodels, and effective sizes against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from statsmodels.tsa.ar_model import AutoReg, ar_select_order

from driftloop.statistics.autocorrelation import (
    MAX_PERSISTENCE,
    column_inflation,
    effective_size,
    fit_autoregression,
    variance_inflation,
)


def autoregression(seed: int, n: int, *phi: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=n + 500)
    return np.asarray(lfilter([1.0], [1.0, *(-p for p in phi)], noise))[500:]


@pytest.mark.parametrize("phi", [(0.6,), (0.5, 0.3), (0.2, 0.0, 0.6)])
def test_coefficients_and_order_agree_with_statsmodels(phi: tuple[float, ...]) -> None:
    x = autoregression(3, 800, *phi) + 7.0
    found, innovation = fit_autoregression(x)
    order = ar_select_order(x, 6, ic="aic").ar_lags
    assert len(found) == len(order or [])
    fit = AutoReg(x, len(found)).fit()
    np.testing.assert_allclose(found, fit.params[1:], rtol=1e-6)
    assert innovation == pytest.approx(fit.sigma2, rel=1e-6)


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.9])
def test_inflation_is_that_of_an_ar1_series(phi: float) -> None:
    k = [variance_inflation(autoregression(seed, 3000, phi)) for seed in range(40)]
    assert np.median(k) == pytest.approx((1 + phi) / (1 - phi), rel=0.12)


def test_inflation_is_that_of_an_ar2_series() -> None:
    a, b = 0.5, 0.3
    variance = (1 - b) / ((1 + b) * ((1 - b) ** 2 - a**2))
    truth = 1 / (1 - a - b) ** 2 / variance
    k = [variance_inflation(autoregression(seed, 5000, a, b)) for seed in range(20)]
    assert np.median(k) == pytest.approx(truth, rel=0.1)


def test_inflation_never_falls_below_one() -> None:
    assert variance_inflation(autoregression(1, 1000, -0.8)) == 1.0


def test_a_random_walk_has_a_finite_inflation() -> None:
    k = variance_inflation(np.cumsum(np.random.default_rng(0).normal(size=2000)))
    assert 50.0 < k < np.inf
    assert MAX_PERSISTENCE < 1.0


def test_the_scale_and_the_level_do_not_matter() -> None:
    x = autoregression(5, 400, 0.6)
    assert variance_inflation(1e6 * x - 1e7) == pytest.approx(variance_inflation(x), rel=1e-6)


@pytest.mark.parametrize("x", [[], [1.0], [np.nan] * 50, [3.0] * 50, [1.0, 2.0] * 3, [1e308] * 99])
def test_empty_constant_and_tiny_input_count_as_independent(x: list[float]) -> None:
    assert variance_inflation(x) == 1.0
    assert effective_size(x) == np.isfinite(x).sum()


def test_a_periodic_series_is_survived() -> None:
    assert 1.0 <= variance_inflation([0.0, 1.0, 2.0, 1.0] * 50) < np.inf


def test_non_finite_values_are_dropped() -> None:
    x = autoregression(2, 300, 0.6)
    holes = np.insert(x, [10, 50, 200], [np.nan, np.inf, -np.inf])
    assert effective_size(holes) == effective_size(x)


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6, 0.9])
def test_columns_are_inflated_as_series_are(phi: float) -> None:
    """Burg's and least squares' estimates have the same centre, near the true k."""
    e = np.random.default_rng(20).normal(size=(60, 1200))
    x = lfilter([1.0], [1.0, -phi], e, axis=1)[:, 200:]
    columns = column_inflation(x)
    series = np.array([variance_inflation(row) for row in x])
    assert np.median(columns) == pytest.approx((1.0 + phi) / (1.0 - phi), rel=0.2)
    assert np.median(columns) == pytest.approx(np.median(series), rel=0.05)
    assert np.mean(np.abs(np.log(columns / series)) < 0.1) > 0.85


def test_columns_of_a_higher_order_are_inflated_by_their_long_run_variance() -> None:
    e = np.random.default_rng(21).normal(size=(40, 4200))
    x = lfilter([1.0], [1.0, -0.5, -0.3], e, axis=1)[:, 200:]
    true = 1.0 / (1.0 - 0.8) ** 2 / (1.0 / (1.0 - 0.5 * 5.0 / 7.0 - 0.3 * (0.5 * 5.0 / 7.0 + 0.3)))
    assert np.median(column_inflation(x)) == pytest.approx(true, rel=0.1)


def test_columns_with_gaps_constant_or_short_are_inflated_too() -> None:
    x = np.random.default_rng(22).normal(size=(4, 100)).cumsum(axis=1)
    x[1], x[2, 40:45], x[3] = 0.1, np.nan, np.nan
    k = column_inflation(x)
    assert k[0] > 5.0
    assert k[1] == k[3] == 1.0
    assert k[2] == variance_inflation(x[2])
    assert column_inflation(x[:, :5]).tolist() == [1.0] * 4
    assert column_inflation(np.empty((0, 50))).shape == (0,)
