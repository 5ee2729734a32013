"""The trainer's Prometheus metrics; none has a label per stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import Counter, Gauge, Histogram

from driftloop.trainer.budget import Budget
from driftloop.trainer.inbox import Inbox
from driftloop.trainer.work import Result

_OUTCOMES = Counter(
    "driftloop_trainer_requests", "Retrain requests by their outcome.", ["outcome", "reason"]
)
_RECORDS = Counter("driftloop_trainer_records", "Labelled records that models were trained on.")
_SECONDS = Counter(
    "driftloop_trainer_fit_seconds", "Seconds spent in fitting, by device.", ["device"]
)
_BATCHES = Histogram(
    "driftloop_trainer_batch_seconds",
    "From a batch's start to its commit.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
)
_WAITING = Gauge(
    "driftloop_trainer_queue_requests", "Retrain requests that wait or are in training."
)
_OLDEST = Gauge(
    "driftloop_trainer_queue_oldest_seconds", "Age of the oldest of these; 0 where none waits."
)
_LEFT = Gauge(
    "driftloop_trainer_budget_left_seconds",
    "Seconds of training that are left of a profile's budget of this UTC day.",
    ["profile"],
)


def observe(results: Sequence[Result], seconds: float) -> None:
    """Count a published batch."""
    _BATCHES.observe(seconds)
    for one in results:
        finished = one.finished
        _OUTCOMES.labels(finished.outcome, finished.reason).inc()
        if finished.cost is not None:
            _RECORDS.inc(finished.cost.records)
            _SECONDS.labels(finished.cost.device).inc(finished.cost.seconds)


def observe_queue(inbox: Inbox, budget: Budget, profiles: Iterable[str], now_ms: int) -> None:
    """Show what waits, and what is left of each profile's budget; a label a limited profile."""
    oldest = inbox.oldest_ms
    _WAITING.set(inbox.requests)
    _OLDEST.set(0.0 if oldest is None else max(now_ms - oldest, 0) / 1000)
    for profile in profiles:
        left = budget.left(profile, now_ms)
        if left is not None:
            _LEFT.labels(profile).set(left)
