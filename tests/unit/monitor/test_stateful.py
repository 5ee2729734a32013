"""A stream's steps: snapshots that are copies, failures that stay local, topics that go."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import structlog

from driftloop.detection.outputs import Clock, Counters, Ordered, StateChanged
from driftloop.detection.stream import StreamTracker
from driftloop.monitor import metrics
from driftloop.monitor.decide import DecideLogic
from driftloop.monitor.items import Control, Judged, Life, Records, StreamName, Tracked
from driftloop.monitor.stateful import Snapshot
from driftloop.monitor.test import TestLogic
from driftloop.monitor.track import TrackLogic
from driftloop.records import Columns
from driftloop.settings import Settings
from tests.streams import STREAM, command, frozen, make_profile, make_stream, play

PROFILE = make_profile()
SETTINGS = Settings(profiles={"default": PROFILE})
NAME = StreamName(STREAM, STREAM, "default")
ROWS = make_stream(PROFILE, 0, 120)


def records(rows: Columns = ROWS, partitions: int = 1) -> Records:
    return Records(NAME, rows, partitions, 0)


def outputs(found: list[Tracked]) -> list[Any]:
    """Without the marks of event time, which depend on batches."""
    return [item.output for item in found if not isinstance(item.output, Clock)]


def states(found: list[Any]) -> list[str]:
    return [o.state for o in outputs(found) if isinstance(o, StateChanged)]


def test_a_snapshot_is_a_copy_from_which_the_stream_goes_on_alike() -> None:
    logic = TrackLogic(SETTINGS, None)
    first, _ = logic.on_batch([records(ROWS.select(slice(0, 50)))])
    stored = logic.snapshot()
    logic.on_batch([records(ROWS.select(slice(50, 120)))])
    resumed = TrackLogic(SETTINGS, pickle.loads(pickle.dumps(stored)))  # noqa: S301
    rest, discard = resumed.on_batch([records(ROWS.select(slice(50, 120)))])
    assert not discard
    assert frozen(outputs(first) + outputs(rest)) == frozen(play(PROFILE, ROWS).outputs)


def test_a_stream_that_was_not_woken_keeps_the_snapshot_it_resumed_from() -> None:
    stored = Snapshot("hash", b"state")
    assert TrackLogic(SETTINGS, stored).snapshot() == stored


def test_a_failure_is_logged_and_counted_and_the_stream_begins_anew() -> None:
    class Failing(TrackLogic):
        def handle(self, state: StreamTracker, item: Any) -> tuple[list[Any], bool]:
            if isinstance(item, Control):
                raise ZeroDivisionError("unforeseen")  # any error
            return super().handle(state, item)

    logic = Failing(SETTINGS, None)
    before = metrics.FAILURES.labels("track")._value.get()
    with structlog.testing.capture_logs() as logs:
        out, discard = logic.on_batch(
            [records(), Control(NAME, command("pin")), records(ROWS.select(slice(0, 40)))]
        )
    assert not discard
    expected = play(PROFILE, ROWS).outputs + play(PROFILE, ROWS.select(slice(0, 40))).outputs
    assert frozen(outputs(out)) == frozen(expected)
    assert [log["event"] for log in logs] == ["monitor.stream_failed"]
    assert metrics.FAILURES.labels("track")._value.get() == before + 1


def test_a_snapshot_that_cannot_be_read_begins_the_stream_anew() -> None:
    logic = TrackLogic(SETTINGS, Snapshot(PROFILE.hash, b"no pickle"))
    with structlog.testing.capture_logs() as logs:
        out, _ = logic.on_batch([records(), records()])
    assert [log["event"] for log in logs] == ["monitor.stream_failed"]
    assert frozen(outputs(out)) == frozen(play(PROFILE, ROWS).outputs)


def standing(found: list[Any]) -> list[str]:
    return [one.standing.word for one in outputs(found) if isinstance(one, Ordered)]


def test_commands_are_known_after_a_failure_and_under_another_profile() -> None:
    """Whatever else begins anew: none that is sent again is carried out twice."""

    class Failing(TrackLogic):
        def handle(self, state: StreamTracker, item: Any) -> tuple[list[Any], bool]:
            if isinstance(item, Life):
                raise ZeroDivisionError("unforeseen")
            return super().handle(state, item)

    pin = Control(NAME, command("pin"))
    logic = Failing(SETTINGS, None)
    with structlog.testing.capture_logs():
        out, _ = logic.on_batch([records(), pin, Life(NAME, "silent"), pin])
    assert standing(out) == ["new", "again"]
    assert logic._state.counters.records == 0, "the rest began anew"
    other = make_profile(training={"records": 77})
    changed = TrackLogic(Settings(profiles={"default": other}), logic.snapshot())
    with structlog.testing.capture_logs() as logs:
        assert standing(changed.on_batch([pin])[0]) == ["again"]
    assert [log["event"] for log in logs] == ["monitor.profile_changed"]
    assert changed._state.profile == other


def test_what_was_decided_on_is_known_under_another_profile() -> None:
    order = Ordered(command("snooze"), [], 0, None, 5, Counters())
    logic = DecideLogic(SETTINGS, None)
    (first, *_), _ = logic.on_batch([Judged(NAME, order)])
    assert first.outcome == "done"
    other = make_profile(training={"records": 77})
    changed = DecideLogic(Settings(profiles={"default": other}), logic.snapshot())
    with structlog.testing.capture_logs():
        (late, *_), _ = changed.on_batch([Judged(NAME, order)])
    assert (late.outcome, late.command_id) == ("refused", first.command_id)
    assert changed._state.state == "warming-up", "the rest began anew"


def test_a_state_of_another_profile_that_cannot_be_read_is_told() -> None:
    logic = TrackLogic(SETTINGS, Snapshot("another", b"no pickle"))
    with structlog.testing.capture_logs() as logs:
        out, _ = logic.on_batch([records(), Control(NAME, command("pin"))])
    assert standing(out) == ["new"]
    assert [log["event"] for log in logs] == ["monitor.profile_changed", "monitor.state_unreadable"]


def test_a_topic_that_is_gone_takes_its_state_along() -> None:
    logic = TrackLogic(SETTINGS, None)
    out, discard = logic.on_batch([records(), Life(NAME, "deleted")])
    assert discard
    assert states(out) == ["retired"]


def test_a_topic_made_anew_within_a_batch_begins_afresh_and_stays() -> None:
    logic = TrackLogic(SETTINGS, None)
    out, discard = logic.on_batch([records(), Life(NAME, "recreated"), records()])
    assert not discard
    assert states(out) == ["recreated"]
    place = [isinstance(o, StateChanged) for o in outputs(out)].index(True)
    assert frozen(outputs(out)[place + 1 :]) == frozen(outputs(out)[:place])


@pytest.mark.parametrize("state", ["retired", "recreated"])
def test_the_next_step_drops_its_references_with_the_topic(state: str) -> None:
    logic = TestLogic(SETTINGS, None)
    gone = Tracked(NAME, StateChanged(state, None, None))
    assert logic.on_batch([gone])[1]
    assert not logic.on_batch([gone, Tracked(NAME, StateChanged("active", None, None))])[1]


def test_a_topic_of_several_partitions_under_count_windows_is_refused_once_and_stays_so() -> None:
    logic = TrackLogic(SETTINGS, None)
    with structlog.testing.capture_logs() as logs:
        out, _ = logic.on_batch([records(partitions=2), records(partitions=2)])
    assert states(out) == ["refused"]
    assert "windows by count need one partition, got 2" in outputs(out)[0].detail
    assert [log["event"] for log in logs] == ["monitor.stream_refused"]
    out, _ = logic.on_batch([Life(NAME, "silent"), Life(NAME, "active"), records(partitions=2)])
    assert states(out) == []
    assert states(logic.on_batch([Life(NAME, "deleted")])[0]) == ["retired"]
