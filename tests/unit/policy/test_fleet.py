"""Fleets: budget, holds, what is dropped, and that the order within a tick does not matter."""

from __future__ import annotations

import dataclasses
import pickle
import random
from typing import Any

import pytest

from driftloop.detection.outputs import Clock, StateChanged, VersionChanged
from driftloop.messages import Event, Evidence, FleetIncident, RetrainRequested, StreamStatus
from driftloop.policy import FleetNote, FleetObservation, StreamDecider, Tested
from driftloop.settings import Fleet, Policy, Profile
from tests.streams import STREAM, frozen
from tests.unit.policy.fleets import clock, fleet_of, fleet_profile, names, played, seen
from tests.unit.policy.test_decide import asked, finished, of
from tests.unit.policy.test_pace import ordered
from tests.unit.policy.windows import DAY, features


def decisions(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.stream, e.decision) for e in of(events, Evidence)]


# A stream's side


def decider(policy: dict[str, Any] | None = None, **fleet: Any) -> StreamDecider:
    return StreamDecider(STREAM, "p", fleet_profile({"min_records": 10, **(policy or {})}, **fleet))


def test_under_default_settings_a_request_passes_the_fleet_by_and_is_unchanged() -> None:
    plain = StreamDecider(STREAM, "p", Profile(policy=Policy(min_records=10)))
    events = plain.decide(asked(0))
    assert of(events, RetrainRequested)
    assert of(events, Evidence)[0].decision == "retrain"
    (item,) = plain.for_fleet
    assert isinstance(item, FleetObservation)
    assert item.request is None
    for other in (VersionChanged("v2"), ordered("pin"), Tested(features(), "features", [])):
        plain.decide(other)
        assert plain.for_fleet == []
    plain.decide(Clock(7))
    assert plain.for_fleet == [FleetNote(STREAM, "clock", 7)]


def test_default_fleet_settings_are_no_part_of_a_profiles_identity() -> None:
    """Nothing that a stream decides rests on them; what makes it wait is another matter."""
    base = Profile().hash
    assert Profile(fleet={"incident_share": 0.9, "tick": "1h"}).hash == base
    for waits in ({"budget": 1}, {"control": "bh"}, {"during_incident": "hold"}):
        assert Profile(fleet=waits).hash != base
        assert Fleet(**waits).waits


@pytest.mark.parametrize("fleet", [{"budget": 1}, {"during_incident": "hold"}])
def test_where_the_fleet_waits_the_stream_only_proposes(fleet: dict[str, Any]) -> None:
    state = decider(**fleet)
    for index in range(3):  # neither in flight nor cooling: the fleet alone knows what was sent
        events = state.decide(asked(index))
        assert not of(events, RetrainRequested)
        assert of(events, Evidence)[0].decision == "fleet"
        (item,) = state.for_fleet
        assert isinstance(item, FleetObservation)
        assert item.request is not None
        assert item.request.grounds == asked(index).results
        assert item.request.priority == 4.0


def test_a_pinned_snoozed_or_young_stream_proposes_nothing() -> None:
    state = decider({"min_records": 150}, budget=1)
    state.decide(asked(0))
    assert state.for_fleet[0].request is None  # type: ignore[union-attr]
    state.decide(ordered("pin"))
    assert state.for_fleet == [FleetNote(STREAM, "withdrawn", DAY)]
    assert of(state.decide(asked(1)), Evidence)[0].decision == "pinned"
    assert state.for_fleet[0].request is None  # type: ignore[union-attr]


def test_the_first_sign_of_a_request_that_the_fleet_sent_is_its_outcome() -> None:
    state = decider(budget=1)
    state.decide(asked(0))
    sent = state.for_fleet[0].request  # type: ignore[union-attr]
    assert sent is not None
    (status,) = state.decide(finished(sent, "published"))
    assert isinstance(status, StreamStatus)
    assert status.retrains == 1
    assert state.for_fleet == [FleetNote(STREAM, "settled", DAY - 1, sent.id)]


def test_a_commanded_retrain_passes_the_fleet_by_and_is_told_to_it() -> None:
    state = decider(budget=1)
    sent = of(state.decide(ordered("retrain")), RetrainRequested)[0]
    assert state.for_fleet == [FleetNote(STREAM, "sent", DAY, sent.id)]
    status = state.decide(finished(sent, "published"))[0]
    assert isinstance(status, StreamStatus)
    assert status.retrains == 1  # not counted twice


def test_an_approved_retrain_is_no_proposal_but_counts() -> None:
    state = decider({"approval": True}, budget=1)
    assert of(state.decide(asked(0)), Evidence)[0].decision == "awaiting-approval"
    assert state.for_fleet[0].request is None  # type: ignore[union-attr]
    sent = of(state.decide(ordered("approve")), RetrainRequested)[0]
    assert [one.kind for one in state.for_fleet] == ["sent"]  # type: ignore[union-attr]
    assert sent.grounds[-1].criterion == "approval"


def with_p(index: int, p: float | None, *, retrain: bool = False) -> Tested:
    return dataclasses.replace(asked(index, retrain=retrain), results=[], p_value=p)


@pytest.mark.parametrize("control", ["bh", "lord"])
def test_under_control_over_the_fleet_each_windows_p_travels(control: str) -> None:
    """With a request only where the fleet could reject at all."""
    state = decider(control=control, fdr=0.1)
    for index, (p, asks) in enumerate([(0.5, False), (0.09, True), (0.11, False)]):
        decision = of(state.decide(with_p(index, p)), Evidence)[0].decision
        (item,) = state.for_fleet
        assert isinstance(item, FleetObservation)
        assert (item.p_value, item.request is not None) == (p, asks)
        assert decision == ("fleet" if asks else "none")
    state.decide(ordered("pin"))
    state.decide(with_p(3, 0.001))
    assert state.for_fleet[0].p_value != state.for_fleet[0].p_value  # type: ignore[union-attr]


def test_what_has_no_p_value_is_proposed_when_the_stream_asks() -> None:
    state = decider({"kind": "periodic", "every": "1d"}, control="bh")
    state.decide(with_p(0, 0.9))
    assert state.for_fleet[0].request is None  # type: ignore[union-attr]
    state.decide(with_p(1, 0.9))
    item = state.for_fleet[0]
    assert isinstance(item, FleetObservation)
    assert item.request is not None
    assert item.p_value != item.p_value


def test_accumulated_loss_is_no_test_whatever_p_value_stands_beside_it() -> None:
    state = decider({"kind": "reducible"}, control="bh")
    for retrain in (False, True):
        state.decide(dataclasses.replace(asked(0, retrain=retrain), p_value=0.001))
        item = state.for_fleet[0]
        assert isinstance(item, FleetObservation)
        assert (item.p_value == item.p_value, item.request is not None) == (False, retrain)


def test_a_stream_that_goes_tells_its_fleet() -> None:
    state = decider(budget=1)
    state.decide(StateChanged("retired", None, None))
    assert [one.kind for one in state.for_fleet] == ["gone"]  # type: ignore[union-attr]


# Budget


def test_the_highest_priorities_go_first_and_the_rest_on_later_days() -> None:
    fleet = fleet_of(budget=2)
    five = [seen(f"s{i}", 0.5, priority=float(i)) for i in range(5)]
    assert played(fleet, *five) == []
    first = played(fleet, clock(1))
    assert names(first) == ["s4", "s3"]
    assert decisions(first) == [("s2", "budget"), ("s1", "budget"), ("s0", "budget")]
    assert fleet.held == ["s0", "s1", "s2"]
    assert played(fleet, clock(1.5)) == []
    assert names(played(fleet, clock(2))) == ["s2", "s1"]
    last = played(fleet, clock(3))
    assert names(last) == ["s0"]
    assert fleet.held == []
    assert decisions(last) == []


def test_a_request_that_waited_for_the_budget_tells_rank_and_what_was_used() -> None:
    fleet = fleet_of(budget=1)
    events = played(fleet, seen("a", 0.5, priority=9), seen("b", 0.5), clock(1), clock(2))
    sent = of(events, RetrainRequested)
    assert [(e.stream, e.id, e.decided_at) for e in sent] == [
        ("a", f"a@{DAY // 2}", DAY // 2),
        ("b", f"b@{DAY // 2}", DAY // 2),
    ]
    numbers = [(g.statistic, g.effect, g.threshold, g.n) for e in sent for g in e.grounds]
    # Used before, rank, budget, waiting: sent first; held as the second of two; sent next day.
    assert numbers == [(0, 1, 1, 2), (1, 2, 1, 2), (0, 1, 1, 1)]
    assert {g.criterion for e in sent for g in e.grounds} == {"budget"}
    assert "1970-01-01T12:00:00Z" in sent[1].grounds[-1].detail


def test_a_newer_decision_of_a_stream_takes_the_place_of_the_one_that_waits() -> None:
    fleet = fleet_of(budget=1)
    played(fleet, seen("a", 0.5, priority=9), seen("b", 0.5), clock(1))
    events = played(fleet, seen("b", 1.5, priority=3), clock(2))
    assert [e.id for e in of(events, RetrainRequested)] == [f"b@{int(1.5 * DAY)}"]


@pytest.mark.parametrize("kind", ["version", "withdrawn", "gone", "sent"])
@pytest.mark.parametrize("day", [0.7, 1.2], ids=["before its tick is over", "while it is held"])
def test_what_waits_is_dropped_when_it_has_become_pointless(kind: Any, day: float) -> None:
    fleet = fleet_of(budget=1)
    items: list[Any] = [
        seen("a", 0.5, priority=9),
        seen("b", 0.5),
        clock(1),
        FleetNote("b", kind, int(day * DAY), "other"),
    ]
    if day < 1:
        items[2:] = [items[3], items[2]]
    events = played(fleet, *items, clock(2), clock(3))
    assert "b" not in names(events)
    assert fleet.held == []


def test_an_operators_retrains_use_the_budget_and_need_none() -> None:
    fleet = fleet_of(budget=1)
    events = played(
        fleet,
        FleetNote("x", "initial", DAY // 4, "first"),
        FleetNote("a", "sent", DAY // 2, "ordered"),
        seen("b", 0.6),
        clock(1),
    )
    assert (names(events), fleet.held) == ([], ["b"])
    assert names(played(fleet, clock(2))) == ["b"]


def test_a_first_model_does_not_use_the_budget() -> None:
    fleet = fleet_of(budget=1)
    events = played(fleet, FleetNote("x", "initial", DAY // 4, "1"), seen("b", 0.6), clock(1))
    assert names(events) == ["b"]


def test_cool_down_and_outcomes_are_the_fleets_where_it_decides() -> None:
    policy = {"cooldown": "2d", "outcome_timeout": "9d"}
    fleet = fleet_of(policy, budget=9)
    assert names(played(fleet, seen("a", 0.5), clock(1))) == ["a"]
    assert decisions(played(fleet, seen("a", 1.5), clock(2))) == [("a", "in-flight")]
    played(fleet, FleetNote("a", "settled", 2 * DAY, f"a@{DAY // 2}"))
    assert decisions(played(fleet, seen("a", 2.5), clock(3))) == [("a", "cool-down")]
    assert names(played(fleet, seen("a", 3.5), clock(4))) == ["a"]
    assert names(played(fleet, FleetNote("a", "version", 4 * DAY), seen("a", 6.5), clock(7))) == [
        "a"
    ]


# Ticks


def test_a_tick_waits_for_the_allowed_lateness_and_what_is_later_joins_the_next() -> None:
    fleet = fleet_of(budget=1, lateness="6h")
    assert played(fleet, seen("a", 0.5), clock(1.2)) == []
    assert played(fleet, seen("b", 0.9, priority=2)) == []
    assert names(played(fleet, clock(1.25))) == ["b"]
    late = played(fleet, seen("c", 0.9, priority=9), clock(2.25))
    assert names(late) == ["c"]
    assert fleet.held == ["a"]


ITEMS = [
    seen(f"s{i}", 0.1 + 0.01 * ((7 * i) % 30), z=float(i % 4), p=0.001 * i, priority=float(i % 3))
    for i in range(30)
]


@pytest.mark.parametrize(
    "fleet",
    [
        {"control": "bh"},
        {"control": "e-bh", "fdr": 0.3},
        {"budget": 3},
        {"control": "bh", "budget": 3, "during_incident": "hold"},
    ],
    ids=str,
)
def test_the_order_within_a_tick_does_not_matter(fleet: dict[str, Any]) -> None:
    expected = None
    for seed in range(5):
        items = list(ITEMS)
        random.Random(seed).shuffle(items)
        found = frozen(played(fleet_of(**fleet), *items, clock(1), clock(2), clock(9)))
        assert found
        expected = expected or found
        assert found == expected


@pytest.mark.parametrize("control", ["stream", "bh", "e-bh", "lord", "saffron"])
def test_a_fleet_that_was_put_away_goes_on_alike(control: str) -> None:
    settings = {"control": control, "budget": 2, "during_incident": "hold", "min_streams": 5}
    kept, stored = fleet_of(**settings), fleet_of(**settings)
    sent = 0
    for item in [*ITEMS, clock(1), *[one._replace(at=one.at + DAY) for one in ITEMS], clock(2)]:
        stored = pickle.loads(pickle.dumps(stored))  # noqa: S301  # our own bytes
        events = kept.take(item)
        assert frozen(events) == frozen(stored.take(item))
        sent += len(of(events, RetrainRequested))
    assert sent > 0


def test_a_fleet_that_only_watches_puts_out_nothing_but_incidents() -> None:
    fleet = fleet_of()
    items = [seen(f"s{i}", day + 0.5, z=9.0, asks=False) for day in range(3) for i in range(20)]
    events = played(fleet, *items, clock(4))
    assert [type(event) for event in events] == [FleetIncident]
