"""Each command is carried out once, and its answer says what came of it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from driftloop.detection.outputs import Counters, Ordered
from driftloop.detection.seen import REMEMBERED
from driftloop.detection.stream import StreamTracker
from driftloop.messages import (
    CommandAnswered,
    RetrainRequested,
    StreamStatus,
    VersionOrdered,
    incident_scope,
)
from driftloop.policy import StreamDecider
from driftloop.settings import Policy
from tests.streams import (
    MINUTE,
    START,
    STREAM,
    Played,
    command,
    make_profile,
    make_stream,
    play,
    published,
)
from tests.unit.policy.test_decide import asked, decider, decisions, finished, of
from tests.unit.policy.windows import DAY

DATA = [f"{STREAM}:0:0:49"]


def order(action: Any, *, day: int = 1, version: str | None = "v1", **more: Any) -> Ordered:
    return Ordered(command(action, **more), DATA, 50, version, day * DAY, Counters())


def answer(state: StreamDecider, action: Any, **more: Any) -> CommandAnswered:
    (found,) = of(state.decide(order(action, **more)), CommandAnswered)
    assert isinstance(found, CommandAnswered)
    return found


def status(state: StreamDecider) -> StreamStatus:
    """The status as any command is followed by it."""
    found = of(state.decide(order("unpin", id="ask")), StreamStatus)[-1]
    assert isinstance(found, StreamStatus)
    return found


def test_an_answer_names_the_command_and_its_place_in_event_time() -> None:
    found = answer(decider(), "snooze", until=3 * DAY)
    assert (found.command_id, found.action, found.stream) == ("snooze", "snooze", STREAM)
    assert (found.outcome, found.answered_at) == ("done", DAY)
    again = answer(decider(approval=True), "snooze", day=2, until=3 * DAY)
    assert again.id == found.id  # by the command alone: also where its state was lost
    assert answer(decider(), "snooze", id="other", until=3 * DAY).id != found.id


@pytest.mark.parametrize(
    ("action", "more"),
    [
        ("retrain", {}),
        ("snooze", {}),
        ("pin", {}),
        ("rollback", {}),
        ("reset-reference", {}),
        ("dismiss", {}),
        ("retire", {}),
    ],
)
def test_a_command_that_comes_again_changes_nothing_and_has_the_same_answer(
    action: str, more: dict[str, Any]
) -> None:
    state = decider(cooldown="0s", outcome_timeout="0s")
    state.decide(asked(0))
    first = state.decide(order(action, **more))
    state = pickle.loads(pickle.dumps(state))  # noqa: S301  # our own bytes
    before = state.state
    again = state.decide(order(action, **more))
    assert [type(one) for one in again] == [CommandAnswered, StreamStatus]
    assert again[0] == of(first, CommandAnswered)[0]
    assert state.state == before
    assert of(again, StreamStatus)[0].retrains == of(first, StreamStatus)[0].retrains
    assert of(again, StreamStatus)[0].dismissed == of(first, StreamStatus)[0].dismissed


def given(count: int) -> Played:
    """A stream that was given so many commands, a minute each; the first is a retrain."""
    played = Played(make_profile())
    played.records(make_stream(make_profile(), 1, 60))
    played.control(command("retrain", id="0", issued_at=START))
    for number in range(1, count):
        at = START + number * MINUTE
        played.control(command("snooze", id=str(number), issued_at=at))
    return played


def test_a_command_that_is_sent_again_after_many_others_is_refused_and_changes_nothing() -> None:
    played = given(REMEMBERED + 1)
    (first,) = [one for one in played.of(CommandAnswered) if one.command_id == "0"]
    before = played.of(StreamStatus)[-1]
    played.pickled()
    played.control(command("retrain", id="0", issued_at=START))
    late = played.of(CommandAnswered)[-1]
    assert (late.command_id, late.outcome, late.led_to) == ("0", "refused", [])
    assert late.id != first.id
    assert "it was issued at 2023-11-14T22:13:20Z" in late.detail
    assert "may have been carried out before; give it anew" in late.detail
    after = played.of(StreamStatus)[-1]
    assert (after.retrains, after.state) == (before.retrains, before.state) == (1, "snoozed")
    assert "retrain refused: it was issued at" in after.detail
    played.control(command("retrain", id="0", issued_at=START))
    assert played.of(CommandAnswered)[-1].id == late.id
    assert len(played.of(RetrainRequested)) == 1


def test_a_command_that_is_given_anew_is_carried_out() -> None:
    played = given(REMEMBERED + 1)
    played.control(command("retrain", id="anew", issued_at=START + DAY))
    assert played.of(CommandAnswered)[-1].outcome == "accepted"


def test_of_those_that_are_remembered_the_answer_comes_again() -> None:
    """Also of one by a clock that was ahead, which is remembered longer than it came."""
    played = given(2)
    ahead = command("pin", id="ahead", issued_at=START + DAY)
    played.control(ahead)
    first = played.of(CommandAnswered)[-1]
    for number in range(2 * REMEMBERED):
        played.control(command("snooze", id=f"s{number}", issued_at=START + number * MINUTE))
    played.control(ahead)
    assert played.of(CommandAnswered)[-1] == first


def test_a_reset_that_comes_again_begins_nothing_anew() -> None:
    played = given(1)
    reset = command("reset-reference", id="reset", issued_at=START + 1)
    played.control(reset)
    for number in range(REMEMBERED + 1):
        played.control(command("snooze", id=f"s{number}", issued_at=START + (2 + number) * MINUTE))
    played.control(reset)
    (first, late) = [
        one for one in played.outputs if isinstance(one, Ordered) and one.command == reset
    ]
    assert (first.resets, late.resets) == (True, False)


def test_an_answer_that_is_lost_with_its_state_is_not_made_up() -> None:
    """As under another profile: the decider begins anew, and knows the command all the same."""
    before, played = given(2).states, Played(make_profile())
    played.states[2].inherit(before[2])
    played.states = (before[0], *played.states[1:])
    played.control(command("retrain", id="0", issued_at=START))
    late = played.of(CommandAnswered)[-1]
    assert late.outcome == "refused"
    assert "given before, and its answer is not remembered" in late.detail
    assert not played.of(RetrainRequested)


def test_a_command_that_the_tracker_alone_knows_is_decided_on() -> None:
    """As after a crash between the two: none is lost, and its request has the id it would have."""
    first, played = given(1), Played(make_profile())
    played.states = (first.states[0], *played.states[1:])
    played.control(command("retrain", id="0", issued_at=START))
    assert played.of(CommandAnswered)[-1].outcome == "accepted"
    assert played.of(RetrainRequested)[0].id == first.of(RetrainRequested)[0].id


def test_a_snapshot_of_a_release_that_remembered_answers_alone_goes_on() -> None:
    desk = given(2).states[2]._desk
    earlier = {name: value for name, value in desk.__dict__.items() if name != "memory"}
    resumed = type(desk).__new__(type(desk))
    resumed.__setstate__(earlier)
    (again,) = resumed.take(order("retrain", id="0")).events
    assert again == desk._answers["0"]
    assert resumed.take(order("pin", id="new", issued_at=START)).detail.startswith("v1 pinned")


def test_the_memory_of_commands_is_bounded() -> None:
    state = decider()
    for number in range(3 * REMEMBERED):
        answer(state, "snooze", id=str(number), day=1)
    size = len(pickle.dumps(state))
    for number in range(REMEMBERED):
        answer(state, "snooze", id=str(number + 100), day=1)
    assert len(pickle.dumps(state)) <= size * 1.1


def test_what_must_wait_for_the_trainer_is_accepted_with_what_it_led_to() -> None:
    state = decider()
    events = state.decide(order("retrain"))
    (request,) = of(events, RetrainRequested)
    (found,) = of(events, CommandAnswered)
    assert (found.outcome, found.led_to, found.about) == ("accepted", [request.id], request.id)
    state.decide(published("v1"))
    events = state.decide(order("pin", version="v1"))
    assert of(events, CommandAnswered)[0].outcome == "done"
    assert [one.action for one in of(events, VersionOrdered)] == ["discard"]
    events = state.decide(order("rollback"))
    (back,) = of(events, VersionOrdered)
    assert of(events, CommandAnswered)[0].led_to == [back.id]


def test_a_pin_tells_that_the_training_under_way_is_given_up() -> None:
    state = decider()
    state.decide(asked(0))
    found = answer(state, "pin")
    assert (found.outcome, found.led_to) == ("done", [])
    assert "will be discarded" in found.detail


@pytest.mark.parametrize(
    ("action", "more", "told"),
    [
        ("approve", {}, "nothing waits for approval"),
        ("reject", {}, "nothing waits for approval"),
        ("resume", {}, "neither snoozed nor retired"),
        ("dismiss", {}, "no retrain to dismiss"),
        ("dismiss", {"request_id": "0" * 32}, "none of the stream's last"),
        ("snooze", {"until": DAY}, "not after the stream's event time"),
        ("snooze", {"until": -(2**62)}, "not after the stream's event time"),
        ("pin", {"version": "v2"}, "no version v2 was ever made; v1 is the newest"),
        ("rollback", {"version": "v7"}, "no version v7 was ever made"),
        ("rollback", {"version": "v1"}, "v1 is the current version already"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason_and_changes_nothing(
    action: str, more: dict[str, Any], told: str
) -> None:
    state = decider()
    state.decide(published("v1"))
    version = more.pop("version", None)
    events = state.decide(
        Ordered(command(action, version=version, **more), DATA, 50, "v1", DAY, Counters())
    )
    (found,) = of(events, CommandAnswered)
    assert found.outcome == "refused"
    assert told in found.detail
    assert [type(one) for one in events] == [CommandAnswered, StreamStatus]
    assert f"{action} refused: " in of(events, StreamStatus)[0].detail
    assert state.state == decider().state


def test_a_snooze_far_beyond_any_calendar_is_taken() -> None:
    state = decider()
    assert answer(state, "snooze", until=2**62).outcome == "done"
    assert decisions(state, asked(0)) == ["snoozed"]


def test_resume_ends_a_snooze() -> None:
    state = decider()
    answer(state, "snooze")
    assert decisions(state, asked(0)) == ["snoozed"]
    assert answer(state, "resume").outcome == "done"
    assert decisions(state, asked(1)) == ["retrain"]
    assert answer(state, "resume", id="again").outcome == "refused"


def test_a_false_alarm_is_counted_once_after_the_fact() -> None:
    state = decider()
    (request,) = of(state.decide(asked(0)), RetrainRequested)
    found = answer(state, "dismiss")
    assert (found.outcome, found.about) == ("done", request.id)
    assert "rollback" in found.detail
    twice = answer(state, "dismiss", id="twice", request_id=request.id)
    assert (twice.outcome, twice.detail) == ("refused", f"{request.id} was dismissed before")
    assert status(state).dismissed == 1


def test_a_request_that_the_fleet_sent_is_known_by_its_outcome() -> None:
    state = decider()
    (request,) = of(decider().decide(asked(0)), RetrainRequested)
    assert answer(state, "dismiss", request_id=request.id).outcome == "refused"
    state.decide(finished(request))
    assert answer(state, "dismiss", id="later", request_id=request.id).outcome == "done"


def test_an_incident_is_dismissed_without_counting_as_a_retrain() -> None:
    state = decider()
    scope = incident_scope("5b0c")
    found = answer(state, "dismiss", request_id="5b0c", scope=scope)
    assert (found.outcome, found.about) == ("done", "5b0c")
    assert answer(state, "dismiss", id="b", request_id="5b0c", scope=scope).outcome == "refused"
    assert status(state).dismissed == 0


def test_what_waits_is_rejected_and_not_dismissed() -> None:
    state = decider(approval=True)
    state.decide(asked(0))
    found = answer(state, "dismiss")
    assert found.outcome == "refused"
    (evidence_status,) = of(state.decide(order("unpin", id="ask")), StreamStatus)
    identity = evidence_status.detail.split()[1]
    told = answer(state, "dismiss", id="named", request_id=identity)
    assert "send 'reject'" in told.detail


def test_a_retired_stream_does_nothing_until_it_is_resumed() -> None:
    state = decider(approval=True)
    state.decide(asked(0))
    assert state.state == "awaiting-approval"
    assert answer(state, "retire").outcome == "done"
    assert state.state == "retired"
    for action in ("retrain", "pin", "snooze", "approve", "rollback", "reset-reference"):
        found = answer(state, action)
        assert (found.outcome, "'resume'" in found.detail) == ("refused", True)
    assert answer(state, "retire", id="again").outcome == "refused"
    assert answer(state, "resume").outcome == "done"
    assert state.state == "warming-up"
    assert answer(state, "approve", id="late").detail == "nothing waits for approval"


def make_played() -> tuple[Any, Any]:
    profile = make_profile(policy=Policy(min_records=20, cost=2.0, detectors=["page_hinkley"]))
    return profile, make_stream(profile, 4, 400, versions=(0,))


def test_references_begin_anew_as_those_of_a_stream_that_begins_there() -> None:
    profile, rows = make_played()
    cut = 95
    reset = play(profile, rows, controls={cut: command("reset-reference")})
    fresh = play(profile, rows.select(slice(cut, len(rows))))
    assert status_of(reset).reference_loss == status_of(fresh).reference_loss
    assert status_of(reset).accumulated == pytest.approx(status_of(fresh).accumulated)
    assert status_of(reset).loss == status_of(fresh).loss
    plain = play(profile, rows)
    assert status_of(plain).reference_loss != status_of(reset).reference_loss
    assert status_of(reset).records == 395  # of the last window's end


def status_of(played: Played) -> StreamStatus:
    found = played.of(StreamStatus)[-1]
    assert isinstance(found, StreamStatus)
    return found


def test_a_reset_that_comes_again_does_not_reset_again() -> None:
    profile, rows = make_played()
    once = play(profile, rows, controls={95: command("reset-reference")})
    twice = play(
        profile, rows, controls={95: command("reset-reference"), 200: command("reset-reference")}
    )
    assert status_of(once).reference_loss == status_of(twice).reference_loss
    assert len(twice.of(CommandAnswered)) == 2
    assert len({one.id for one in twice.of(CommandAnswered)}) == 1


def test_records_of_a_retired_stream_are_skipped_and_it_begins_anew() -> None:
    profile, rows = make_played()
    played = play(profile, rows, controls={95: command("retire"), 250: command("resume")})
    assert status_of(played).records == 95 + 150
    assert status_of(played).state == "monitoring"
    fresh = play(profile, rows.select(slice(250, len(rows))))
    assert status_of(played).reference_loss == status_of(fresh).reference_loss
    assert status_of(played).accumulated == pytest.approx(status_of(fresh).accumulated)
    between = [one for one in played.of(StreamStatus) if one.state == "retired"]
    assert between
    assert status_of(played).event_time == START + 399 * MINUTE


def test_a_retired_stream_keeps_little() -> None:
    profile, rows = make_played()
    tracker = StreamTracker(STREAM, profile)
    tracker.records(rows.select(slice(0, 300)))
    before = len(pickle.dumps(tracker))
    tracker.control(command("retire"))
    assert tracker.records(rows.select(slice(300, 400))) == []
    assert len(pickle.dumps(tracker)) < 0.7 * before


def test_its_version_is_still_known_when_it_is_resumed() -> None:
    profile, rows = make_played()
    played = play(profile, rows, controls={95: command("retire"), 250: command("resume")})
    assert status_of(played).model_version == "v1"
    windows = [one for one in played.outputs if type(one).__name__ == "LossWindow"]
    assert len({one.version for one in windows}) == 1
