"""The tests of all columns at once: against scipy, under ties and gaps, and their size."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from driftloop.errors import SettingsError
from driftloop.statistics.samples import Sample
from driftloop.statistics.two_sample import ks_features
from driftloop.statistics.univariate import TESTS, compare_columns

PEERS = {
    "ks": lambda a, b: stats.ks_2samp(a, b, method="asymp"),
    "cramer_von_mises": lambda a, b: stats.cramervonmises_2samp(a, b, method="asymptotic"),
    "anderson_darling": lambda a, b: stats.anderson_ksamp([a, b], variant="continuous"),
    "mann_whitney": lambda a, b: stats.mannwhitneyu(a, b, method="asymptotic"),
    "welch": lambda a, b: stats.ttest_ind(a, b, equal_var=False),
    "levene": lambda a, b: stats.levene(a, b, center="median"),
}


def draw(n: int, m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Columns from equal to far apart, in place and in spread."""
    rng = np.random.default_rng(seed)
    new, old = rng.normal(size=(n, 12)), rng.normal(size=(m, 12))
    return new * np.linspace(1.0, 1.4, 12) + np.linspace(0.0, 0.5, 12), old


def peer(name: str, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # clipped p-values
        result = PEERS[name](a[np.isfinite(a)], b[np.isfinite(b)])
    return float(result.statistic), float(result.pvalue)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("n", "m"), [(7, 9), (40, 120), (300, 1000)])
@pytest.mark.parametrize("name", TESTS)
def test_each_column_agrees_with_scipy(name: str, n: int, m: int, gaps: bool) -> None:  # noqa: FBT001
    new, old = draw(n, m)
    if gaps:
        new[:2, ::3], new[3, 4], old[1:3, 1::2], old[0, 5] = np.nan, np.inf, -np.inf, np.nan
    result = compare_columns(new, old, [name])[name]
    for j in range(12):
        statistic, p_value = peer(name, new[:, j], old[:, j])
        assert result.statistic[j] == pytest.approx(statistic, rel=1e-9, abs=1e-9)
        if name == "anderson_darling":  # scipy's is clipped and interpolated
            if 0.001 < p_value < 0.25:
                assert result.p_value[j] == pytest.approx(p_value, abs=0.004)
        elif name != "ks" or p_value < 0.01:  # ours is Kolmogorov's law within .15: ks_features
            assert result.p_value[j] == pytest.approx(p_value, abs=1e-9)
        else:
            assert p_value - 1e-12 <= result.p_value[j] <= p_value + 0.15


def test_ks_is_that_of_ks_features() -> None:
    new, old = draw(60, 200)
    new[3, 2], new[:, 5] = np.nan, np.round(new[:, 5])
    result = compare_columns(new, old, ["ks"])["ks"]
    statistic, p_value = ks_features(new, old)
    np.testing.assert_allclose(result.statistic, statistic, rtol=1e-12)
    np.testing.assert_allclose(result.p_value, p_value, rtol=1e-9)


@pytest.mark.parametrize("name", ["ks", "mann_whitney", "welch", "levene"])
def test_ties_agree_with_scipy_where_scipy_is_right(name: str) -> None:
    new, old = (np.round(values * 2.0) for values in draw(80, 200))
    result = compare_columns(new, old, [name])[name]
    for j in range(12):
        statistic, p_value = peer(name, new[:, j], old[:, j])
        assert result.statistic[j] == pytest.approx(statistic, abs=1e-9)
        if name != "ks":
            assert result.p_value[j] == pytest.approx(p_value, abs=1e-9)


def test_tied_distances_are_the_mean_over_all_orders_of_equal_values() -> None:
    rng = np.random.default_rng(3)
    new, old = rng.integers(0, 4, (30, 1)) * 1.0, rng.integers(0, 5, (60, 1)) * 1.0
    names = ["cramer_von_mises", "anderson_darling"]
    exact = compare_columns(new, old, names)
    jitter = rng.uniform(0.0, 1e-3, size=(90, 4000))
    orders = compare_columns(new + jitter[:30], old + jitter[30:], names)
    for name in names:
        drawn = orders[name].statistic
        error = drawn.std() / np.sqrt(len(drawn))
        assert abs(exact[name].statistic[0] - drawn.mean()) < 4.0 * error


def test_ties_keep_the_size() -> None:
    rng = np.random.default_rng(4)
    for transform in (np.round, lambda z: np.maximum(z, 0.0), lambda z: (z > 1.0) * 1.0):
        z = transform(rng.normal(size=(400, 3000)))
        for name, result in compare_columns(z[:100], z[100:]).items():
            assert np.mean(result.p_value < 0.05) < 0.065, name


def test_size_is_nominal_for_independent_records() -> None:
    z = np.random.default_rng(5).normal(size=(400, 4000))
    for name, result in compare_columns(z[:100], z[100:]).items():
        assert 0.035 < np.mean(result.p_value < 0.05) < 0.06, name
        assert np.mean(result.p_value < 0.001) < 0.003, name


@pytest.mark.parametrize("phi", [0.3, 0.6, 0.9])
def test_effective_sizes_keep_the_level_where_plain_tests_lose_it(phi: float) -> None:
    rng = np.random.default_rng(6)
    z = lfilter([1.0], [1.0, -phi], rng.normal(size=(1400, 800)), axis=0)[100:]
    plain = compare_columns(z[1000:], z[:1000])
    result = compare_columns(z[1000:], z[:1000], dependence="ar")
    for name in TESTS:
        assert np.mean(result[name].p_value < 0.05) < 0.075, name
        assert np.mean(result[name].p_value < 0.001) < 0.008, name
        assert np.mean(plain[name].p_value < 0.05) > np.mean(result[name].p_value < 0.05), name


def test_power_on_the_change_each_test_is_for() -> None:
    rng = np.random.default_rng(7)
    old = rng.normal(size=(500, 200))
    moved, wider = rng.normal(0.5, 1.0, (200, 200)), rng.normal(0.0, 1.7, (200, 200))
    for name in ("ks", "cramer_von_mises", "anderson_darling", "mann_whitney", "welch"):
        assert np.mean(compare_columns(moved, old, [name])[name].p_value < 0.001) > 0.95, name
    for name in ("anderson_darling", "levene"):
        assert np.mean(compare_columns(wider, old, [name])[name].p_value < 0.001) > 0.95, name


def test_power_remains_with_dependent_records() -> None:
    rng = np.random.default_rng(8)
    z = lfilter([1.0], [1.0, -0.6], rng.normal(size=(1400, 100)), axis=0)[100:] * 0.8
    z[1000:] += 1.0
    for name in ("cramer_von_mises", "anderson_darling", "mann_whitney", "welch"):
        result = compare_columns(z[1000:], z[:1000], [name], dependence="ar")[name]
        assert np.mean(result.p_value < 0.001) > 0.9, name


def test_effects_tell_size_and_direction() -> None:
    rng = np.random.default_rng(9)
    old = rng.normal(size=(4000, 1))
    new = rng.normal(0.5, 2.0, (4000, 1))
    result = {name: test.effect[0] for name, test in compare_columns(new, old).items()}
    auc = stats.norm.cdf(0.5 / np.sqrt(5.0))
    assert result["mann_whitney"] == pytest.approx(2.0 * auc - 1.0, abs=0.03)
    assert result["welch"] == pytest.approx(0.5 / np.sqrt(2.5), abs=0.05)
    assert result["levene"] == pytest.approx(np.log(4.0), abs=0.15)
    swapped = {name: test.effect[0] for name, test in compare_columns(old, new).items()}
    for name in ("mann_whitney", "welch", "levene"):
        assert swapped[name] == pytest.approx(-result[name], rel=1e-9)
    apart = compare_columns(old[:300] + 100.0, old[300:1000])
    for name in ("ks", "cramer_von_mises", "anderson_darling", "mann_whitney"):
        assert apart[name].effect[0] == pytest.approx(1.0, abs=0.02), name


def test_columns_without_a_verdict_say_why() -> None:
    new, old = np.zeros((20, 4)), np.zeros((30, 4))
    new[:, 0], old[:, 0] = np.arange(20), np.arange(30)
    new[4:, 1] = np.nan
    old[:, 3] = np.nan
    for result in compare_columns(new, old).values():
        assert np.isnan(result.p_value).tolist() == [False, True, True, True]
        assert np.isnan(result.statistic).tolist() == [False, True, True, True]
        assert [result.reason(j) for j in range(4)] == [
            "",
            "window has 4 values, fewer than 5",
            "nothing varies, or the values are too large to compare",
            "reference has 0 values, fewer than 5",
        ]
        assert result.column(1).reason
        assert result.column(0).has_verdict
        assert len(result) == 4


def test_too_few_effective_records_give_no_verdict() -> None:
    rng = np.random.default_rng(10)
    new, old = rng.normal(size=(40, 2)), rng.normal(size=(400, 2))
    result = compare_columns(new, old, ["welch"], inflation=[1.0, 8.0])["welch"]
    assert np.isnan(result.p_value).tolist() == [False, True]
    assert result.reason(1) == "window has 5.0 effective values, fewer than 10"
    assert result.n_effective.tolist() == [40.0, 5.0]


@pytest.mark.parametrize("shape", [(0, 3), (20, 0), (1, 3)])
def test_empty_and_tiny_windows_give_no_verdict(shape: tuple[int, int]) -> None:
    old = np.random.default_rng(11).normal(size=(20, shape[1]))
    for dependence in ("none", "ar"):
        for result in compare_columns(np.zeros(shape), old, dependence=dependence).values():
            assert result.p_value.shape == (shape[1],)
            assert np.isnan(result.p_value).all()
        for result in compare_columns(old, np.zeros(shape), dependence=dependence).values():
            assert np.isnan(result.p_value).all()


def test_absurd_magnitudes_give_a_p_value_or_none() -> None:
    rng = np.random.default_rng(12)
    new, old = rng.normal(size=(20, 2)) * [1e307, 1e-307], rng.normal(size=(30, 2)) * 1e306
    for result in compare_columns(new, old, dependence="ar").values():
        known = result.p_value[~np.isnan(result.p_value)]
        assert ((known >= 0.0) & (known <= 1.0)).all()


def test_a_prepared_reference_gives_the_same_and_pickles() -> None:
    new, old = draw(50, 150)
    sample = Sample(old)
    plain = compare_columns(new, old, dependence="ar")
    for reference in (sample, sample, pickle.loads(pickle.dumps(sample))):  # noqa: S301
        result = compare_columns(Sample(new), reference, dependence="ar")
        for name in TESTS:
            np.testing.assert_array_equal(result[name].p_value, plain[name].p_value)
    result = pickle.loads(pickle.dumps(plain["ks"]))  # noqa: S301
    np.testing.assert_array_equal(result.effect, plain["ks"].effect)


def test_columns_do_not_see_each_other() -> None:
    new, old = draw(50, 150)
    new[:, 3] = np.round(new[:, 3])
    new[4, 2] = np.nan
    together = compare_columns(new, old)
    for j in range(12):
        alone = compare_columns(new[:, [j]], old[:, [j]])
        for name in TESTS:
            assert alone[name].p_value[0] == pytest.approx(together[name].p_value[j], rel=1e-12)


def test_unknown_names_and_other_columns_are_refused() -> None:
    a = np.zeros((5, 2))
    with pytest.raises(SettingsError, match="same columns"):
        compare_columns(a, np.zeros((5, 3)))
    with pytest.raises(SettingsError, match=r"records by columns"):
        compare_columns(a[0], a)
    with pytest.raises(SettingsError, match=r"(?s)must be of ks.*must be one of none, ar"):
        compare_columns(a, a, ["kss"], dependence="arma")
    with pytest.raises(SettingsError, match="at least 1"):
        compare_columns(a, a, inflation=[0.5, 1.0])
