"""No label before its prediction, and no clock ahead of the scorer."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftloop.demo.flights import DAY_MS, Flights
from driftloop.demo.replay import LEAP_SECONDS, Replay, ReplayClock

HOUR = DAY_MS // 24
FAR = 2**62


def _flights(departed: list[int], minutes: list[int]) -> Flights:
    left = np.array(sorted(departed), dtype=np.int64)
    n = len(left)
    return Flights(
        routes=("A",),
        route=np.zeros(n, dtype=np.int64),
        departed=left,
        landed=left + np.array(minutes, dtype=np.int64) * 60_000,
        numeric=np.zeros((n, 3)),
        carrier=np.full(n, "AA"),
        origin=np.full(n, "JFK"),
        number=np.arange(n),
        air_time=np.array(minutes, dtype=np.float64),
    )


def test_the_clock_runs_at_its_speed() -> None:
    clock = ReplayClock(0, speed=4.0)
    for step in range(101):
        clock.advance(step * 0.05, FAR)
    assert abs(clock.event_ms - 20 * DAY_MS) < 1000


def test_the_clock_holds_at_its_limit_and_does_not_leap_afterwards() -> None:
    clock = ReplayClock(0, speed=1.0)
    clock.advance(0.0, FAR)
    clock.advance(0.05, HOUR)
    assert clock.event_ms == HOUR
    clock.advance(50.0, HOUR)
    assert clock.event_ms == HOUR
    assert clock.held_seconds > 0
    clock.advance(1000.0, FAR)
    assert clock.event_ms <= HOUR + LEAP_SECONDS * DAY_MS


def test_the_clock_never_runs_backwards() -> None:
    clock = ReplayClock(DAY_MS, speed=1.0)
    clock.advance(0.0, FAR)
    assert clock.advance(0.1, HOUR) == DAY_MS
    assert clock.advance(0.05, FAR) == DAY_MS


def test_a_label_waits_for_its_own_prediction_only() -> None:
    replay = Replay(_flights([0, 0], [60, 60]))
    departures, landings = replay.due(0)
    assert departures.tolist() == [0, 1]
    assert landings.tolist() == []
    replay.see([1])
    assert replay.due(2 * HOUR)[1].tolist() == [1]
    replay.see([0])
    assert replay.due(2 * HOUR)[1].tolist() == [0]
    assert replay.finished


def test_the_clock_may_not_pass_an_owed_departure_by_more_than_the_slack() -> None:
    replay = Replay(_flights([HOUR, 2 * HOUR], [60, 60]), slack_ms=5 * HOUR)
    assert replay.limit() > FAR
    replay.due(2 * HOUR)
    assert replay.limit() == 6 * HOUR
    replay.see([0])
    assert replay.limit() == 7 * HOUR
    assert replay.owed == 1


@given(
    departed=st.lists(st.integers(0, 10 * HOUR), min_size=1, max_size=30),
    steps=st.lists(st.integers(1, 3 * HOUR), min_size=1, max_size=30),
    data=st.data(),
)
def test_every_flight_departs_once_and_lands_once_after_it_was_seen(
    departed: list[int], steps: list[int], data: st.DataObject
) -> None:
    minutes = data.draw(
        st.lists(st.integers(30, 300), min_size=len(departed), max_size=len(departed))
    )
    flights = _flights(departed, minutes)
    replay = Replay(flights)
    gone: list[int] = []
    landed: list[int] = []
    now = 0
    for step in [*steps, 100 * HOUR, 1]:
        now += step
        departures, landings = replay.due(now)
        assert all(replay.seen[row] for row in landings)
        assert all(flights.landed[row] <= now for row in landings)
        gone += departures.tolist()
        landed += landings.tolist()
        replay.see(data.draw(st.lists(st.sampled_from(gone), unique=True)) if gone else [])
    replay.see(range(len(flights)))
    landed += replay.due(now)[1].tolist()
    assert sorted(gone) == sorted(landed) == list(range(len(flights)))
    assert replay.finished
