"""The vectorised Kolmogorov-Smirnov test against scipy's, and its size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from driftloop.errors import SettingsError
from driftloop.statistics.two_sample import _one_sided_tail, ks_features


def test_each_feature_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    new, old = rng.normal(size=(150, 6)), rng.normal(size=(400, 6))
    new[:, 1] += 0.3
    new[:, 2], old[:, 2] = rng.integers(0, 4, 150), rng.integers(0, 5, 400)  # ties
    new[:, 3] = old[:, 3] = 1.0  # constant
    new[rng.uniform(size=150) < 0.2, 4] = np.nan
    old[rng.uniform(size=400) < 0.4, 4] = np.inf
    new[:, 5] = 100.0  # apart
    statistics, p_values = ks_features(new, old)
    for j in range(6):
        a, b = new[:, j], old[:, j]
        expected = stats.ks_2samp(a[np.isfinite(a)], b[np.isfinite(b)], method="asymp")
        assert statistics[j] == pytest.approx(expected.statistic, abs=1e-12)
        assert expected.pvalue - 1e-12 <= p_values[j] <= expected.pvalue + 0.15
        if p_values[j] < 0.01:
            assert p_values[j] == pytest.approx(expected.pvalue, abs=1e-9, rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (10, 30), (50, 50), (200, 1000), (3000, 2000)])
def test_p_values_bound_scipys_and_agree_where_they_matter(n: int, m: int) -> None:
    """Against scipy at every statistic on a grid: one feature each, shifted by k positions."""
    old = np.arange(m, dtype=float)[:, None] / m
    shifts = np.linspace(0.0, 1.0, 60)
    new = (np.arange(n, dtype=float)[:, None] + 0.5) / n + shifts
    statistics, p_values = ks_features(new, np.repeat(old, len(shifts), axis=1))
    expected = stats.kstwo.sf(statistics, np.round(n * (m / (n + m))))
    assert (p_values >= expected - 1e-12).all()
    assert (p_values <= expected + 0.15).all()
    assert (p_values <= expected + 1e-4)[p_values < 0.1].all()
    small = p_values < 0.01
    assert small.any()
    np.testing.assert_allclose(p_values[small], expected[small], atol=1e-9, rtol=1e-6)


def test_size_is_nominal_for_independent_records() -> None:
    rng = np.random.default_rng(1)
    _, p_values = ks_features(rng.normal(size=(100, 4000)), rng.normal(size=(300, 4000)))
    assert 0.03 < (p_values < 0.05).mean() <= 0.055
    assert (p_values < 0.001).mean() <= 0.002


def test_power_under_a_shift() -> None:
    rng = np.random.default_rng(2)
    _, p_values = ks_features(rng.normal(0.5, 1, (200, 300)), rng.normal(size=(500, 300)))
    assert (p_values < 0.001).mean() > 0.95


def test_a_feature_without_enough_values_has_no_verdict() -> None:
    new, old = np.zeros((20, 2)), np.zeros((20, 2))
    new[4:, 0] = np.nan
    statistics, p_values = ks_features(new, old)
    assert np.isnan(statistics).tolist() == np.isnan(p_values).tolist() == [True, False]
    for shape in ((0, 2), (20, 0)):
        statistics, p_values = ks_features(np.zeros(shape), np.zeros((20, shape[1])))
        assert np.isnan(p_values).all()
        assert statistics.shape == p_values.shape == (shape[1],)


def test_other_features_are_refused() -> None:
    with pytest.raises(SettingsError, match="same features"):
        ks_features(np.zeros((5, 2)), np.zeros((5, 3)))


def test_the_one_sided_law_agrees_with_scipy() -> None:
    for n in (1, 2, 7, 90, 1500):
        for d in (0.0, 1e-4, 0.01, 0.2, 0.7, 1.0):
            expected = special.smirnov(n, d)
            assert _one_sided_tail(n, d) == pytest.approx(expected, rel=1e-9, abs=1e-300)
