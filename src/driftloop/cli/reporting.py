"""A part says every few seconds that it runs and how far it is, on the topic of statuses."""

from __future__ import annotations

import atexit
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping

import structlog
from confluent_kafka import KafkaException, Producer
from prometheus_client import REGISTRY, CollectorRegistry

from driftloop import __version__
from driftloop.messages import PartReported, encode
from driftloop.messages.parts import PartName, PartState
from driftloop.settings import Settings
from driftloop.telemetry.readiness import READINESS, Readiness

# Of each figure: the metric that it is read from; sources of events are left out.
_FIGURES: Mapping[str, str] = {
    "records": "driftloop_source_records_total",
    "lag": "driftloop_source_lag_records",
    "queue": "driftloop_trainer_queue_requests",
}
_TIMEOUT_MS = 5000  # a report that is late is worth nothing
_END_SECONDS = 2.0
_log = structlog.get_logger(__name__)


class Reporter:
    """Reports of one process, made from its metrics.

    Args:
        part: The part.
        instance: Name of the process.
        settings: The configuration.
        registry: Where the metrics are.
        readiness: Whether it is ready.
    """

    def __init__(
        self,
        part: PartName,
        instance: str,
        settings: Settings,
        registry: CollectorRegistry = REGISTRY,
        readiness: Readiness = READINESS,
    ) -> None:
        self._part, self._instance = part, instance
        self._ready_lag = settings.telemetry.ready_lag
        self._every = settings.telemetry.report.total_seconds()
        self._registry, self._readiness = registry, readiness
        self._started = round(time.time() * 1000)
        self._before: tuple[float, float] | None = None

    def report(self, *, stopped: bool = False) -> PartReported:
        """How the process is now."""
        lacks = self._readiness.lacks(self._ready_lag)
        state: PartState = "stopped" if stopped else "not-ready" if lacks else "ready"
        return PartReported(
            id=uuid.uuid4().hex,
            part=self._part,
            instance=self._instance,
            state=state,
            detail="" if stopped else "; ".join(lacks),
            version=__version__,
            started_at=self._started,
            reported_at=round(time.time() * 1000),
            every=self._every,
            metrics=self._metrics(),
        )

    def _metrics(self) -> dict[str, float | None]:
        sums = dict.fromkeys(_FIGURES.values(), 0.0)
        seen = set()
        for metric in self._registry.collect():
            for sample in metric.samples:
                if sample.name in sums and not sample.labels.get("source", "").endswith("-control"):
                    sums[sample.name] += sample.value
                    seen.add(sample.name)
        found: dict[str, float | None] = {
            name: sums[sample] for name, sample in _FIGURES.items() if sample in seen
        }
        records = found.get("records")
        if records is not None:
            now, before = time.monotonic(), self._before
            self._before = (now, records)
            if before is not None and now > before[0]:
                found["records_per_second"] = (records - before[1]) / (now - before[0])
        return found


def start_reporting(part: PartName, settings: Settings, number: int | None = None) -> None:
    """Report from now on, in a thread of its own, until the process ends; it never disturbs it.

    Args:
        part: The part.
        settings: The configuration; `telemetry.report` of 0 for no reports.
        number: Of the process, where the part has several.
    """
    if not settings.telemetry.report:
        return
    host = socket.gethostname()
    instance = host if number is None else f"{host}/{number}"
    reporter = Reporter(part, instance, settings)
    producer = Producer({**settings.kafka.client(log_level=0), "message.timeout.ms": _TIMEOUT_MS})
    ended, pid = threading.Event(), os.getpid()

    def send(*, stopped: bool = False) -> None:
        event = reporter.report(stopped=stopped)
        message = encode(event, source=f"driftloop/{part}")
        try:
            producer.produce(
                settings.topics.status,
                value=message.value,
                key=message.key,
                headers=list(message.headers),
            )
            producer.poll(0)
        except (BufferError, KafkaException) as error:
            _log.debug("part.report_failed", error=str(error))

    def run() -> None:
        send()
        while not ended.wait(settings.telemetry.report.total_seconds()):
            send()

    def end() -> None:
        if os.getpid() == pid:  # else a fork of this process ends, not it
            ended.set()
            send(stopped=True)
            producer.flush(_END_SECONDS)

    threading.Thread(target=run, name="driftloop-report", daemon=True).start()
    atexit.register(end)
