"""Tests of risen losses: against scipy, and their size and power by simulation."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from driftloop.errors import SettingsError
from driftloop.statistics.loss_tests import (
    MIN_EFFECTIVE,
    loss_test,
    paired_mean_test,
    reference_inflation,
)


def series(seed: int, runs: int, n: int, phi: float) -> np.ndarray:
    """Return stationary AR(1) series of variance 1, (runs, n)."""
    noise = np.random.default_rng(seed).normal(size=(runs, n + 200))
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))[:, 200:] * math.sqrt(1 - phi**2)


def rejections(p_values: list[float], level: float) -> float:
    return float(np.mean(np.nan_to_num(p_values, nan=1.0) < level))


def test_without_dependence_it_is_welchs_t() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        batch, reference = rng.exponential(1.2, 80), rng.exponential(1.0, 250)
        result = loss_test(batch, reference)
        if result.n_effective == 80:
            break
    expected = stats.ttest_ind(batch, reference, equal_var=False, alternative="greater")
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_without_dependence_the_paired_test_is_students_t() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        d = rng.normal(0.1, 1.0, 200)
        result = paired_mean_test(d, tolerance=0.02)
        if result.n_effective == 200:
            break
    expected = stats.ttest_1samp(d, 0.02, alternative="greater")
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.effect == pytest.approx(d.mean() - 0.02)


@pytest.mark.parametrize(
    ("phi", "low", "high", "rare"),
    [(0.0, 0.035, 0.065, 0.003), (0.6, 0.035, 0.07, 0.005), (0.9, 0.0, 0.05, 0.003)],
)
def test_loss_test_keeps_its_level_on_dependent_losses(
    phi: float, low: float, high: float, rare: float
) -> None:
    """Reference 300, batch 100; at φ = .9 the batch has about 5 effective records: no verdict."""
    p = [loss_test(x[300:], x[:300]).p_value for x in series(1, 2000, 400, phi)]
    assert low <= rejections(p, 0.05) <= high
    assert rejections(p, 0.001) <= rare


def test_welch_without_effective_sizes_would_not_keep_it() -> None:
    x = series(1, 2000, 400, 0.6)
    p = stats.ttest_ind(x[:, 300:], x[:, :300], axis=1, equal_var=False, alternative="greater")
    assert (p.pvalue < 0.05).mean() > 0.15


def test_loss_test_keeps_its_level_at_strong_dependence_and_long_windows() -> None:
    p = [loss_test(x[1500:], x[:1500]).p_value for x in series(2, 1000, 2000, 0.9)]
    assert np.isnan(p).mean() < 0.01
    assert 0.03 <= rejections(p, 0.05) <= 0.065
    assert rejections(p, 0.001) <= 0.004


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.9])
def test_paired_test_keeps_its_level_on_dependent_differences(phi: float) -> None:
    p = [paired_mean_test(x).p_value for x in series(3, 2000, 300, phi)]
    assert 0.035 <= rejections(p, 0.05) <= 0.07
    assert rejections(p, 0.001) <= 0.005


def test_power_under_a_shift() -> None:
    x = series(4, 300, 1200, 0.6)
    x[:, 900:] += 0.8
    assert rejections([loss_test(v[900:], v[:900]).p_value for v in x], 0.001) > 0.9
    assert rejections([paired_mean_test(v[900:]).p_value for v in x], 0.001) > 0.9


def test_a_fall_is_no_evidence_and_a_tolerance_is_granted() -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(size=400)
    assert loss_test(rng.normal(-1, 1, 200), reference).p_value > 0.999
    worse = rng.normal(0.5, 1, 200)
    assert loss_test(worse, reference).p_value < 1e-6
    assert loss_test(worse, reference, tolerance=1.0).p_value > 0.99


def test_effect_is_the_standardised_difference() -> None:
    rng = np.random.default_rng(6)
    result = loss_test(rng.normal(1.0, 2.0, 20000), rng.normal(0.0, 2.0, 20000))
    assert result.effect == pytest.approx(0.5, abs=0.03)


def test_phase_means_are_removed_also_from_batches_that_are_no_whole_cycles() -> None:
    """A night batch against a daily cycle is no rise; a real rise in it is found."""
    rng = np.random.default_rng(7)
    hours = np.arange(40 * 24) % 24
    cycle = 3.0 * np.sin(2 * np.pi * np.arange(24) / 24)
    false, found, blind = [], [], []
    for _ in range(300):
        x = cycle[hours] + rng.normal(size=hours.size)
        part, reference = np.arange(720, 960)[hours[720:] < 8], slice(0, 720)
        phases = (hours[part], hours[reference])
        false.append(loss_test(x[part], x[reference], phases=phases).p_value)
        found.append(loss_test(x[part] + 0.8, x[reference], phases=phases).p_value)
        blind.append(loss_test(x[part], x[reference]).p_value)
    assert 0.01 <= rejections(false, 0.05) <= 0.08
    assert rejections(found, 0.001) > 0.9
    assert np.isnan(blind).mean() > 0.9 or rejections(blind, 0.05) > 0.5


def test_phases_that_the_reference_lacks_are_left_out() -> None:
    rng = np.random.default_rng(8)
    reference, batch = rng.normal(size=100), rng.normal(size=60)
    batch[30:] += 100.0
    phases = (np.repeat([0, 9], 30), np.zeros(100))
    result = loss_test(batch, reference, phases=phases)
    assert result.n == 30
    assert result.p_value > 0.001
    assert loss_test(batch, reference, phases=(np.full(60, 9), np.zeros(100))).reason
    with pytest.raises(SettingsError, match="one phase for each"):
        loss_test(batch, reference, phases=([1], [2]))


@pytest.mark.parametrize("bad", [[], [math.nan] * 50, [1.0], [2.0] * 5, [math.inf] * 30])
def test_no_verdict_says_why(bad: list[float]) -> None:
    good = np.random.default_rng(9).normal(size=200)
    for result in (loss_test(bad, good), loss_test(good, bad), paired_mean_test(bad)):
        assert math.isnan(result.p_value)
        assert result.reason


def test_constant_losses_give_no_verdict_and_a_constant_reference_does() -> None:
    good = np.random.default_rng(10).normal(1.0, 1.0, 200)
    assert loss_test([1.0] * 50, [1.0] * 50).reason == "neither batch nor reference varies"
    assert paired_mean_test([0.0] * 50).reason == "differences do not vary"
    assert loss_test(good, [0.0] * 200).p_value < 1e-6


def test_absurd_magnitudes_are_survived() -> None:
    good = np.random.default_rng(11).normal(size=200)
    huge = good * 1e200
    for result in (loss_test(huge, good), loss_test(good, huge), paired_mean_test(huge)):
        assert result.reason or 0.0 <= result.p_value <= 1.0


def test_non_finite_values_are_dropped() -> None:
    rng = np.random.default_rng(12)
    batch, reference = rng.normal(size=100), rng.normal(size=300)
    holes = np.insert(batch, [5, 70], [np.nan, np.inf])
    assert loss_test(holes, reference) == loss_test(batch, reference)
    assert paired_mean_test(holes) == paired_mean_test(batch)


def test_too_few_effective_records_give_no_verdict() -> None:
    x = series(5, 1, 330, 0.97)[0]
    result = loss_test(x[300:], x[:300])
    assert result.n_effective < MIN_EFFECTIVE
    assert result.reason.startswith("batch has")
    assert pickle.loads(pickle.dumps(result)).reason == result.reason  # noqa: S301


def test_a_known_inflation_gives_the_same_result() -> None:
    x = series(6, 1, 900, 0.6)[0]
    phases = np.arange(900) % 12
    k = reference_inflation(x[:600])
    assert k > 2.0
    assert loss_test(x[600:], x[:600], inflation=k) == loss_test(x[600:], x[:600])
    pair = (phases[600:], phases[:600])
    k = reference_inflation(x[:600], phases[:600])
    assert loss_test(x[600:], x[:600], phases=pair, inflation=k) == loss_test(
        x[600:], x[:600], phases=pair
    )
