"""Which requests still count, and what they promise."""

from __future__ import annotations

from driftloop.messages import Ground, ModelPublished, RetrainRequested
from driftloop.settings import CycleWindow, Profile
from driftloop.trainer.waiting import Precedence, precedence, promised, settle, window_records
from tests.unit.trainer.requests import request, version

_STREAM = "streams.a"


def _none(_: RetrainRequested) -> ModelPublished | None:
    return None


def test_a_newer_request_supersedes_older_ones_and_takes_over_their_age_and_precedence() -> None:
    ordered = request("r1", _STREAM, reason="command")
    newer = request("r3", _STREAM)
    waiting, superseded = settle(
        [(ordered, 5), (request("r2", _STREAM), 7), (newer, 9), (request("other"), 8)], _none
    )
    assert [(one.request.id, one.since_ms) for one in waiting] == [("r3", 5), ("other", 8)]
    assert waiting[0].precedence is Precedence.COMMAND
    assert [(one.request.id, one.reason) for one in superseded] == [
        ("r1", "newer-request"),
        ("r2", "newer-request"),
    ]
    assert all("r3" in one.detail for one in superseded)


def test_a_repeated_request_is_one_and_as_old_as_when_it_came_first() -> None:
    first, second = request("r1", _STREAM), request("r2", _STREAM)
    waiting, superseded = settle([(first, 1), (second, 2), (first, 3), (second, 4)], _none)
    assert [(one.request.id, one.since_ms) for one in waiting] == [("r2", 1)]
    assert [one.request.id for one in superseded] == ["r1"]


def test_a_decision_on_a_version_that_is_gone_counts_only_for_newer_records() -> None:
    trained = version("v4", _STREAM, [f"{_STREAM}:0:50:99"])
    cases = {
        "same": request("r", _STREAM, current_version="v4"),
        "covered": request("r", _STREAM, current_version="v3"),
        "newer": request("r", _STREAM, current_version="v3", data=[f"{_STREAM}:0:50:100"]),
        "other": request(
            "r", _STREAM, current_version="v3", data=[f"{_STREAM}:0:1:9", f"{_STREAM}:1:1:9"]
        ),
        "unknown": request("r", _STREAM, current_version=None),
        "ordered": request("r", _STREAM, current_version="v3", reason="command"),
        "unreadable": request("r", _STREAM, current_version="v3", data=["x:0:9:2"]),
    }
    gone = {
        name
        for name, one in cases.items()
        if [dropped.reason for dropped in settle([(one, 0)], lambda _: trained)[1]]
        == ["newer-version"]
    }
    assert gone == {"covered"}


def test_a_person_goes_before_a_first_model_and_that_before_the_policy() -> None:
    approved = request("r", grounds=[Ground(criterion="approval", family="command")])
    initial = request(
        "r", reason="initial", grounds=[Ground(criterion="no-model", family="command")]
    )
    found = [precedence(one) for one in (request("r", reason="command"), approved, initial)]
    assert found == [Precedence.COMMAND, Precedence.COMMAND, Precedence.INITIAL]
    assert precedence(request("r")) is Precedence.POLICY


def test_a_promise_is_the_priority_over_the_windows_records() -> None:
    profile = Profile(window={"kind": "count", "records": 200})
    assert promised(request("r", priority=50.0), profile) == 0.25
    assert promised(request("r", priority=0.0), profile) is None
    days = Profile(window=CycleWindow(kind="cycle", length="1d"))
    window = [f"{_STREAM}:0:0:9", f"{_STREAM}:1:0:29"]
    ground = Ground(criterion="reducible", family="loss", window=window)
    assert window_records(request("r", grounds=[ground]), days) == 40
    assert window_records(request("r"), days) == 1
    assert window_records(request("r", grounds=[ground]), None) == 40
