"""The trainer's gauges: what waits, how old it is, what is left of budgets."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from driftloop.settings import TrainerBudget
from driftloop.trainer.budget import Budget
from driftloop.trainer.inbox import Inbox
from driftloop.trainer.metrics import observe_queue
from driftloop.trainer.tickets import Ticket
from tests.unit.trainer.requests import NOON, request


def test_gauges_tell_what_waits_and_a_label_a_limited_profile() -> None:
    inbox = Inbox(10)
    inbox.assign([0])
    for offset, age in enumerate((3, 9)):
        at_ms = NOON - 1000 * age
        inbox.add(Ticket(0, offset, 1, at_ms, request(f"r{offset}"), None, ""))
    budget = Budget(TrainerBudget(profiles={"gauged": 10.0}))
    budget.spend("gauged", 4.0, NOON)
    observe_queue(inbox, budget, ["gauged", "unlimited"], NOON)
    assert REGISTRY.get_sample_value("driftloop_trainer_queue_requests") == 2
    assert REGISTRY.get_sample_value("driftloop_trainer_queue_oldest_seconds") == 9
    left = "driftloop_trainer_budget_left_seconds"
    assert REGISTRY.get_sample_value(left, {"profile": "gauged"}) == pytest.approx(6.0)
    assert REGISTRY.get_sample_value(left, {"profile": "unlimited"}) is None
    inbox.settle(inbox.plan({(0, 0), (0, 1)}))
    observe_queue(inbox, budget, ["gauged"], NOON)
    assert REGISTRY.get_sample_value("driftloop_trainer_queue_requests") == 0
    assert REGISTRY.get_sample_value("driftloop_trainer_queue_oldest_seconds") == 0
