"""Incidents: when many streams move together, and what happens to retrains meanwhile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from driftloop.messages import Event, Evidence, FleetIncident, RetrainRequested
from driftloop.policy import FleetDecider
from driftloop.policy.fleet_items import WindowMeans, closes_at
from driftloop.settings import Profile
from tests.unit.policy.fleets import clock, fleet_of, names, played, seen
from tests.unit.policy.test_decide import of
from tests.unit.policy.windows import DAY, losses

N = 20


def day_of(fleet: FleetDecider, day: int, z: Any, *, asks: bool = False) -> list[Event]:
    """A day on which the streams' losses were so many deviations from their own."""
    values = np.broadcast_to(np.asarray(z, float), (N,)).tolist()
    items = [seen(f"s{i:02}", day + 0.5, z=value, asks=asks) for i, value in enumerate(values)]
    return played(fleet, *items, clock(day + 1))


def test_one_incident_opens_stays_and_closes_with_an_event_each() -> None:
    fleet = fleet_of()
    rng = np.random.default_rng(0)
    events: list[Event] = []
    for day in range(12):
        shift = 6.0 if 4 <= day < 8 else 0.0
        events += day_of(fleet, day, rng.normal(size=N) + shift)
        assert fleet.in_incident == (4 <= day < 8)
    opened, closed = of(events, FleetIncident)
    assert (opened.action, opened.opened_at, opened.closed_at) == ("opened", 5 * DAY, None)
    assert (closed.action, closed.opened_at, closed.closed_at) == ("closed", 5 * DAY, 9 * DAY)
    assert (opened.stream, opened.profile, opened.observed) == ("", "p", N)
    assert opened.moved == len(opened.streams) >= N - 1
    assert opened.share == opened.moved / N
    assert opened.p_value <= 0.001
    assert "look for a shared cause" in opened.detail
    assert (closed.streams, closed.moved < 5) == (opened.streams, True)
    assert opened.id != closed.id
    again = fleet_of()
    assert day_of(again, 4, 6.0)[0].id == opened.id


def test_an_incident_needs_a_share_a_significant_test_and_enough_streams() -> None:
    nine = [6.0] * 9 + [-0.5] * 11  # fewer than half moved
    assert day_of(fleet_of(), 0, nine) == []
    assert day_of(fleet_of(), 0, 1.9) == []  # together, but no one far
    assert day_of(fleet_of(min_streams=21), 0, 6.0) == []
    assert day_of(fleet_of(incident_alpha=1e-9), 0, 6.0) == []  # 2^-20
    assert day_of(fleet_of(), 0, -6.0) == []  # better all together
    assert len(day_of(fleet_of(), 0, 6.0)) == 1


def test_one_stream_that_drifts_by_itself_is_no_incident() -> None:
    z = np.zeros(N)
    z[3] = 100.0
    assert day_of(fleet_of(), 0, z) == []


def test_a_tick_that_hears_from_too_few_neither_opens_nor_closes() -> None:
    fleet = fleet_of()
    day_of(fleet, 0, 6.0)
    few = [seen(f"s{i}", 1.5, z=0.0, asks=False) for i in range(5)]
    assert played(fleet, *few, clock(2)) == []
    assert fleet.in_incident
    assert [e.action for e in of(day_of(fleet, 2, np.nan), FleetIncident)] == []
    assert [e.action for e in of(day_of(fleet, 3, 0.0), FleetIncident)] == ["closed"]


def test_what_moves_all_streams_every_day_is_what_is_usual() -> None:
    """A common factor that comes and goes is no incident once its history is known."""
    rng = np.random.default_rng(7)
    fleet = fleet_of()
    common = rng.normal(size=60) * 1.2
    late = [
        day_of(fleet, day, rng.normal(size=N) * 0.3 + common[day]) for day in range(len(common))
    ][20:]
    assert sum(len(events) for events in late) <= 2
    assert of(day_of(fleet, 60, 12.0), FleetIncident)


def test_the_list_of_streams_is_bounded_and_names_the_furthest_first() -> None:
    fleet = fleet_of()
    items = [seen(f"s{i:03}", 0.5, z=3.0 + i, asks=False) for i in range(150)]
    (event,) = played(fleet, *items, clock(1))
    assert isinstance(event, FleetIncident)
    assert (len(event.streams), event.moved) == (100, 150)
    assert event.streams[:2] == ["s149", "s148"]


def test_held_during_an_incident_and_released_with_its_numbers_when_it_is_over() -> None:
    fleet = fleet_of(during_incident="hold")
    held = day_of(fleet, 0, 6.0, asks=True)
    assert names(held) == []
    assert [e.decision for e in of(held, Evidence)] == ["incident"] * N
    assert len(fleet.held) == N
    ground = of(held, Evidence)[0].results[-1]
    assert (ground.criterion, ground.effect, ground.threshold, ground.n) == ("incident", 1, 0.5, N)
    assert "fleet.during_incident = hold" in ground.detail
    released = day_of(fleet, 1, 0.0)
    assert len(names(released)) == N
    grounds = of(released, RetrainRequested)[0].grounds
    assert [g.criterion for g in grounds] == ["incident", "incident"]
    assert grounds[-1].effect == 0.0
    assert "released" in grounds[-1].detail


def test_a_calm_fleet_that_holds_only_during_incidents_sends_at_the_ticks_end() -> None:
    events = day_of(fleet_of(during_incident="hold"), 0, 0.0, asks=True)
    assert len(names(events)) == N
    assert of(events, RetrainRequested)[0].grounds == []


def test_where_retrains_proceed_the_request_tells_of_the_incident() -> None:
    events = day_of(fleet_of(budget=100), 0, 6.0, asks=True)
    grounds = of(events, RetrainRequested)[0].grounds
    assert [g.criterion for g in grounds] == ["budget", "incident"]
    assert "during_incident = proceed" in grounds[1].detail


@pytest.mark.parametrize("law", ["normal", "cauchy", "exponential"])
def test_fleets_without_a_shift_see_almost_no_incident(law: str) -> None:
    """From losses on: 15 streams standardise their own means; 10 fleets of 40 days each."""
    rng = np.random.default_rng(11)
    opened = 0
    for _ in range(10):
        fleet, spreads = fleet_of(), [WindowMeans() for _ in range(N)]
        draw = {
            "normal": rng.normal,
            "cauchy": rng.standard_cauchy,
            "exponential": rng.standard_exponential,
        }[law]
        for day in range(40):
            z = [one.standardise(value) for one, value in zip(spreads, draw(size=N), strict=True)]
            opened += len(of(day_of(fleet, day, z), FleetIncident))
    assert opened == 0


# A stream's own spread


def test_a_mean_is_standardised_by_the_median_and_mad_of_the_earlier_ones() -> None:
    rng = np.random.default_rng(3)
    values = rng.gamma(2.0, size=40)
    spread = WindowMeans()
    for index, value in enumerate(values.tolist()):
        z = spread.standardise(value)
        if index < 5:
            assert math.isnan(z)
            continue
        earlier = values[max(0, index - 20) : index]
        scale = stats.median_abs_deviation(earlier, scale=1 / 1.4826)
        scale *= math.sqrt(1 + math.pi / (2 * len(earlier)))
        assert z == pytest.approx((value - np.median(earlier)) / scale)


def test_a_spread_survives_anything() -> None:
    spread = WindowMeans()
    for value in (math.nan, math.inf, -math.inf):
        assert math.isnan(spread.standardise(value))
    for _ in range(6):
        spread.standardise(1.0)
    assert spread.standardise(1.0) == 0.0
    assert (spread.standardise(2.0), spread.standardise(-1e300)) == (1e6, -1e6)
    huge = WindowMeans()
    for value in (1e308, -1e308, 1e308, -1e308, 1e308, -1e308, 0.0):
        z = huge.standardise(value)
        assert math.isnan(z) or abs(z) <= 1e6


def test_streams_of_a_cycle_close_at_the_same_event_time_whenever_their_last_record_was() -> None:
    cycle = {"kind": "cycle", "length": "7d", "lateness": "1d"}
    profile = Profile(window=cycle)
    early, late = losses([1.0], index=3), losses([1.0], index=3)
    late.closed_at += 5000
    assert closes_at(early, profile) == closes_at(late, profile) == 4 * 7 * DAY + DAY - 1
    assert closes_at(early, Profile()) == early.closed_at
