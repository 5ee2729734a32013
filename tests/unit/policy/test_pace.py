"""Schedules, minimum evidence, approval and price: when a stream asks, and what it waits for."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from driftloop.detection.outputs import Counters, Ordered, VersionChanged
from driftloop.messages import CommandAnswered, Event, Evidence, RetrainRequested, StreamStatus
from driftloop.policy import StreamDecider, Tested
from driftloop.settings import Policy, Profile
from driftloop.settings.policy import Price
from tests.streams import STREAM, command
from tests.unit.policy.test_decide import asked, decider, decisions, finished, of
from tests.unit.policy.windows import DAY, features, losses


def ordered(action: str, day: int = 1, **more: Any) -> Ordered:
    return Ordered(command(action, **more), [f"{STREAM}:0:0:49"], 50, "v1", day * DAY, Counters())


def calm(index: int, n: int = 100) -> Tested:
    return asked(index, retrain=False, n=n)


# Schedules


def test_always_asks_at_every_closed_window_of_losses_and_says_so() -> None:
    state = decider(kind="always", outcome_timeout="0s")
    events = state.decide(calm(0))
    request = of(events, RetrainRequested)[0]
    ground = request.grounds[-1]
    assert (ground.criterion, ground.family, ground.rejected) == ("always", "schedule", True)
    assert decisions(state, *map(calm, range(1, 4))) == ["retrain"] * 3
    assert decisions(state, Tested(features(index=4), "features", [])) == ["none"]


def test_always_still_waits_for_enough_losses_and_for_outcomes() -> None:
    state = decider(kind="always", min_records=150, outcome_timeout="365d")
    assert decisions(state, *map(calm, range(3))) == ["too-few-records", "retrain", "in-flight"]


def test_periodic_by_records_counts_labelled_ones_since_the_last_request() -> None:
    state = decider(kind="periodic", every_records=250, outcome_timeout="0s")
    assert "".join(d[0] for d in decisions(state, *map(calm, range(7)))) == "nnrnnrn"
    ground = of(decider(kind="periodic", every_records=90).decide(calm(0)), RetrainRequested)[0]
    assert (ground.grounds[-1].statistic, ground.grounds[-1].threshold) == (100, 90)


def test_losses_that_are_missing_do_not_count_for_the_schedule() -> None:
    values = np.ones(100)
    values[:60] = np.nan
    state = decider(kind="periodic", every_records=80)
    items = [Tested(losses(values, index=i), "loss", [], {"loss": 1.0}) for i in range(2)]
    assert decisions(state, *items) == ["none", "retrain"]


def test_a_new_version_alone_does_not_lengthen_a_period_by_records() -> None:
    state = decider(kind="periodic", every_records=300, min_records=1)
    assert decisions(state, calm(0), calm(1)) == ["none", "none"]
    state.decide(VersionChanged("v2"))
    assert decisions(state, calm(2)) == ["retrain"]


def test_a_policy_may_ask_after_features_alone_when_enough_records_were_seen() -> None:
    """Label-free votes: a window of features asks, and no loss is ever seen."""
    state = decider(kind="vote", min_records=3, outcome_timeout="365d")
    found = [Tested(features(index=i), "features", [], retrain=True) for i in range(5)]
    expected = ["too-few-records", "too-few-records", "retrain", "in-flight", "in-flight"]
    assert decisions(state, *found) == expected


# Approval


def test_a_decision_waits_for_the_engineer_and_says_what_to_do() -> None:
    state = decider(approval=True)
    evidence, status = state.decide(asked(0))
    assert isinstance(evidence, Evidence)
    assert evidence.decision == "awaiting-approval"
    assert isinstance(status, StreamStatus)
    assert (status.state, status.retrains) == ("awaiting-approval", 0)
    for word in ("approve", "reject", STREAM, "reducible"):
        assert word in status.detail


def test_approved_it_goes_out_as_it_was_decided_with_who_and_why() -> None:
    plain = of(decider().decide(asked(0)), RetrainRequested)[0]
    state = decider(approval=True, cooldown="3d", outcome_timeout="0s")
    state.decide(asked(0))
    state = pickle.loads(pickle.dumps(state))  # noqa: S301  # our own bytes
    request, answer, status = state.decide(ordered("approve", day=2))
    assert isinstance(request, RetrainRequested)
    assert request.data == plain.data
    assert request.decided_at == plain.decided_at
    assert request.grounds[:-1] == plain.grounds
    ground = request.grounds[-1]
    assert isinstance(answer, CommandAnswered)
    assert (answer.outcome, answer.led_to, answer.about) == ("accepted", [request.id], request.id)
    assert (ground.criterion, ground.family, ground.detail) == ("approval", "command", "a: b")
    assert isinstance(status, StreamStatus)
    assert (status.state, status.retrains) == ("monitoring", 1)
    # The cool-down counts from the approval.
    assert decisions(state, asked(3), asked(4)) == ["cool-down", "cool-down"]
    assert decisions(state, asked(5)) == ["awaiting-approval"]


def test_what_is_approved_is_in_flight_until_its_outcome() -> None:
    state = decider(approval=True, outcome_timeout="365d")
    state.decide(asked(0))
    request = of(state.decide(ordered("approve")), RetrainRequested)[0]
    assert decisions(state, asked(1)) == ["in-flight"]
    state.decide(finished(request))
    assert decisions(state, asked(2)) == ["awaiting-approval"]


def test_a_newer_decision_takes_the_place_of_the_one_that_waits() -> None:
    state = decider(approval=True)
    state.decide(asked(0))
    state.decide(calm(1))
    state.decide(asked(2))
    request = of(state.decide(ordered("approve", day=4)), RetrainRequested)[0]
    assert request.decided_at == 3 * DAY - 1


def test_reject_drops_it_and_starts_the_cool_down() -> None:
    state = decider(approval=True, cooldown="2d")
    state.decide(asked(0))
    answer, status = state.decide(ordered("reject", day=1))
    assert isinstance(answer, CommandAnswered)
    assert (answer.outcome, answer.led_to, bool(answer.about)) == ("done", [], True)
    assert isinstance(status, StreamStatus)
    assert (status.state, status.retrains) == ("monitoring", 0)
    assert status.detail == "retrain rejected by a: b"
    assert decisions(state, asked(1), asked(2), asked(3)) == [
        "cool-down",
        "cool-down",
        "awaiting-approval",
    ]


@pytest.mark.parametrize("action", ["approve", "reject"])
def test_a_command_that_names_another_request_changes_nothing(action: str) -> None:
    state = decider(approval=True)
    status = state.decide(asked(0))[-1]
    assert isinstance(status, StreamStatus)
    waiting = state.decide(ordered(action, request_id="0" * 32))
    assert not of(waiting, RetrainRequested)
    assert of(waiting, StreamStatus)[0].state == "awaiting-approval"
    assert "does not wait" not in of(waiting, StreamStatus)[0].detail  # what waits comes first


def test_a_command_may_name_the_request_that_waits() -> None:
    state = decider(approval=True)
    detail = of(state.decide(asked(0)), StreamStatus)[0].detail
    identity = next(word for word in detail.split() if len(word) == 32)
    request = of(state.decide(ordered("approve", request_id=identity)), RetrainRequested)[0]
    assert request.id == identity


@pytest.mark.parametrize("action", ["approve", "reject"])
def test_where_nothing_waits_the_status_says_so(action: str) -> None:
    answer, status = decider(approval=True).decide(ordered(action))
    assert isinstance(answer, CommandAnswered)
    assert (answer.outcome, answer.detail) == ("refused", "nothing waits for approval")
    assert isinstance(status, StreamStatus)
    assert status.detail == f"{action} refused: nothing waits for approval"


def test_a_new_version_or_a_commanded_retrain_ends_the_wait() -> None:
    for item in (VersionChanged("v2"), ordered("retrain")):
        state = decider(approval=True)
        state.decide(asked(0))
        state.decide(item)
        assert not of(state.decide(ordered("approve", day=3)), RetrainRequested)


def test_initial_models_and_commands_need_no_approval() -> None:
    found: list[Event] = decider(approval=True).decide(ordered("retrain"))
    assert of(found, RetrainRequested)[0].reason == "command"


def test_approval_and_control_over_the_fleet_exclude_one_another() -> None:
    """The fleet decides last where it controls the error; a person cannot come before it."""
    with pytest.raises(ValueError, match=r"'stream', as policy\.approval decides stream by stream"):
        Profile(policy=Policy(approval=True), fleet={"control": "bh"})
    Profile(policy=Policy(approval=True), fleet={"budget": 3})


# Price


def test_a_price_makes_the_cost_and_the_tolerance_comparable() -> None:
    price = Price(gpu_second=0.001, seconds=50, loss=0.0005)
    assert price.cost_loss == pytest.approx(100.0)
    policy = Policy(kind="mlma", price=price, cost_loss=7.0, every_records=2000)
    assert policy.fixed_cost == pytest.approx(100.0)
    assert policy.effective_tolerance == pytest.approx(100 / 2000)


@pytest.mark.parametrize(
    ("given", "tolerance"),
    [
        ({}, 0.0),
        ({"tolerance": 0.3}, 0.3),
        ({"tolerance": 0.3, "cost_loss": 10.0}, 0.3),  # no schedule to compare with
        ({"tolerance": 0.3, "every_records": 10}, 0.3),  # no cost in units of loss
        ({"tolerance": 0.3, "cost_loss": 10.0, "every_records": 100}, 0.3),
        ({"tolerance": 0.3, "cost_loss": 50.0, "every_records": 100}, 0.5),
    ],
)
def test_the_tolerance_is_the_larger_of_the_given_and_the_priced(
    given: dict[str, Any], tolerance: float
) -> None:
    assert Policy(kind="mlma", **given).effective_tolerance == pytest.approx(tolerance)


def test_what_it_decides_does_not_depend_on_restarts() -> None:
    kept = StreamDecider(STREAM, "p", Profile(policy=Policy(approval=True, min_records=10)))
    stored = pickle.loads(pickle.dumps(kept))  # noqa: S301  # our own bytes
    for item in (calm(0), asked(1), ordered("reject", 2), asked(3), ordered("approve", 4)):
        stored = pickle.loads(pickle.dumps(stored))  # noqa: S301  # our own bytes
        assert kept.decide(item) == stored.decide(item)
