"""Scores and calibration against scipy and closed forms, size and power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from driftloop.errors import SettingsError
from driftloop.statistics.scores import calibration_test, residual_test, score_test
from driftloop.statistics.two_sample import ks_features


def probabilities(rng: np.random.Generator, n: int, classes: int) -> np.ndarray:
    return rng.dirichlet(np.ones(classes), n)


def labels(rng: np.random.Generator, p: np.ndarray) -> np.ndarray:
    return (p.cumsum(axis=1) < rng.uniform(size=(len(p), 1))).sum(axis=1).astype(float)


def test_scores_are_tested_by_ks() -> None:
    rng = np.random.default_rng(0)
    new, old = rng.normal(0.3, 1.0, 100), rng.normal(size=300)
    statistic, p_value = ks_features(new[:, None], old[:, None])
    result = score_test(new, old)
    assert (result.statistic, result.p_value) == pytest.approx((statistic[0], p_value[0]))
    assert score_test(new, old, "welch").p_value == pytest.approx(
        stats.ttest_ind(new, old, equal_var=False).pvalue
    )


def test_classes_are_adjusted_by_holm_and_two_count_once() -> None:
    rng = np.random.default_rng(1)
    new, old = probabilities(rng, 100, 3), probabilities(rng, 300, 3)
    single = ks_features(new, old)[1]
    assert score_test(new, old).p_value == pytest.approx(min(3.0 * single.min(), 1.0))
    two = score_test(new[:, :1] * [1.0, -1.0] + [0.0, 1.0], old[:, :1] * [1.0, -1.0] + [0.0, 1.0])
    assert two.p_value == pytest.approx(single[0])


def test_size_and_power_of_scores() -> None:
    rng = np.random.default_rng(2)
    null = [score_test(rng.beta(2, 5, 100), rng.beta(2, 5, 300)).p_value for _ in range(1000)]
    assert 0.025 < np.mean(np.array(null) < 0.05) < 0.06
    found = [score_test(rng.beta(3, 4, 200), rng.beta(2, 5, 400)).p_value for _ in range(50)]
    assert np.mean(np.array(found) < 0.001) > 0.95


def test_spiegelhalters_z_by_its_own_formula() -> None:
    rng = np.random.default_rng(3)
    p = rng.uniform(size=200)
    y = (rng.uniform(size=200) < p) * 1.0
    z = ((y - p) * (1 - 2 * p)).sum() / np.sqrt(((1 - 2 * p) ** 2 * p * (1 - p)).sum())
    result = calibration_test(y, p)
    assert result.statistic == pytest.approx(z)
    assert result.p_value == pytest.approx(2.0 * stats.norm.sf(abs(z)))
    both = calibration_test(y, np.stack([1.0 - p, p], axis=1))
    assert both.statistic == pytest.approx(z)


def test_expected_calibration_error_by_hand() -> None:
    p = np.array([0.05, 0.05, 0.95, 0.95, 0.95])
    result = calibration_test([0, 1, 1, 1, 0], p)
    assert result.effect == pytest.approx((2 * abs(0.5 - 0.05) + 3 * abs(2 / 3 - 0.95)) / 5)


@pytest.mark.parametrize("classes", [2, 4])
def test_size_and_power_of_calibration(classes: int) -> None:
    rng = np.random.default_rng(4)
    null, found, direction = [], [], []
    for _ in range(1000):
        p = probabilities(rng, 300, classes)
        null.append(calibration_test(labels(rng, p), p).p_value)
    for _ in range(60):
        p = probabilities(rng, 500, classes)
        sharp = p**2 / (p**2).sum(axis=1, keepdims=True)
        result = calibration_test(labels(rng, p), sharp)
        found.append(result.p_value)
        direction.append(result.statistic)
        assert result.effect > 0.03
    assert 0.03 < np.mean(np.array(null) < 0.05) < 0.07
    assert np.mean(np.array(found) < 0.001) > 0.9
    assert min(direction) > 0.0  # over-confident


def test_residuals_agree_with_the_t_test() -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(0.2, 1.0, 80)
    result = residual_test(y, np.zeros(80))
    expected = stats.ttest_1samp(y, 0.0)
    assert result.statistic == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.effect == pytest.approx(y.mean() / y.std())


def test_dependent_records_keep_the_level() -> None:
    rng = np.random.default_rng(6)
    plain, effective = [], []
    for _ in range(600):
        e = lfilter([1.0], [1.0, -0.7], rng.normal(size=500))[100:]
        plain.append(residual_test(e, np.zeros(400)).p_value)
        effective.append(residual_test(e, np.zeros(400), dependence="ar").p_value)
    assert np.mean(np.array(plain) < 0.05) > 0.25
    assert np.mean(np.array(effective) < 0.05) < 0.085


def test_dependent_terms_widen_calibrations_z() -> None:
    rng = np.random.default_rng(7)
    p = np.repeat(rng.uniform(0.1, 0.9, 60), 10)
    y = np.repeat((rng.uniform(size=60) < p[::10]) * 1.0, 10)  # each label ten times
    plain, effective = calibration_test(y, p), calibration_test(y, p, dependence="ar")
    assert effective.n_effective < 0.3 * plain.n_effective
    assert abs(effective.statistic) < abs(plain.statistic)


def test_unusable_records_are_dropped() -> None:
    p = np.array([0.2, 0.7, np.nan, 0.4, 1.2, 0.6, 0.5, 0.9, 0.3])
    y = np.array([0.0, 1.0, 1.0, np.nan, 1.0, 2.0, 0.5, 1.0, 0.0])
    assert calibration_test(y, p).n == 4
    assert residual_test(y, p).n == 7


def test_samples_without_a_verdict_say_why() -> None:
    for result in (
        calibration_test([], []),
        calibration_test([1.0] * 4, [0.5] * 4),
        calibration_test([0.0, 1.0] * 9, [0.0, 1.0] * 9),
        calibration_test([0.0, 1.0] * 9, [0.5] * 18),
        calibration_test([0.0] * 9, np.zeros((9, 0))),
        residual_test([], []),
        residual_test([1.0] * 9, [0.9] * 9),
        residual_test([1e308, -1e308] * 9, [0.0] * 18),
        score_test([], []),
        score_test([1.0] * 9, [1.0] * 9),
        score_test(np.zeros((9, 3)), np.zeros((9, 3))),
        score_test(np.zeros((9, 0)), np.zeros((9, 0))),
    ):
        assert np.isnan(result.p_value)
        assert result.reason


def test_other_shapes_are_refused() -> None:
    with pytest.raises(SettingsError, match="as many records"):
        calibration_test([1.0], [0.5, 0.5])
    with pytest.raises(SettingsError, match="as many records"):
        residual_test([1.0], np.zeros((1, 2)))
    with pytest.raises(SettingsError, match="classes"):
        score_test(np.zeros((5, 2)), np.zeros((5, 3)))
    with pytest.raises(SettingsError, match="none, ar"):
        residual_test([1.0], [1.0], dependence="x")
