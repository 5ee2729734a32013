"""Frontiers, and the fixed period of equal loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

from driftloop.backtest.frontier import Point, equal_period, families, pareto, points
from driftloop.backtest.result import PolicyScore


def _period(retrains: float, loss: float) -> Point:
    return Point(f"periodic({retrains})", "periodic", retrains, retrains, loss)


PERIODS = [_period(2, 10.0), _period(8, 8.0), _period(32, 7.0), _period(40, 9.0)]
NEVER = Point("never", "never", None, 0.0, 12.0)
ALWAYS = Point("always", "always", None, 64.0, 6.5)


def test_the_frontier_is_what_no_other_point_beats() -> None:
    rng = np.random.default_rng(0)
    cloud = [
        Point(str(i), "x", None, float(rng.integers(0, 20)), float(rng.integers(0, 20)))
        for i in range(200)
    ]
    kept = pareto(cloud)
    by_hand = {
        (a.retrains, a.loss)
        for a in cloud
        if not any(b.retrains <= a.retrains and b.loss <= a.loss and b[3:] != a[3:] for b in cloud)
    }
    assert {(point.retrains, point.loss) for point in kept} == by_hand
    assert len(kept) == len(by_hand)


def test_points_without_a_loss_are_left_out() -> None:
    scores = [
        PolicyScore(name=n, family=n, loss=loss, retrains=1, retrains_per_stream=1.0)
        for n, loss in (("a", None), ("b", math.nan), ("c", 1.0))
    ]
    assert [point.name for point in points(scores)] == ["c"]
    assert pareto([]) == []


def test_families_are_curves_from_few_retrains_to_many() -> None:
    assert [p.retrains for p in families([*PERIODS[::-1], NEVER])["periodic"]] == [2, 8, 32, 40]


def test_the_equal_period_is_interpolated_in_the_logarithm_of_retrains() -> None:
    found = equal_period([*PERIODS, NEVER], 9.0)
    assert found.retrains == pytest.approx(4.0)
    assert found.nearest == "periodic(8)"
    assert "about 4 retrains" in found.told


@pytest.mark.parametrize("loss", [10.0, 8.0, 7.0])
def test_at_a_period_itself_it_is_that_period(loss: float) -> None:
    exact = next(point for point in PERIODS if point.loss == loss)
    found = equal_period(PERIODS, loss)
    assert found.retrains == pytest.approx(exact.retrains)
    assert found.nearest == exact.name


def test_always_is_a_fixed_period_too() -> None:
    assert equal_period(PERIODS, 6.8).retrains is None
    assert equal_period([*PERIODS, ALWAYS], 6.75).retrains == pytest.approx(math.sqrt(32 * 64))


def test_out_of_range_there_is_no_figure_but_a_sentence() -> None:
    below, above = equal_period(PERIODS, 6.0), equal_period(PERIODS, 11.0)
    assert (below.retrains, above.retrains) == (None, None)
    assert "No fixed period that was tried comes as low" in below.told
    assert "Even the rarest" in above.told
    assert above.nearest == "periodic(2)"


def test_without_periods_it_says_so() -> None:
    assert equal_period([NEVER, ALWAYS], 9.0).told == "No fixed period was tried."
    idle = equal_period([NEVER, _period(0, 12.0)], 9.0)
    assert idle.retrains is None
    assert "retrain" in idle.told
