"""Errors are counted once, at landing, where both predictions are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from driftloop.demo.flights import DAY_MS, Flights
from driftloop.demo.run import BEGIN_MS
from driftloop.demo.scoreboard import Scoreboard
from driftloop.messages import Cost, Ground, ModelPublished, RetrainRequested, TrainingFinished


@pytest.fixture
def board(year: Flights) -> Scoreboard:
    """Thirty days of two routes; errors count from the tenth day on."""
    flights = year.choose(("BOS", "LAX"), BEGIN_MS, BEGIN_MS + 30 * DAY_MS)
    return Scoreboard(flights, "flights.", BEGIN_MS + 10 * DAY_MS)


def _play(board: Scoreboard, offset: float) -> None:
    """Land all flights: untouched errs by 10 minutes, the model in use by `offset`."""
    flights = board.flights
    board.untouched[:] = flights.air_time + 10
    for row in range(len(flights)):
        board.predict(row, float(flights.air_time[row] + offset))
    board.land(np.arange(len(flights)))
    board.event_ms = int(flights.landed.max())


def test_means_are_over_flights_from_the_begin_on(board: Scoreboard) -> None:
    assert all(math.isnan(value) for value in board.means())
    _play(board, -4.0)
    assert board.means() == pytest.approx((10.0, 4.0))
    assert board.means(7) == pytest.approx((10.0, 4.0))
    counted = int((board.flights.departed >= board.begin_ms).sum())
    assert board.total().flights == counted
    assert board.total().saved == pytest.approx(0.6)


def test_weeks_and_routes_add_up_to_the_whole(board: Scoreboard) -> None:
    _play(board, 3.0)
    times, untouched, driftloop = board.weekly()
    assert len(times) == 3
    assert untouched == pytest.approx([10.0] * 3)
    assert driftloop == pytest.approx([3.0] * 3)
    assert sum(line.flights for line in board.results()) == board.total().flights
    assert len(board.weekly("LAX")[0]) == 3


def test_flights_without_a_prediction_are_not_counted(board: Scoreboard) -> None:
    board.untouched[:] = board.flights.air_time
    for row in range(len(board.flights)):
        board.predict(row, None)
    board.land(np.arange(len(board.flights)))
    assert board.total().flights == 0
    assert board.unpredicted == int((board.flights.departed >= board.begin_ms).sum())


def test_events_that_come_twice_count_once(board: Scoreboard) -> None:
    request = RetrainRequested(
        id="r", stream="flights.LAX", profile="flights", profile_hash="h", reason="policy",
        policy="reducible", data=[], current_version="v1", decided_at=board.begin_ms,
        grounds=[Ground(criterion="reducible", family="loss", statistic=512.0, rejected=True)],
    )  # fmt: skip
    published = ModelPublished(
        id="m", stream="flights.LAX", profile="flights", version="v2", sequence=2,
        parent_version="v1", kind="linear", uri="", sha256="", format="safetensors",
        champion={"loss": 20.0}, challenger={"loss": 12.0}, data=[],
        cost=Cost(seconds=1, records=1, device="cpu"), request_id="r", published_at=0,
    )  # fmt: skip
    rejected = TrainingFinished(
        id="t", stream="flights.BOS", profile="flights", request_id="q", outcome="rejected",
        detail="worse than the champion", finished_at=0,
    )  # fmt: skip
    for event in (request, request, published, published, rejected, rejected):
        board.note(event)
    assert board.retrains == {"LAX": 1}
    assert board.versions == {"LAX": 1}
    assert board.outcomes == {"rejected": 1}
    assert [(one.route, one.kind) for one in board.recent] == [
        ("LAX", "retrain"),
        ("LAX", "model"),
        ("BOS", "rejected"),
    ]
    assert "512 min" in board.recent[0].text
    assert "20.0" in board.recent[1].text
