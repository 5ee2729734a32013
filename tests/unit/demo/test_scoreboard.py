"""Errors are counted once, at landing, where both predictions are known."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from driftloop.demo.flights import DAY_MS, Flights
from driftloop.demo.run import BEGIN_MS
from driftloop.demo.sabotage import Sabotage, choose_route, publish_spoilt
from driftloop.demo.scoreboard import Scoreboard
from driftloop.messages import (
    Cost,
    Ground,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    TrainingFinished,
)
from driftloop.models import Encoding, ModelArtifact, ModelStore, predict
from driftloop.settings import StoreSettings


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


def _judged(version: str, saved: float | None, verdict: str, tag: str) -> RetrainJudged:
    return RetrainJudged(
        id=f"judged {tag}",
        stream="flights.LAX",
        profile="flights",
        request_id=tag,
        version=version,
        parent_version="v1",
        verdict=verdict,  # type: ignore[arg-type]  # one of the four
        records=0 if saved is None else 200,
        saved=saved,
        low=saved,
        high=saved,
        level=0.99,
        seconds=0.5,
        device="cpu",
        cost=None,
        judged_at=0,
    )


def test_the_ledger_adds_up_what_retrains_were_worth(board: Scoreboard) -> None:
    assert board.account.text().startswith("No retrain was judged")
    for entry in (
        _judged("v2", 1.5, "better", "a"),
        _judged("v3", -0.5, "undecided", "b"),
        _judged("v4", None, "unscored", "c"),
        _judged("v2", 1.5, "better", "a"),  # comes twice, counts once
    ):
        board.note(entry)
    account = board.account
    assert dict(account.verdicts) == {"better": 1, "undecided": 1, "unscored": 1}
    assert (account.flights, account.saved, account.seconds) == (400, 200.0, 1.5)
    assert "3 retrains judged on 400 flights" in account.text()
    assert "200 min of error saved" in account.text()
    assert board.ledger["LAX"].plain()["verdicts"] == dict(account.verdicts)


def test_a_spoilt_version_predicts_badly_and_its_rollback_is_told(
    board: Scoreboard, tmp_path: Path
) -> None:
    store = ModelStore(StoreSettings(uri=str(tmp_path / "store")))
    encoding = Encoding(("distance",), (), np.array([1000.0]), np.array([500.0]), ())
    good = ModelArtifact(
        kind="linear",
        task="regression",
        stream="flights.LAX",
        version="v3",
        request_id="r",
        encoding=encoding,
        weights={"weight.0": np.array([[1.0]]), "bias.0": np.zeros(1)},
        target=(150.0, 60.0),
    )
    uri, digest = store.save("flights.LAX", "v3", good)
    current = ModelPublished(
        id="current",
        stream="flights.LAX",
        profile="flights",
        version="v3",
        sequence=3,
        parent_version="v2",
        kind="linear",
        uri=uri,
        sha256=digest,
        format="safetensors",
        champion=None,
        challenger={},
        data=[],
        cost=Cost(seconds=0.1, records=10, device="cpu"),
        request_id="r",
        published_at=0,
    )
    spoilt = publish_spoilt(store, current)
    assert (spoilt.version, spoilt.parent_version, spoilt.parent_uri) == ("v4", "v3", uri)
    x = np.array([[2000.0]])
    assert predict(store.load(uri, digest), x)[0] == pytest.approx(270.0)
    assert predict(store.load(spoilt.uri, spoilt.sha256), x)[0] == pytest.approx(195.0)

    plan = board.sabotage = Sabotage("LAX", due_ms=0)
    assert "too short" in plan.text()
    plan.version, plan.parent, plan.at_ms = "v4", "v3", board.begin_ms
    board.note(spoilt)
    assert board.versions["LAX"] == 0  # no policy asked for it
    board.note(_judged("v4", -75.0, "worse", "d"))
    assert not board.ledger
    board.event_ms = board.begin_ms + 3 * DAY_MS
    back = msgspec.structs.replace(
        current, id="back", sequence=5, action="rolled-back", parent_version="v4"
    )
    board.note(back)
    assert board.rollbacks == {"LAX": 1}
    assert plan.text().endswith(
        "Driftloop went back to v3 3.0 days later after 200 flights, each 75 min worse"
    )


def test_the_busiest_route_is_spoilt_where_los_angeles_is_not_replayed() -> None:
    assert choose_route(("BOS", "LAX"), [9, 1]) == "LAX"
    assert choose_route(("BOS", "SEA", "SFO"), [9, 1, 10]) == "SFO"
