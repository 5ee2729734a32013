"""Messages of the topic of requests, as they were read."""

from __future__ import annotations

from typing import Any, NamedTuple

from confluent_kafka import Message

from driftloop.errors import MessageError
from driftloop.messages import RetrainRequested, VersionOrdered, decode
from driftloop.messages.envelope import header
from driftloop.records import DeadLetter


class Ticket(NamedTuple):
    """A message of the topic of requests.

    Attributes:
        partition: Where it lies.
        offset: Likewise.
        assignment: Under which assignment of the partition it was read.
        at_ms: Its Kafka timestamp, milliseconds since the epoch.
        request: What it holds, or None.
        letter: Why it holds neither a request nor an order, or None.
        trace: The event's ``traceparent``.
        order: What it holds, where that is an order to switch a version.
    """

    partition: int
    offset: int
    assignment: int
    at_ms: int
    request: RetrainRequested | None
    letter: DeadLetter | None
    trace: str
    order: VersionOrdered | None = None

    @property
    def event(self) -> RetrainRequested | VersionOrdered | None:
        """What has to be served."""
        return self.request or self.order

    @property
    def place(self) -> tuple[int, int]:
        """Partition and offset."""
        return self.partition, self.offset


def read_ticket(message: Message, assignment: int) -> Ticket:
    """Read a message; what is neither request nor order becomes a dead letter."""
    partition, offset = message.partition() or 0, message.offset() or 0
    at_ms = message.timestamp()[1]
    headers: Any = message.headers() or []
    value = message.value()
    event, letter = None, None
    try:
        event = _event(headers, value)
    except MessageError as error:
        topic = message.topic() or ""
        letter = DeadLetter(
            topic=topic,
            partition=partition,
            offset=offset,
            timestamp_ms=at_ms,
            key=message.key(),
            value=value,
            reason="bad-event",
            detail=f"{topic}[{partition}]@{offset}: {error}",
        )
    trace = header(headers, "traceparent")
    request = event if isinstance(event, RetrainRequested) else None
    order = event if isinstance(event, VersionOrdered) else None
    return Ticket(partition, offset, assignment, at_ms, request, letter, trace, order)


def _event(
    headers: list[tuple[str, bytes | str | None]], value: bytes | None
) -> RetrainRequested | VersionOrdered:
    event = decode(headers, value)
    if not isinstance(event, RetrainRequested | VersionOrdered):
        known = f"{RetrainRequested.type} or {VersionOrdered.type}"
        raise MessageError(f"an event of type {known}, got {event.type}")
    return event
