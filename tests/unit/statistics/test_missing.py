"""Missing rates against scipy's Fisher test and the normal law, and their size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

from driftloop.errors import SettingsError
from driftloop.statistics.missing import missing_columns, missing_rate, missing_rates
from driftloop.statistics.samples import Sample


@pytest.mark.parametrize(("n", "m"), [(5, 8), (50, 80), (300, 1000)])
def test_small_counts_agree_with_fishers_test(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, n + 1, 60), rng.integers(0, m + 1, 60)
    x[:3], y[:3] = (0, n, 0), (0, m, m)
    result = missing_rates(x, n, y, m)
    for j in range(60):
        table = [[x[j], n - x[j]], [y[j], m - y[j]]]
        assert result.p_value[j] == pytest.approx(stats.fisher_exact(table)[1], abs=1e-9, rel=1e-6)
    np.testing.assert_allclose(result.effect, x / n - y / m)


def test_large_counts_agree_with_the_two_proportion_test() -> None:
    result = missing_rates([5200.0], 10000, [25000.0], 50000)
    expected = proportions_ztest([5200, 25000], [10000, 50000])[1]
    assert result.p_value[0] == pytest.approx(expected, rel=1e-9)


def test_columns_count_what_is_not_finite() -> None:
    new, old = np.zeros((20, 3)), np.zeros((40, 3))
    new[:4, 0], new[0, 1], old[:2, 1] = np.nan, np.inf, -np.inf
    result = missing_columns(new, old)
    assert result.statistic.tolist() == [4.0, 1.0, 0.0]
    assert result.effect.tolist() == pytest.approx([0.2, 0.0, 0.0])
    assert result.p_value[2] == 1.0
    again = missing_columns(Sample(new), Sample(old))
    np.testing.assert_array_equal(again.p_value, result.p_value)
    categories = missing_rate([None] * 3 + [float("nan")] + ["a"] * 16, ["a"] * 40)
    assert categories.p_value == pytest.approx(result.p_value[0])


def test_size_and_power() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.binomial(300, 0.05, 3000), rng.binomial(1000, 0.05, 3000)
    null = missing_rates(x, 300, y, 1000).p_value
    assert 0.02 < np.mean(null <= 0.05) <= 0.055
    assert np.mean(null <= 0.001) <= 0.003
    found = missing_rates(rng.binomial(300, 0.12, 200), 300, y[:200], 1000).p_value
    assert np.mean(found <= 0.01) > 0.9


def test_inflation_takes_stretches_as_fewer_records() -> None:
    plain = missing_rates([40.0], 200, [40.0], 400)
    inflated = missing_rates([40.0], 200, [40.0], 400, inflation=4.0)
    assert inflated.p_value[0] == pytest.approx(missing_rates([10.0], 50, [10.0], 100).p_value[0])
    assert inflated.effect[0] == plain.effect[0]
    assert inflated.n_effective[0] == 50.0
    with pytest.raises(SettingsError, match="at least 1"):
        missing_columns(np.zeros((9, 2)), np.zeros((9, 2)), inflation=[1.0, 0.5])


def test_tiny_windows_give_no_verdict() -> None:
    for n in (0, 4):
        result = missing_columns(np.zeros((n, 2)), np.zeros((30, 2)))
        assert np.isnan(result.p_value).all()
        assert result.reason(0) == f"window has {n} values, fewer than 5"
    assert missing_columns(np.zeros((9, 0)), np.zeros((9, 0))).p_value.shape == (0,)
    assert not missing_rate([], []).has_verdict
    with pytest.raises(SettingsError, match="same columns"):
        missing_columns(np.zeros((9, 2)), np.zeros((9, 1)))
