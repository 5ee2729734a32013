"""Requests as they came, and the messages that answer them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from confluent_kafka import Message

from driftloop.errors import MessageError
from driftloop.kafka.dead_letters import to_message
from driftloop.messages import Event, RetrainRequested, decode, encode, new_traceparent, next_span
from driftloop.messages.envelope import header
from driftloop.records import DeadLetter
from driftloop.settings import TopicSettings
from driftloop.trainer import publish
from driftloop.trainer.history import History
from driftloop.trainer.job import Check
from driftloop.trainer.work import Result, Trainer, finish

_SOURCE = "driftloop/trainer"


class Ticket(NamedTuple):
    """A message of the topic of requests.

    Attributes:
        partition: Where it lies.
        offset: Likewise.
        assignment: Under which assignment of the partition it was read.
        request: What it holds, or None.
        letter: Why it holds no request, or None.
        trace: The request's ``traceparent``.
    """

    partition: int
    offset: int
    assignment: int
    request: RetrainRequested | None
    letter: DeadLetter | None
    trace: str


@dataclass(slots=True, eq=False)
class Batch:
    """Tickets that are served together."""

    tickets: list[Ticket]
    began: float = field(default_factory=time.monotonic)


def read_ticket(message: Message, assignment: int) -> Ticket:
    """Read a message; what is no request becomes a dead letter."""
    partition, offset = message.partition() or 0, message.offset() or 0
    headers: Any = message.headers() or []
    value = message.value()
    request, letter = None, None
    try:
        request = _request(headers, value)
    except MessageError as error:
        topic = message.topic() or ""
        letter = DeadLetter(
            topic=topic,
            partition=partition,
            offset=offset,
            timestamp_ms=message.timestamp()[1],
            key=message.key(),
            value=value,
            reason="bad-event",
            detail=f"{topic}[{partition}]@{offset}: {error}",
        )
    return Ticket(partition, offset, assignment, request, letter, header(headers, "traceparent"))


def _request(
    headers: list[tuple[str, bytes | str | None]], value: bytes | None
) -> RetrainRequested:
    event = decode(headers, value)
    if not isinstance(event, RetrainRequested):
        raise MessageError(f"an event of type {RetrainRequested.type}, got {event.type}")
    return event


def serve(batch: Batch, trainer: Trainer, history: History, check: Check) -> list[Result]:
    """Find the outcome of each request of a batch that has none yet, each once.

    The newest request of a stream is trained; the older ones are superseded by it.
    """
    history.catch_up({ticket.partition for ticket in batch.tickets}, check)
    waiting: dict[str, RetrainRequested] = {}
    for ticket in batch.tickets:
        request = ticket.request
        if request is not None and request.id not in history.finished:
            waiting.setdefault(request.id, request)
    newest = {request.stream: request for request in waiting.values()}
    results = trainer.run(list(newest.values()), history.current_of, check)
    now_ms = round(time.time() * 1000)
    for request in waiting.values():
        by = newest[request.stream]
        if by.id != request.id:
            detail = f"superseded by the stream's newer request {by.id}"
            finished = finish(request, "superseded", "newer-request", detail, now_ms)
            results.append(Result(request, finished, None))
    return results


def outgoing(
    tickets: Sequence[Ticket], results: Sequence[Result], topics: TopicSettings
) -> tuple[list[publish.Message], list[Result]]:
    """Messages that answer tickets, and the results that they tell of.

    Everything about a stream goes to the partition of its request, whoever chose it.
    """
    first: dict[str, Ticket] = {}
    messages = []
    for ticket in tickets:
        if ticket.request is not None:
            first.setdefault(ticket.request.id, ticket)
        if ticket.letter is not None:
            letter = to_message(ticket.letter)
            messages.append(
                publish.Message(topics.dlq, -1, letter.key, letter.value, letter.headers)
            )
    kept = [one for one in results if one.request.id in first]
    for one in kept:
        ticket = first[one.request.id]
        trace = ticket.trace or new_traceparent(one.request.id)
        if one.published is not None:
            messages.append(_message(topics.models, ticket, one.published, trace))
        messages.append(_message(topics.trainings, ticket, one.finished, trace))
    return messages, kept


def _message(topic: str, ticket: Ticket, event: Event, trace: str) -> publish.Message:
    envelope = encode(event, source=_SOURCE, traceparent=next_span(trace))
    return publish.Message(topic, ticket.partition, envelope.key, envelope.value, envelope.headers)
