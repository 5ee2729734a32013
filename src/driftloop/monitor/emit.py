"""Step *emit*: events and dead letters as messages for the topics that they belong to."""

from __future__ import annotations

import time

from driftloop.engine.items import Outgoing
from driftloop.kafka.dead_letters import to_message
from driftloop.messages import (
    CommandAnswered,
    Event,
    Evidence,
    FleetIncident,
    RetrainJudged,
    RetrainRequested,
    StreamStatus,
    VersionOrdered,
    encode,
)
from driftloop.messages.envelope import Headers, header
from driftloop.monitor import metrics
from driftloop.records import DeadLetter
from driftloop.settings import TopicSettings
from driftloop.telemetry.tracing import record, tracing


class Router:
    """Turns an event into a message for its topic."""

    def __init__(self, topics: TopicSettings) -> None:
        self._topics = {
            RetrainRequested: topics.retrain,
            VersionOrdered: topics.retrain,
            RetrainJudged: topics.trainings,
            Evidence: topics.evidence,
            StreamStatus: topics.status,
            FleetIncident: topics.incidents,
            CommandAnswered: topics.commands,
        }
        self._dlq = topics.dlq

    def event(self, keyed: tuple[str, Event]) -> tuple[str, Outgoing]:
        """An event of a stream or a fleet."""
        event = keyed[1]
        _count(event)
        message = encode(event, source="driftloop/monitor")
        if isinstance(event, RetrainRequested | VersionOrdered):
            _trace(event, message.headers)
        topic = self._topics[type(event)]
        return event.subject, Outgoing(topic, message.key, message.value, message.headers)

    def dead_letter(self, letter: DeadLetter) -> tuple[str, Outgoing]:
        """A record that could not be read."""
        message = to_message(letter)
        return letter.topic, Outgoing(self._dlq, message.key, message.value, message.headers)


def _trace(event: RetrainRequested | VersionOrdered, headers: Headers) -> None:
    """The first span of the trace that the event's header begins: what was decided, and why."""
    if not tracing():
        return
    about: dict[str, str | None] = {
        "driftloop.stream": event.stream,
        "driftloop.event_id": event.id,
        "driftloop.reason": event.reason,
    }
    if isinstance(event, RetrainRequested):
        counted = sorted({one.criterion for one in event.grounds if one.rejected})
        about |= {
            "driftloop.policy": event.policy,
            "driftloop.version": event.current_version,
            "driftloop.criteria": ", ".join(counted) or None,
        }
    name = "decide retrain" if isinstance(event, RetrainRequested) else f"order {event.action}"
    own = header(headers, "traceparent")
    record(name, own=own, start_ns=time.time_ns(), attributes=about)


def _count(event: Event) -> None:
    metrics.EVENTS.labels(type(event).__name__).inc()
    if isinstance(event, Evidence):
        metrics.DECISIONS.labels(event.kind, event.decision).inc()
    elif isinstance(event, StreamStatus):
        metrics.OVERVIEW.take(event)
    elif isinstance(event, VersionOrdered):
        metrics.ORDERS.labels(event.action, event.reason).inc()
    elif isinstance(event, RetrainJudged):
        metrics.JUDGED.labels(event.verdict).inc()
