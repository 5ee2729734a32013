"""Every loss test: one contract, size and power by simulation, statsmodels for HAC."""

from __future__ import annotations

import math
import pickle
import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.signal import lfilter

from driftloop.errors import SettingsError
from driftloop.statistics.hac import bartlett_lags, long_run_variance, newey_west_test
from driftloop.statistics.loss_registry import LOSS_TESTS
from driftloop.statistics.resampling import block_permutation_test, sieve_bootstrap_test

NAMES = sorted(LOSS_TESTS)
RANDOM = ["block_permutation", "sieve_bootstrap"]


def series(seed: int, runs: int, n: int, phi: float) -> np.ndarray:
    """Return stationary AR(1) series of variance 1, (runs, n)."""
    noise = np.random.default_rng(seed).normal(size=(runs, n + 200))
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))[:, 200:] * math.sqrt(1 - phi**2)


def rejections(p_values: list[float], level: float) -> float:
    return float(np.mean(np.nan_to_num(p_values, nan=1.0) <= level))


@pytest.mark.parametrize("phi", [0.0, 0.7])
@pytest.mark.parametrize("lags", [0, 3, 11])
def test_long_run_variance_agrees_with_statsmodels(phi: float, lags: int) -> None:
    x = series(1, 1, 250, phi)[0]
    fit = sm.OLS(x, np.ones(250)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    assert long_run_variance(x, lags) / 250 == pytest.approx(fit.cov_params()[0, 0], rel=1e-10)


def test_newey_west_statistic_agrees_with_statsmodels() -> None:
    x = series(2, 1, 600, 0.5)[0]
    batch, reference = x[400:] + 0.3, x[:400]
    error = 0.0
    for sample in (batch, reference):
        settings = {"maxlags": 6, "use_correction": True}
        fit = sm.OLS(sample, np.ones(len(sample))).fit(cov_type="HAC", cov_kwds=settings)
        error += fit.cov_params()[0, 0]
    expected = (batch.mean() - reference.mean() - 0.1) / math.sqrt(error)
    result = newey_west_test(batch, reference, tolerance=0.1, bandwidth=6)
    assert result.statistic == pytest.approx(expected, rel=1e-10)


def test_newey_west_without_lags_is_welchs_t() -> None:
    rng = np.random.default_rng(3)
    batch, reference = rng.exponential(1.2, 80), rng.exponential(1.0, 250)
    expected = stats.ttest_ind(batch, reference, equal_var=False, alternative="greater")
    result = newey_west_test(batch, reference, bandwidth=0)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_bandwidths_follow_their_formulas() -> None:
    x = series(4, 1, 400, 0.8)[0]
    assert bartlett_lags(x, "newey_west") == math.floor(4 * 4 ** (2 / 9))
    rho = np.corrcoef(x[1:], x[:-1])[0, 1]
    alpha = 4 * rho**2 / (1 - rho**2) ** 2
    assert bartlett_lags(x, "andrews") == pytest.approx(1.1447 * (alpha * 400) ** (1 / 3), abs=1.5)
    assert bartlett_lags(np.ones(50), "andrews") == 0
    assert bartlett_lags(np.array([1.0]), 5) == 0


def test_block_permutation_agrees_with_scipy() -> None:
    """With blocks of one record it is scipy's permutation test of Welch's t."""
    rng = np.random.default_rng(5)
    batch, reference = rng.normal(0.6, 1.5, 12), rng.normal(size=20)

    def welch(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        error = a.var(axis, ddof=1) / a.shape[axis] + b.var(axis, ddof=1) / b.shape[axis]
        return np.asarray((a.mean(axis) - b.mean(axis)) / np.sqrt(error))

    expected = stats.permutation_test(
        (batch, reference), welch, alternative="greater", n_resamples=20_000, rng=1
    )
    result = block_permutation_test(batch, reference, block=1, draws=20_000)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, abs=0.008)


def test_sieve_bootstrap_has_the_error_that_theory_gives() -> None:
    """The draws' deviation is that of a difference of AR(1) means, 1/n + 1/m times k."""
    x = series(6, 1, 23_000, 0.6)[0]
    result = sieve_bootstrap_test(x[20_000:], x[:20_000], draws=2000)
    k = 1.6 / 0.4
    error = (x[20_000:].mean() - x[:20_000].mean()) / result.statistic
    assert error == pytest.approx(math.sqrt(k / 3_000 + k / 20_000), rel=0.06)


@pytest.mark.parametrize(
    ("name", "phi", "runs", "high"),
    [
        ("newey_west", 0.0, 1500, 0.07),
        ("newey_west", 0.6, 1500, 0.09),
        ("newey_west", 0.9, 1500, 0.125),
        ("block_permutation", 0.0, 300, 0.08),
        ("block_permutation", 0.6, 500, 0.09),
        ("block_permutation", 0.9, 500, 0.05),
        ("sieve_bootstrap", 0.0, 300, 0.08),
        ("sieve_bootstrap", 0.6, 300, 0.08),
        ("sieve_bootstrap", 0.9, 300, 0.08),
    ],
)
def test_size_on_dependent_losses(name: str, phi: float, runs: int, high: float) -> None:
    """Reference 300, batch 100, as in the tables of the modules."""
    test = LOSS_TESTS[name]
    x = series(7, runs, 400, phi)
    p = [test(v[300:], v[:300], seed=i).p_value for i, v in enumerate(x)]
    low = 0.0 if phi > 0.8 else 0.012
    assert low <= rejections(p, 0.05) <= high


@pytest.mark.parametrize("name", NAMES)
def test_power_under_a_shift(name: str) -> None:
    x = series(8, 60, 1200, 0.6)
    x[:, 900:] += 0.8
    assert rejections([LOSS_TESTS[name](v[900:], v[:900]).p_value for v in x], 0.01) > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_a_fall_is_no_evidence_and_a_tolerance_is_granted(name: str) -> None:
    rng, test = np.random.default_rng(9), LOSS_TESTS[name]
    reference, worse = rng.normal(size=400), rng.normal(0.8, 1, 200)
    assert test(rng.normal(-1, 1, 200), reference).p_value > 0.99
    assert test(worse, reference).p_value <= 0.001
    assert test(worse, reference).effect == pytest.approx(0.8, abs=0.2)
    assert test(worse, reference, tolerance=1.2).p_value > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_phase_means_are_removed_also_from_batches_that_are_no_whole_cycles(name: str) -> None:
    """A night batch against a daily cycle is no rise; a real rise in it is found."""
    rng, test = np.random.default_rng(10), LOSS_TESTS[name]
    hours = np.arange(40 * 24) % 24
    cycle = 3.0 * np.sin(2 * np.pi * np.arange(24) / 24)
    part, reference = np.arange(720, 960)[hours[720:] < 8], slice(0, 720)
    phases = (hours[part], hours[reference])
    false, found = [], []
    for i in range(100):
        x = cycle[hours] + rng.normal(size=hours.size)
        false.append(test(x[part], x[reference], phases=phases, seed=i).p_value)
        found.append(test(x[part] + 0.8, x[reference], phases=phases, seed=i).p_value)
    assert rejections(false, 0.05) <= 0.12
    assert rejections(found, 0.01) > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_that_varies_more_is_no_rise_by_itself(name: str) -> None:
    rng, test = np.random.default_rng(11), LOSS_TESTS[name]
    p = [test(3 * rng.normal(size=80), rng.normal(size=300), seed=i).p_value for i in range(200)]
    assert rejections(p, 0.05) <= 0.1


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_gives_no_verdict_and_says_why(name: str) -> None:
    good, test = np.random.default_rng(12).normal(size=200), LOSS_TESTS[name]
    for bad in ([], [math.nan] * 50, [1.0], [2.0] * 2, [math.inf] * 30):
        for result in (test(bad, good), test(good, bad)):
            assert math.isnan(result.p_value)
            assert result.reason
    assert test([1.0] * 50, [1.0] * 50).reason.endswith(("varies", "vary"))
    huge = good * 1e200
    for result in (test(huge, good), test(good, huge), test(huge, huge)):
        assert result.reason or 0.0 <= result.p_value <= 1.0
    phases = ([5] * 200, [0] * 200)
    assert test(good, good, phases=phases).reason == "no records to compare"
    with pytest.raises(SettingsError, match="one phase for each"):
        test(good, good, phases=([1], [2]))


@pytest.mark.parametrize("name", NAMES)
def test_non_finite_values_are_dropped_and_results_pickle(name: str) -> None:
    rng, test = np.random.default_rng(13), LOSS_TESTS[name]
    batch, reference = rng.normal(size=100), rng.normal(size=300)
    result = test(np.insert(batch, [5, 70], [np.nan, np.inf]), reference)
    assert result == test(batch, reference)
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301


@pytest.mark.parametrize("name", RANDOM)
def test_the_seed_alone_decides_what_is_drawn(name: str) -> None:
    x, test = series(14, 1, 400, 0.5)[0], LOSS_TESTS[name]
    results = {test(x[300:], x[:300], seed=seed).p_value for seed in (0, 0, 0)}
    assert len(results) == 1
    assert len({test(x[300:], x[:300], seed=seed).p_value for seed in range(5)}) > 1
    generators = [np.random.default_rng(7), np.random.default_rng(7)]
    assert len({test(x[300:], x[:300], seed=g).p_value for g in generators}) == 1


def test_settings_out_of_range_are_named() -> None:
    x = np.arange(50.0)
    with pytest.raises(SettingsError, match="bandwidth: must be andrews"):
        newey_west_test(x, x, bandwidth=-1)
    with pytest.raises(SettingsError, match="draws: must be at least 1, got 0"):
        sieve_bootstrap_test(x, x, draws=0)
    with pytest.raises(SettingsError, match="block: must be at least 1"):
        block_permutation_test(x, x, block=0)


def test_absurd_series_raise_no_warning() -> None:
    x = np.concatenate([np.full(100, 1e308), -np.full(100, 1e308)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for test in LOSS_TESTS.values():
            assert test(x, x).reason
