"""The monitor's stateful steps in Bytewax: any workers, aborted and resumed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
import structlog
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

from driftloop.messages import Cost, Event, RetrainRequested, StreamStatus, TrainingFinished
from driftloop.monitor.decide import DecideLogic
from driftloop.monitor.fleet import is_for_fleet
from driftloop.monitor.items import Control, Life, Records, StreamName, TrackItem
from driftloop.monitor.test import TestLogic
from driftloop.monitor.track import TrackLogic
from driftloop.records import Columns
from driftloop.settings import Policy, Settings
from tests.streams import Played, frozen, make_profile, make_stream, play, published

PROFILE = make_profile(policy=Policy(min_records=20, cost=2.0, detectors=["adwin"]))
SETTINGS = Settings(profiles={"default": PROFILE})
STREAMS = [f"streams.{name}" for name in "abcd"]
BATCH = 23

Item = tuple[str, TrackItem]


def rows_of(stream: str) -> Columns:
    """Records of a stream, with late labels and a drift."""
    return make_stream(PROFILE, STREAMS.index(stream), 200, drift_at=100, late=0.3, missing=0.02)


def name_of(stream: str) -> StreamName:
    return StreamName(stream, stream, "default")


def items() -> list[Item]:
    """All streams' items, batch by batch in turn; a new version comes in between."""
    out: list[Item] = [(s, Life(name_of(s), "appeared")) for s in STREAMS]
    for start in range(0, 300, BATCH):
        for stream in STREAMS:
            if start == BATCH * 6:
                event = published("v2")
                out.append((stream, Control(name_of(stream), event)))
            rows = rows_of(stream).select(slice(start, start + BATCH))
            if len(rows):
                out.append((stream, Records(name_of(stream), rows, 1, 0)))
    return out


def flow_of(
    source: Iterable[Any],
    out: list[tuple[str, Event]],
    settings: Settings = SETTINGS,
    track: type[TrackLogic] = TrackLogic,
) -> Dataflow:
    """The steps of a stream between a list and a list; a list of pairs is what each puts out."""
    flow = Dataflow("monitor-steps")
    readable = op.input("in", flow, TestingSource(source))
    tracked = op.stateful_batch("track", readable, lambda state: track(settings, state))
    judged = op.stateful_batch("test", tracked, lambda state: TestLogic(settings, state))
    decided = op.stateful_batch("decide", judged, lambda state: DecideLogic(settings, state))
    events = op.branch("for-fleet", decided, is_for_fleet).falses
    op.output("out", events, TestingSink(out))
    return flow


def pure(stream: str) -> list[Event]:
    """What the pure code alone decides on a stream."""
    played = Played(PROFILE, stream)
    tracker = played.states[0]
    for key, item in items():
        if key != stream:
            continue
        if isinstance(item, Records):
            played.records(item.rows)
        elif isinstance(item, Control):
            played.control(item.event)
        else:
            played.take(tracker.state(item.kind))
    return played.events


def by_stream(out: list[tuple[str, Event]]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {stream: [] for stream in STREAMS}
    for stream, event in out:
        found[stream].append(event)
    return found


EXPECTED = {stream: pure(stream) for stream in STREAMS}


def test_the_streams_of_these_tests_request_retrains() -> None:
    for events in EXPECTED.values():
        assert any(isinstance(event, RetrainRequested) for event in events)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_steps_decide_as_the_pure_code_does(workers: int) -> None:
    out: list[tuple[str, Event]] = []
    flow = flow_of(items(), out)
    if workers == 1:
        run_main(flow)
    else:
        cluster_main(flow, [], 0, worker_count_per_proc=workers)
    assert frozen(by_stream(out)) == frozen(EXPECTED)


@pytest.mark.parametrize("epoch", [timedelta(0), timedelta(seconds=10)], ids=["each", "one"])
def test_aborted_and_resumed_they_decide_the_same_by_id(tmp_path: Path, epoch: timedelta) -> None:
    """Some events come twice, none is lost, and none is another."""
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    out: list[tuple[str, Event]] = []
    for at in (12, 33, 50, None):
        source: list[Any] = items()
        if at is not None:
            source.insert(at, TestingSource.ABORT())
        run_main(flow_of(source, out), epoch_interval=epoch, recovery_config=recovery)
    found = {event.id: frozen(event) for _, event in out}
    expected = {e.id: frozen(e) for events in EXPECTED.values() for e in events}
    assert found == expected
    for event in (event for _, event in out):
        assert frozen(event) == found[event.id]


def test_under_a_changed_profile_a_stream_begins_anew_and_says_so(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    stream = STREAMS[0]
    rows = rows_of(stream)
    changed = make_profile(policy=Policy(min_records=20, cost=3.0, detectors=["adwin"]))
    source: list[Any] = [
        (stream, Records(name_of(stream), rows.select(slice(0, 100)), 1, 0)),
        TestingSource.EOF(),
        (stream, Records(name_of(stream), rows.select(slice(100, 200)), 1, 0)),
    ]
    out: list[tuple[str, Event]] = []
    run_main(flow_of(source, out), epoch_interval=timedelta(0), recovery_config=recovery)
    before = len(out)
    with structlog.testing.capture_logs() as logs:
        run_main(
            flow_of(source, out, Settings(profiles={"default": changed})),
            epoch_interval=timedelta(0),
            recovery_config=recovery,
        )
    assert {(log["event"], log["step"]) for log in logs if log["log_level"] == "warning"} == {
        ("monitor.profile_changed", step) for step in ("track", "test", "decide")
    }
    fresh = play(changed, rows.select(slice(100, 200)))
    statuses = [e.windows for _, e in out[before:] if isinstance(e, StreamStatus)]
    assert statuses == [e.windows for e in fresh.of(StreamStatus)]


def test_under_the_same_profile_a_restart_is_not_seen(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    source: list[Any] = items()
    source.insert(40, TestingSource.EOF())
    out: list[tuple[str, Event]] = []
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            run_main(flow_of(source, out), epoch_interval=timedelta(0), recovery_config=recovery)
    assert not [log for log in logs if log["log_level"] == "warning"]
    assert frozen(by_stream(out)) == frozen(EXPECTED)


class Failing(TrackLogic):
    """Fails on one batch of one stream, as an unforeseen error would."""

    def handle(self, state: Any, item: TrackItem) -> tuple[list[Any], bool]:
        if item.name.stream == STREAMS[1] and isinstance(item, Records):
            place = int(item.rows.offsets[0])
            if place == 2 * BATCH:
                raise ZeroDivisionError("unforeseen")
        return super().handle(state, item)


def test_a_stream_that_fails_begins_anew_and_ends_no_other() -> None:
    out: list[tuple[str, Event]] = []
    with structlog.testing.capture_logs() as logs:
        run_main(flow_of(items(), out, track=Failing))
    found = by_stream(out)
    for stream in (STREAMS[0], *STREAMS[2:]):
        assert frozen(found[stream]) == frozen(EXPECTED[stream])
    assert found[STREAMS[1]]
    assert frozen(found[STREAMS[1]]) != frozen(EXPECTED[STREAMS[1]])
    (log,) = (log for log in logs if log["event"] == "monitor.stream_failed")
    assert (log["stream"], log["step"]) == (STREAMS[1], "track")


def test_a_deleted_topic_retires_its_stream_and_one_made_anew_starts_afresh() -> None:
    stream = STREAMS[0]
    name = name_of(stream)
    rows = Records(name, rows_of(stream).select(slice(0, 100)), 1, 0)
    for kind in ("deleted", "recreated"):
        out: list[tuple[str, Event]] = []
        run_main(flow_of([(stream, rows), (stream, Life(name, kind)), (stream, rows)], out))
        statuses = [event for _, event in out if isinstance(event, StreamStatus)]
        (last,) = (
            i for i, s in enumerate(statuses) if s.event_time is None or s.state == "retired"
        )
        assert statuses[last].state == ("retired" if kind == "deleted" else "warming-up")
        before, after = statuses[:last], statuses[last + 1 :]
        assert before
        assert [s.windows for s in before] == [s.windows for s in after]


def test_seconds_that_were_measured_are_there_after_a_restart(tmp_path: Path) -> None:
    """Aborted behind two outcomes, the cost is the one that the pure code has."""
    price = {"gpu_second": 1.0, "seconds": 50.0, "loss": 1.0, "measured": True}
    profile = make_profile(policy=Policy(min_records=20, price=price))
    settings = Settings(profiles={"default": profile})
    stream, rows = STREAMS[0], rows_of(STREAMS[0])
    outcomes = [
        TrainingFinished(
            id=f"t{i}", stream=stream, profile="default", request_id=f"r{i}", outcome="failed",
            cost=Cost(seconds=seconds, records=50, device="cpu"), finished_at=0,
        )
        for i, seconds in enumerate((3.0, 5.0))
    ]  # fmt: skip
    source: list[Any] = [(stream, Control(name_of(stream), one)) for one in outcomes]
    played = Played(profile, stream)
    for one in outcomes:
        played.control(one)
    for start in range(0, 200, BATCH):
        part = rows.select(slice(start, start + BATCH))
        source.append((stream, Records(name_of(stream), part, 1, 0)))
        played.records(part)
    source.insert(4, TestingSource.ABORT())
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    out: list[tuple[str, Event]] = []
    for _ in range(2):
        flow = flow_of(source, out, settings)
        run_main(flow, epoch_interval=timedelta(0), recovery_config=recovery)
    assert {event.id: frozen(event) for _, event in out} == {
        event.id: frozen(event) for event in played.events
    }
    thresholds = {one.threshold for one in played.of(StreamStatus)} - {None}
    assert thresholds == {5.0}
