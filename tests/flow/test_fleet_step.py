"""The step *fleet* in Bytewax: any workers, aborted and resumed, and failures that stay local."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
import structlog
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

from driftloop.messages import Event, Evidence, FleetIncident, RetrainRequested
from driftloop.monitor.decide import DecideLogic
from driftloop.monitor.fleet import FleetLogic, by_profile, is_for_fleet
from driftloop.monitor.items import Judged, StreamName
from driftloop.policy import FleetDecider, FleetItem, StreamDecider
from driftloop.settings import Profile, Settings
from tests.streams import frozen
from tests.unit.policy.test_decide import asked
from tests.unit.policy.windows import DAY

DAYS = 13
STREAMS = [f"streams.{name}" for name in "abcdefghijkl"]
SHIFTED = 6
"""Day on which all streams lose more."""


def profile_of(**fleet: Any) -> Profile:
    policy = {"min_records": 10, "kind": "mlma", "outcome_timeout": "0s"}
    # As late as two workers may be apart.
    return Profile(policy=policy, fleet={"lateness": "3d", "incident_alpha": 0.01, **fleet})


WAITING = profile_of(budget=3, during_incident="hold")
CALM = profile_of()


def items() -> list[tuple[str, Judged]]:
    """A window a stream and day; every stream asks now and then."""
    out = []
    for day in range(DAYS):
        for place, stream in enumerate(STREAMS):
            item = asked(day, retrain=(day + place) % 4 == 0)
            loss = 1.0 + 0.1 * ((day * 7 + place * 3) % 5) + (9.0 if day == SHIFTED else 0.0)
            tested = dataclasses.replace(
                item, metrics={"loss": loss}, saving=float(place), results=item.results
            )
            out.append((stream, Judged(StreamName(stream, stream, "default"), tested)))
    return out


def flow_of(
    source: list[Any], out: list[Any], profile: Profile, step: type[FleetLogic] = FleetLogic
) -> Dataflow:
    settings = Settings(profiles={"default": profile})
    flow = Dataflow("fleet-step")
    judged = op.input("in", flow, TestingSource(source))
    decided = op.stateful_batch("decide", judged, lambda state: DecideLogic(settings, state))
    parts = op.branch("for-fleet", decided, is_for_fleet)
    news = op.map("by-profile", parts.trues, by_profile)
    agreed = op.stateful_batch("fleet", news, lambda state: step(settings, state))
    op.output("out", op.merge("all", parts.falses, agreed), TestingSink(out))
    return flow


def pure(profile: Profile) -> list[Event]:
    """What the pure code alone decides."""
    deciders = {stream: StreamDecider(stream, "default", profile) for stream in STREAMS}
    fleet = FleetDecider("default", profile)
    events: list[Event] = []
    for stream, judged in items():
        events += deciders[stream].decide(judged.item)
        told: list[FleetItem] = deciders[stream].for_fleet
        for one in told:
            events += fleet.take(one)
    return events


def by_id(events: list[Event]) -> dict[str, Any]:
    return {event.id: frozen(event) for event in events}


EXPECTED = {name: pure(profile) for name, profile in {"waits": WAITING, "passes": CALM}.items()}
PROFILES = {"waits": WAITING, "passes": CALM}


def kinds(events: list[Event], kind: type) -> int:
    return sum(isinstance(event, kind) for event in events)


def test_these_fleets_hold_send_and_have_an_incident() -> None:
    for events in EXPECTED.values():
        assert kinds(events, RetrainRequested) >= 6
        assert kinds(events, FleetIncident) >= 1
    held = {e.decision for e in EXPECTED["waits"] if isinstance(e, Evidence) and e.kind == "fleet"}
    assert held == {"budget", "incident"}


@pytest.mark.parametrize("name", PROFILES)
def test_the_step_decides_as_the_pure_code_does(name: str) -> None:
    out: list[tuple[str, Event]] = []
    run_main(flow_of(list(items()), out, PROFILES[name]))
    assert by_id([event for _, event in out]) == by_id(EXPECTED[name])


def of_streams(events: list[Event]) -> list[Event]:
    """What the streams decide by themselves."""
    return [
        event
        for event in events
        if not isinstance(event, RetrainRequested | FleetIncident)
        and not (isinstance(event, Evidence) and event.kind == "fleet")
    ]


@pytest.mark.parametrize("name", PROFILES)
def test_two_workers_change_no_streams_decision_and_keep_the_fleets_rules(name: str) -> None:
    """How far the workers are apart is theirs, and may be more than the allowed lateness."""
    out: list[tuple[str, Event]] = []
    cluster_main(flow_of(list(items()), out, PROFILES[name]), [], 0, worker_count_per_proc=2)
    events = [event for _, event in out]
    assert by_id(of_streams(events)) == by_id(of_streams(EXPECTED[name]))
    sent = [event for event in events if isinstance(event, RetrainRequested)]
    assert len({request.id for request in sent}) == len(sent) >= 3
    if name == "passes":  # past the fleet, whatever the workers do
        expected = [e for e in EXPECTED[name] if isinstance(e, RetrainRequested)]
        assert by_id(list(sent)) == by_id(list(expected))
        return
    for request in sent:
        (used,) = (g for g in request.grounds if g.criterion == "budget" and "sent" in g.detail)
        assert used.statistic is not None
        assert 0 <= used.statistic < 3


@pytest.mark.parametrize("epoch", [timedelta(0), timedelta(seconds=10)], ids=["each", "one"])
@pytest.mark.parametrize("name", PROFILES)
def test_aborted_and_resumed_it_decides_the_same_by_id(
    tmp_path: Path, name: str, epoch: timedelta
) -> None:
    """Some events come twice, none is lost, and none is another."""
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    out: list[tuple[str, Event]] = []
    for at in (20, 47, 80, None):
        source: list[Any] = list(items())
        if at is not None:
            source.insert(at, TestingSource.ABORT())
        flow = flow_of(source, out, PROFILES[name])
        run_main(flow, epoch_interval=epoch, recovery_config=recovery)
    found = by_id([event for _, event in out])
    assert found == by_id(EXPECTED[name])
    for _, event in out:
        assert frozen(event) == found[event.id]


def test_under_changed_fleet_settings_the_fleet_alone_begins_anew(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)
    recovery = RecoveryConfig(str(tmp_path))
    source: list[Any] = list(items())
    source.insert(50, TestingSource.EOF())
    out: list[Any] = []
    with structlog.testing.capture_logs() as logs:
        for profile in (CALM, profile_of(incident_share=0.9)):
            flow = flow_of(source, out, profile)
            run_main(flow, epoch_interval=timedelta(0), recovery_config=recovery)
    changed = [log["step"] for log in logs if log["event"] == "monitor.profile_changed"]
    assert changed == ["fleet"]


class Failing(FleetLogic):
    """Fails on one item, as an unforeseen error would."""

    def handle(self, state: FleetDecider, item: Any) -> tuple[list[Any], bool]:
        if item.name.stream == STREAMS[3] and item.item.at // DAY == 2:
            raise ZeroDivisionError("unforeseen")
        return super().handle(state, item)


def test_a_fleet_that_fails_begins_anew_and_ends_no_flow() -> None:
    out: list[tuple[str, Event]] = []
    with structlog.testing.capture_logs() as logs:
        run_main(flow_of(list(items()), out, WAITING, Failing))
    (log,) = (log for log in logs if log["event"] == "monitor.stream_failed")
    assert log["step"] == "fleet"
    events = [event for _, event in out]
    assert kinds(events, RetrainRequested) >= 3
    evidence = [e for e in events if isinstance(e, Evidence) and e.kind == "window"]
    assert len(evidence) == len(STREAMS) * DAYS
