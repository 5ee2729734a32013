"""The fleet's own shift: closed forms, size and power under correlation, and what stays."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import stats

from driftloop.errors import SettingsError
from driftloop.statistics.fleet import (
    MIN_HISTORY,
    MIN_STREAMS,
    SCORE_LIMIT,
    fleet_scores,
    fleet_shift,
)
from driftloop.statistics.loss_tests import loss_test


def named(values: np.ndarray | list[float]) -> dict[str, float]:
    return {f"s{i}": float(z) for i, z in enumerate(values)}


def ticks(seed: int, n: int, streams: int, correlation: float) -> np.ndarray:
    """Return normal scores with a common part, (n, streams)."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(n, 1)), rng.normal(size=(n, streams))
    return math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own


def test_scores_are_standard_normal_whatever_the_unit_and_the_sizes() -> None:
    rng = np.random.default_rng(1)
    losses = {
        str(i): (scale * rng.normal(5, 1, n), scale * rng.normal(5, 1, 300))
        for i, (scale, n) in enumerate(
            zip([1e-3, 1.0, 1e4] * 100, [30, 60, 200] * 100, strict=True)
        )
    }
    z = fleet_scores(losses)
    assert stats.kstest(list(z.values()), "norm").pvalue > 0.01
    batch, reference = losses["0"]
    assert z["0"] == pytest.approx(stats.norm.isf(loss_test(batch, reference).p_value))


def test_scores_are_limited_and_nan_without_a_verdict() -> None:
    rng = np.random.default_rng(2)
    reference = rng.normal(size=200)
    losses = {
        "up": (reference + 100, reference),
        "down": (reference - 100, reference),
        "empty": ([], reference),
        "constant": ([1.0] * 50, [1.0] * 50),
        "bad": ([math.nan, math.inf] * 40, reference),
    }
    z = fleet_scores(losses)
    assert (z["up"], z["down"]) == (SCORE_LIMIT, -SCORE_LIMIT)
    assert all(math.isnan(z[name]) for name in ("empty", "constant", "bad"))
    assert fleet_scores({}) == {}


def test_scores_know_cycles_and_other_tests() -> None:
    rng = np.random.default_rng(3)
    hours = np.arange(30 * 24) % 24
    x = 5.0 * (hours > 12) + rng.normal(size=720)
    night = np.arange(600, 720)[hours[600:] < 8]
    losses, phases = {"a": (x[night], x[:600])}, {"a": (hours[night], hours[:600])}
    assert abs(fleet_scores(losses, phases=phases)["a"]) < 4
    other = fleet_scores(losses, phases=phases, test="newey_west")["a"]
    assert other == pytest.approx(fleet_scores(losses, phases=phases)["a"], abs=1.0)


def test_history_gives_students_prediction_test() -> None:
    past = np.random.default_rng(4).normal(0.5, 2.0, 12)
    z = named([3.0, 4.0, 5.0, 6.0, 9.0])
    result = fleet_shift(z, past)
    t = (5.0 - past.mean()) / (past.std(ddof=1) * math.sqrt(1 + 1 / 12))
    assert result.median == 5.0
    assert result.test.statistic == pytest.approx(t)
    assert result.test.p_value == pytest.approx(stats.t.sf(t, 11))
    assert result.test.effect == pytest.approx(5.0 - past.mean())
    assert result.residuals == pytest.approx(named([-2.0, -1.0, 0.0, 1.0, 4.0]))
    assert result.p_value("s4") == pytest.approx(stats.norm.sf(4.0))


def test_a_history_that_hardly_varies_counts_as_independent_streams_do() -> None:
    result = fleet_shift(named(np.linspace(0.5, 1.5, 11)), [0.0] * 20)
    floor = math.sqrt(math.pi / 22 * (1 + 1 / 20))
    assert result.test.statistic == pytest.approx(1.0 / floor)


def test_the_sign_test_agrees_with_scipy() -> None:
    for above in range(13):
        z = named([1.0] * above + [-1.0] * (12 - above) + [0.0])
        test = fleet_shift(z, null="independent").test
        expected = stats.binomtest(above, 12, 0.5, alternative="greater").pvalue
        assert test.p_value == pytest.approx(expected)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8])
def test_size_and_power_against_its_own_history(correlation: float) -> None:
    z = ticks(5, 1200 * 21, 30, correlation).reshape(1200, 21, 30)
    medians = np.median(z, axis=2)
    p, shifted = [], []
    for now, past in zip(z[:, -1], medians[:, :-1], strict=True):
        p.append(fleet_shift(named(now), past).test.p_value)
        shifted.append(fleet_shift(named(now + 4.0), past).test.p_value)
    assert 0.015 <= np.mean(np.array(p) < 0.05) <= 0.07
    assert np.mean(np.array(shifted) < 0.05) > 0.95


def test_the_sign_test_keeps_its_level_for_independent_streams_only() -> None:
    rates = []
    for correlation in (0.0, 0.3):
        z = ticks(6, 800, 30, correlation)
        p = [fleet_shift(named(row), null="independent").test.p_value for row in z]
        rates.append(np.mean(np.array(p) < 0.05))
    assert rates[0] <= 0.065
    assert rates[1] > 0.2


def test_a_holiday_is_the_fleets_and_one_streams_drift_its_own() -> None:
    """All rise by 3, one by 4 more: streams keep their level, the one is found."""
    wrong, found, blind = [], [], []
    for row in ticks(7, 500, 40, 0.2) + 3.0:
        row[0] += 4.0
        result = fleet_shift(named(row))
        p = [result.p_value(f"s{i}") for i in range(40)]
        wrong.append(np.mean(np.array(p[1:]) < 0.05))
        found.append(p[0] < 0.01)
        blind.append(np.mean(stats.norm.sf(row[1:]) < 0.05))
    assert np.mean(wrong) <= 0.055
    assert np.mean(found) > 0.9
    assert np.mean(blind) > 0.8


def test_a_few_drifted_streams_do_not_move_the_fleet() -> None:
    z = ticks(8, 400, 40, 0.0)
    past = np.median(ticks(9, 30, 40, 0.0), axis=1)
    z[:, :3] += 6.0
    assert np.mean([fleet_shift(named(row), past).test.p_value < 0.01 for row in z]) < 0.06


def test_streams_without_a_verdict_stay_out() -> None:
    full = fleet_shift(named([1.0, 2.0, 3.0, 4.0, 5.0]), [0.0, 1.0] * 6)
    holes = named([1.0, 2.0, 3.0, 4.0, 5.0]) | {"x": math.nan, "y": math.inf}
    result = fleet_shift(holes, [0.0, math.nan, 1.0, math.inf] + [0.0, 1.0] * 5)
    assert result.median == full.median
    assert result.test == full.test
    assert math.isnan(result.residuals["x"])
    assert math.isnan(result.p_value("y"))


def test_too_few_streams_or_medians_give_no_verdict_and_say_why() -> None:
    few = fleet_shift(named([5.0] * (MIN_STREAMS - 1)), [0.0, 1.0] * 6)
    assert math.isnan(few.median)
    assert few.test.reason == "4 streams with a verdict, fewer than 5"
    assert few.residuals["s0"] == 5.0
    assert fleet_shift({}).test.reason
    young = fleet_shift(named([5.0] * 6), [0.0] * (MIN_HISTORY - 1))
    assert young.test.reason == "7 earlier medians, fewer than 8"
    assert young.residuals["s0"] == 0.0
    assert fleet_shift(named([0.0] * 6), null="independent").test.reason == "all scores are 0"
    absurd = fleet_shift(named([1e308] * 6), [1e308, -1e308] * 10)
    assert absurd.test.reason
    assert pickle.loads(pickle.dumps(young)).residuals == young.residuals  # noqa: S301


def test_settings_that_are_unknown_are_named() -> None:
    with pytest.raises(SettingsError, match="null: must be history or independent"):
        fleet_shift({}, null="none")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="test: must be one of welch"):
        fleet_scores({}, test="t")
