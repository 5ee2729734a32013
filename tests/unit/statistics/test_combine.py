"""Combination rules: scipy, closed forms, level and power by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from driftloop.errors import SettingsError
from driftloop.statistics.combine import (
    ANY_DEPENDENCE,
    COMBINERS,
    combine,
    harmonic_bound,
    partial_conjunction,
    weighted_vote,
)

RULES = sorted(COMBINERS)
WEIGHTED = ["stouffer", "cauchy", "harmonic_mean", "harmonic_bound"]


def apply(rule: str, p: list[float] | np.ndarray, r: int = 2) -> float:
    return combine(rule, p, r=r if rule == "partial_conjunction" else None)


def normal_p_values(seed: int, runs: int, correlation: float) -> np.ndarray:
    """Return one-sided p-values of equally correlated normal statistics, (runs, 6)."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(runs, 1)), rng.normal(size=(runs, 6))
    z = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own
    return np.asarray(stats.norm.sf(z))


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_fisher_and_stouffer_agree_with_scipy(size: int) -> None:
    rng = np.random.default_rng(size)
    p, w = rng.uniform(size=size) ** 2, rng.uniform(0.5, 3.0, size)
    assert combine("fisher", p) == pytest.approx(stats.combine_pvalues(p, "fisher").pvalue)
    expected = stats.combine_pvalues(p, "stouffer").pvalue
    assert combine("stouffer", p) == pytest.approx(expected)
    expected = stats.combine_pvalues(p, "stouffer", weights=w).pvalue
    assert combine("stouffer", p, weights=w) == pytest.approx(expected)


def test_cauchy_is_the_tail_of_the_weighted_mean() -> None:
    p, w = np.array([0.001, 0.2, 0.6, 0.9]), np.array([1.0, 2.0, 3.0, 1.0])
    for weights in (np.ones(4), w):
        t = np.average(np.tan((0.5 - p) * np.pi), weights=weights)
        assert combine("cauchy", p, weights=weights) == pytest.approx(stats.cauchy.sf(t))
    assert combine("cauchy", [1e-20]) == pytest.approx(1e-20)
    assert combine("cauchy", [1e-6] * 5 + [1.0]) < 1e-5  # one p of 1 has no veto


def test_harmonic_mean_has_the_landau_tail() -> None:
    """Simulated: means of 50 inverse uniforms exceed 1/H with the probability it gives."""
    inverse = (1.0 / np.random.default_rng(1).uniform(size=(100_000, 50))).mean(axis=1)
    for quantile in (0.5, 0.9, 0.99, 0.999):
        h = 1.0 / np.quantile(inverse, quantile)
        assert combine("harmonic_mean", np.full(50, h)) == pytest.approx(1 - quantile, rel=0.15)
    assert harmonic_bound(np.full(50, 1e-3)) == pytest.approx(math.e * math.log(50) * 1e-3)
    assert harmonic_bound([0.01, 0.03]) == pytest.approx(2 * stats.hmean([0.01, 0.03]))
    # The tail is that of H itself: close to it when it is very small (Wilson 2019).
    assert combine("harmonic_mean", np.full(50, 1e-9)) == pytest.approx(1e-9, rel=1e-3)


def test_votes_and_means_by_hand() -> None:
    p = [0.04, 0.01, 0.3, 0.02]
    assert [partial_conjunction(p, r) for r in (1, 2, 3, 4)] == pytest.approx(
        [0.04, 0.06, 0.08, 0.3]
    )
    assert combine("min", p) == combine("partial_conjunction", p, r=1)
    assert combine("twice_mean", p) == pytest.approx(2 * np.mean(p))
    assert weighted_vote(p, 0.05) == 0.75
    assert weighted_vote(p, 0.05, [1, 1, 5, 1]) == pytest.approx(3 / 8)
    assert math.isnan(weighted_vote([math.nan], 0.05))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_level_under_independence_and_correlation(rule: str, correlation: float) -> None:
    """Rules for any dependence keep 5 %; Cauchy and harmonic mean nearly; the others do not."""
    rejected = np.mean([apply(rule, p) <= 0.05 for p in normal_p_values(2, 2500, correlation)])
    if rule in ANY_DEPENDENCE:
        assert rejected <= 0.06
    elif rule in {"cauchy", "harmonic_mean"}:
        assert 0.03 <= rejected <= 0.075
    elif correlation == 0.0:
        assert 0.035 <= rejected <= 0.065
    else:
        assert rejected > 0.1


def test_exact_level_of_votes_when_fewer_than_r_hold() -> None:
    """One strong criterion of six is no two votes."""
    p = normal_p_values(3, 4000, 0.0)
    p[:, 0] = 1e-12
    assert np.mean([partial_conjunction(row, 2) <= 0.05 for row in p]) == pytest.approx(
        0.05, abs=0.015
    )
    assert np.mean([partial_conjunction(row, 1) <= 0.05 for row in p]) == 1.0


@pytest.mark.parametrize("rule", RULES)
def test_power_when_all_criteria_are_shifted(rule: str) -> None:
    shifted = stats.norm.sf(stats.norm.isf(normal_p_values(4, 300, 0.0)) + 4.0)
    assert np.mean([apply(rule, p) <= 0.05 for p in shifted]) > 0.9


@pytest.mark.parametrize("rule", RULES)
def test_criteria_without_a_verdict_are_left_out(rule: str) -> None:
    p = [0.01, 0.03, 0.2]
    holes = [math.nan, 0.01, math.inf, 0.03, -math.inf, 0.2, math.nan]
    assert apply(rule, holes) == apply(rule, p)
    for empty in ([], [math.nan], [math.inf, math.nan]):
        assert math.isnan(apply(rule, empty))
    assert math.isnan(combine("partial_conjunction", p, r=4))


@pytest.mark.parametrize("rule", RULES)
def test_the_ends_of_the_range_are_survived(rule: str) -> None:
    for p in ([0.0, 1.0, 0.5], [1.0, 1.0], [0.0, 0.0], [1.0] * 30):
        assert 0.0 <= apply(rule, p) <= 1.0
    assert apply(rule, [0.0, 0.0]) < 1e-200
    assert apply(rule, [1.0, 1.0]) > 0.5
    assert apply(rule, [0.3], r=1) == pytest.approx(0.3)


@pytest.mark.parametrize("rule", WEIGHTED)
def test_equal_weights_are_none_and_weights_follow_their_criteria(rule: str) -> None:
    p = np.array([0.01, math.nan, 0.5, 0.2])
    assert combine(rule, p, weights=[2, 2, 2, 2]) == pytest.approx(combine(rule, p))
    heavy = combine(rule, p, weights=[10, 1, 1, 1])
    assert heavy == pytest.approx(combine(rule, p[::-1], weights=[1, 1, 1, 10]))
    assert heavy < combine(rule, p)


def test_settings_that_do_not_fit_are_named() -> None:
    with pytest.raises(SettingsError, match="rule: must be one of partial_conjunction, min"):
        combine("median", [0.1])
    with pytest.raises(SettingsError, match="r: partial_conjunction needs it"):
        combine("partial_conjunction", [0.1])
    with pytest.raises(SettingsError, match="no other rule takes it"):
        combine("fisher", [0.1], r=1)
    with pytest.raises(SettingsError, match="weights: only stouffer"):
        combine("fisher", [0.1], weights=[1.0])
    with pytest.raises(SettingsError, match="r: must be at least 1, got 0"):
        partial_conjunction([0.1], 0)
    for weights in ([1.0], [1.0, -1.0], [1.0, math.nan]):
        with pytest.raises(SettingsError, match="weights: must be 2 finite numbers"):
            combine("stouffer", [0.1, 0.2], weights=weights)
