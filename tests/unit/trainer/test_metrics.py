"""The trainer's gauges: what waits, how old it is, what is left of budgets."""

from __future__ import annotations

import pytest
import torch
from prometheus_client import REGISTRY, CollectorRegistry

from driftloop.messages import TrainingFinished
from driftloop.settings import TrainerBudget
from driftloop.trainer.budget import Budget
from driftloop.trainer.gpu import Gpu, watch
from driftloop.trainer.inbox import Inbox
from driftloop.trainer.metrics import observe_answers, observe_queue
from driftloop.trainer.orders import Answer
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


def test_answers_count_once_they_are_published() -> None:
    """Of a round, what belongs to others of the group is not this trainer's to count."""
    fields = {"id": "t", "stream": "s", "profile": "p", "request_id": "o", "finished_at": 0}
    finished = TrainingFinished(outcome="published", reason="rolled-back", **fields)
    answers = [Answer("mine", [finished]), Answer("other", [finished, finished])]
    labels = {"outcome": "published", "reason": "rolled-back"}
    name = "driftloop_trainer_requests_total"
    before = REGISTRY.get_sample_value(name, labels) or 0.0
    observe_answers(answers, {"mine"})
    assert REGISTRY.get_sample_value(name, labels) == before + 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_tells_its_memory() -> None:
    registry = CollectorRegistry()
    registry.register(Gpu(torch.device("cuda:0")))
    memory = "driftloop_trainer_gpu_memory_bytes"
    total = registry.get_sample_value(memory, {"device": "cuda:0", "kind": "total"})
    free = registry.get_sample_value(memory, {"device": "cuda:0", "kind": "free"})
    assert total is not None
    assert free is not None
    assert 0 <= free <= total


def test_a_cpu_has_no_gauges_of_a_gpu() -> None:
    watch(torch.device("cpu"))
    names = {family.name for family in REGISTRY.collect()}
    assert torch.cuda.is_available() or not any("gpu" in name for name in names)
