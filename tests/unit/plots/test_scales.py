"""Scales keep order and range; ticks are round and lie within."""

from __future__ import annotations

import itertools

import pytest

from driftloop.plots.scales import (
    Linear,
    Symlog,
    date_text,
    nice_step,
    scale_of_counts,
    time_ticks,
)

DAY = 86_400_000
YEAR_2013 = 1_356_998_400_000


def test_a_step_is_one_two_or_five_and_survives_nonsense() -> None:
    assert [nice_step(top) for top in (23.0, 4.1, 0.08, 1e9)] == [5.0, 1.0, 0.02, 2e8]
    assert nice_step(float("nan")) == nice_step(0.0) == nice_step(-1.0) == 1.0


def test_a_linear_scale_meets_its_ends_and_ticks_within() -> None:
    scale = Linear(6.3, 12.4, 400.0, 20.0)
    assert (scale(6.3), scale(12.4)) == pytest.approx((400.0, 20.0))
    assert all(6.3 <= tick <= 12.4 for tick in scale.ticks())
    assert Linear(2.0, 2.0, 0.0, 10.0)(2.0) == 5.0


def test_counts_that_spread_widely_are_logarithmic_and_hold_zero() -> None:
    wide, near = scale_of_counts([0, 1, 500], 0.0, 100.0), scale_of_counts([0, 2, 9], 0.0, 100.0)
    assert isinstance(wide, Symlog)
    assert isinstance(near, Linear)
    places = [wide(value) for value in (0, 1, 10, 100, 500)]
    assert places[0] == 0.0
    assert places == sorted(places)
    assert places[-1] < 100.0
    ticks = wide.ticks(8)
    assert ticks[0] == 0.0
    assert all(wide(b) - wide(a) >= 100 / 8 for a, b in itertools.pairwise(ticks))


def test_counts_without_any_have_a_scale() -> None:
    assert scale_of_counts([0.0, 0.0], 0.0, 10.0)(0.0) == 0.0


@pytest.mark.parametrize("span", [30_000, 7_200_000, 3 * DAY, 40 * DAY, 700 * DAY, 9000 * DAY])
def test_times_have_a_few_ticks_within_their_span(span: int) -> None:
    ticks = time_ticks(YEAR_2013, YEAR_2013 + span)
    assert 2 <= len(ticks) <= 8
    assert all(YEAR_2013 <= at <= YEAR_2013 + span for at, _ in ticks)


def test_months_are_named_and_january_by_its_year() -> None:
    names = [name for _, name in time_ticks(YEAR_2013, YEAR_2013 + 366 * DAY, 13)]
    assert names[:3] == ["2013", "Feb", "Mar"]
    assert names[-1] == "2014"


def test_times_that_are_no_dates_are_told_as_elapsed() -> None:
    assert time_ticks(0, 10 * DAY, 5)[1] == (2 * DAY, "2 d")
    assert date_text(3 * DAY, DAY) == "2.0 days in"
    assert time_ticks(5, 5) == []
