"""The trainer's Prometheus metrics; none has a label per stream."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Counter, Histogram

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


def observe(results: Sequence[Result], seconds: float) -> None:
    """Count a published batch."""
    _BATCHES.observe(seconds)
    for one in results:
        finished = one.finished
        _OUTCOMES.labels(finished.outcome, finished.reason).inc()
        if finished.cost is not None:
            _RECORDS.inc(finished.cost.records)
            _SECONDS.labels(finished.cost.device).inc(finished.cost.seconds)
