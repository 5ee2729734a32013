"""What the trainer tells a trace: the wait, the steps of a training, and what was published.

Spans are made once their messages are committed; what is not published leaves none. Each message
that answers a request hangs on the span that its own header names, so whoever reads it can go on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from driftloop.messages import new_traceparent
from driftloop.messages.envelope import header
from driftloop.telemetry.tracing import Attributes, below, place_of, record, tracing

if TYPE_CHECKING:
    from driftloop.trainer.publish import Message
    from driftloop.trainer.tickets import Ticket
    from driftloop.trainer.work import Result

_MS = 1_000_000


class Step(NamedTuple):
    """A part of a training.

    Attributes:
        name: ``load``, ``fit``, ``gate``, ``fit again`` or ``store``.
        start_ns: When it began, ns since the epoch.
        end_ns: When it was over.
        models: Requests that went through it together.
    """

    name: str
    start_ns: int
    end_ns: int
    models: int


class Steps(Protocol):
    """A task on its way."""

    steps: list[Step]

    @property
    def going(self) -> bool:
        """Whether nothing has ended it yet."""


@contextmanager
def timed(tasks: Sequence[Steps], name: str) -> Iterator[None]:
    """Note for each task that goes on now how long a step takes; they go through it together."""
    going = [task for task in tasks if task.going]
    began = time.time_ns()
    yield
    step = Step(name, began, time.time_ns(), len(going))
    for task in going:
        task.steps.append(step)


def tell(
    tickets: Sequence[Ticket],
    kept: Sequence[Result],
    messages: Sequence[Message],
    seconds: float,
    publishing_ns: int,
) -> None:
    """Record the spans of a round whose messages are committed.

    Args:
        tickets: Of the round.
        kept: Results that were published.
        messages: All that was published.
        seconds: Since the round began.
        publishing_ns: When its transaction began, ns since the epoch.
    """
    if not tracing():
        return
    now = time.time_ns()
    began = now - round(seconds * 1e9)
    first: dict[str, Ticket] = {}
    for ticket in tickets:
        if ticket.event is not None:
            first.setdefault(ticket.event.id, ticket)
    above: dict[int, str] = {}  # of each trace, the span that its messages hang on
    for ticket in first.values():
        above.setdefault(*_traced(ticket))
    for one in kept:
        ticket = first[one.request.id]
        trace, parent = _traced(ticket)
        above[trace] = _training(one, ticket, parent, began, now)
    for message in messages:
        headers = list(message.headers)
        own = header(headers, "traceparent")
        place = place_of(own)
        kind = header(headers, "ce_type")
        if place is not None and place.trace in above:
            about = {"driftloop.event_id": header(headers, "ce_id")}
            name = f"publish {kind.removeprefix('driftloop.').removesuffix('.v1')}"
            record(
                name,
                parent=above[place.trace],
                own=own,
                start_ns=publishing_ns,
                end_ns=now,
                attributes=about,
            )


def _traced(ticket: Ticket) -> tuple[int, str]:
    """The trace of a ticket's event, and the ``traceparent`` that says so."""
    cause = ticket.event.id if ticket.event else ""
    parent = ticket.trace or new_traceparent(cause)
    place = place_of(parent)
    return (place.trace, parent) if place else (0, "")


def _training(one: Result, ticket: Ticket, parent: str, began: int, now: int) -> str:
    """Record the training of a request; returns its span, for what hangs on it."""
    finished = one.finished
    about: Attributes = {
        "driftloop.stream": one.request.stream,
        "driftloop.event_id": one.request.id,
        "driftloop.outcome": finished.outcome,
        "driftloop.reason": finished.reason or None,
        "driftloop.version": finished.version,
        "driftloop.records": finished.cost.records if finished.cost else None,
        "driftloop.device": finished.cost.device if finished.cost else None,
    }
    own = below(parent)
    waited = min((ticket.at_ms + 1) * _MS, began)  # Kafka cuts to whole ms
    stream: Attributes = {"driftloop.stream": one.request.stream}
    record("wait", parent=parent, start_ns=waited, end_ns=began, attributes=stream)
    record("train", parent=parent, own=own, start_ns=began, end_ns=now, attributes=about)
    for step in one.steps:
        record(
            step.name,
            parent=own,
            start_ns=step.start_ns,
            end_ns=step.end_ns,
            attributes={**stream, "driftloop.models": step.models},
        )
    return own
