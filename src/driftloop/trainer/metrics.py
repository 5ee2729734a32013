"""The trainer's Prometheus metrics; none has a label per stream."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client import Counter, Gauge, Histogram

from driftloop.messages import CandidateTrained, ModelPublished, TrainingFinished

if TYPE_CHECKING:
    from driftloop.trainer.budget import Budget
    from driftloop.trainer.inbox import Inbox
    from driftloop.trainer.orders import Answer
    from driftloop.trainer.work import Result

_OUTCOMES = Counter(
    "driftloop_trainer_requests", "Retrain requests by their outcome.", ["outcome", "reason"]
)
_VERSIONS = Counter(
    "driftloop_trainer_versions",
    "Versions published, `trained`, `promoted` or `rolled-back`, and candidates put on trial.",
    ["action"],
)
GATE = Counter(
    "driftloop_trainer_gate_verdicts",
    "Challengers by what the gate found: `accepted`, or the reason why it refused.",
    ["verdict"],
)
DEAD_LETTERS = Counter(
    "driftloop_trainer_dead_letters",
    "Messages that held neither request nor order, by reason.",
    ["reason"],
)
PRODUCE_ERRORS = Counter(
    "driftloop_trainer_produce_errors",
    "Transactions that failed, by the client's error; each is tried again.",
    ["error"],
)
PRUNED = Counter("driftloop_trainer_pruned", "Folders of versions removed from the store.")
LOGGED = Counter("driftloop_trainer_mlflow", "Versions by what became of their log.", ["result"])
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
_PARTITIONS = Gauge(
    "driftloop_trainer_partitions", "Partitions of requests that are assigned to this trainer."
)
_LAG = Gauge("driftloop_trainer_lag_records", "Requests and orders that it has not read yet.")
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
        if one.published is not None:
            _VERSIONS.labels(one.published.action).inc()
        if finished.cost is not None:
            _RECORDS.inc(finished.cost.records)
            _SECONDS.labels(finished.cost.device).inc(finished.cost.seconds)


def observe_answers(answers: Iterable[Answer], served: Collection[str]) -> None:
    """Count what was published in answer to orders, and candidates."""
    for event in (event for one in answers if one.cause in served for event in one.events):
        if isinstance(event, ModelPublished):
            _VERSIONS.labels(event.action).inc()
        elif isinstance(event, CandidateTrained):
            _VERSIONS.labels("candidate").inc()
        elif isinstance(event, TrainingFinished):
            _OUTCOMES.labels(event.outcome, event.reason).inc()


def observe_assignment(consumer: Consumer, partitions: Sequence[TopicPartition]) -> int:
    """Show what is assigned, and how far it is read; asks no broker.

    Returns:
        Messages that are not read yet.
    """
    lag = 0
    for one in partitions:
        with contextlib.suppress(KafkaException):
            found = consumer.get_watermark_offsets(one, cached=True)
            position = consumer.position([one])[0].offset
            if found and found[1] > 0 and position >= 0:
                lag += max(found[1] - max(position, found[0]), 0)
    _PARTITIONS.set(len(partitions))
    _LAG.set(lag)
    return lag


def observe_queue(inbox: Inbox, budget: Budget, profiles: Iterable[str], now_ms: int) -> None:
    """Show what waits, and what is left of each profile's budget; a label a limited profile."""
    oldest = inbox.oldest_ms
    _WAITING.set(inbox.requests)
    _OLDEST.set(0.0 if oldest is None else max(now_ms - oldest, 0) / 1000)
    for profile in profiles:
        left = budget.left(profile, now_ms)
        if left is not None:
            _LEFT.labels(profile).set(left)
