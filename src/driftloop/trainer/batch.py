"""Rounds of orders and of trainings: what is chosen of what waits, and the messages that answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from driftloop.kafka.dead_letters import to_message
from driftloop.messages import (
    Event,
    ModelPublished,
    RetrainRequested,
    encode,
    new_traceparent,
    next_span,
)
from driftloop.settings import Settings, TopicSettings
from driftloop.trainer import publish, waiting
from driftloop.trainer.budget import next_day_ms
from driftloop.trainer.history import History
from driftloop.trainer.inbox import Place
from driftloop.trainer.job import Check
from driftloop.trainer.orders import Answer, Desk, pinned
from driftloop.trainer.outcomes import finish
from driftloop.trainer.queue import Choice, Turns, choose, evaluate
from driftloop.trainer.tickets import Ticket
from driftloop.trainer.work import Result, Trainer
from driftloop.trainer.worth import Worth

_SOURCE = "driftloop/trainer"


@dataclass(slots=True, eq=False)
class Round:
    """Everything that waits: its orders are carried out, or the best requests trained together.

    Attributes:
        tickets: All of it.
        turns: Of the round before.
        began: When, by the monotonic clock.
        chosen: Tickets of the requests that are trained, once they are chosen.
        orders: Whether it is a round of orders, beside which trainings may go on.
        overtaken: Streams that an order changed meanwhile: what is trained for them counts no more,
            and their requests stay.
    """

    tickets: list[Ticket]
    turns: Turns
    began: float = field(default_factory=time.monotonic)
    chosen: list[Ticket] | None = None
    orders: bool = False
    overtaken: set[str] = field(default_factory=set)


class Served(NamedTuple):
    """What came of a round.

    Attributes:
        results: One a request that is finished now.
        done: Places of the tickets whose request has an outcome, of this round or an older one.
        turns: For the next round.
        more: Whether requests wait that may go at once.
        wake_ms: When those may go whose budget is spent, or None where there are none.
        answers: Events that answer orders, and candidates.
    """

    results: list[Result]
    done: set[Place]
    turns: Turns
    more: bool
    wake_ms: int | None
    answers: Sequence[Answer] = ()


def serve(
    round_: Round,
    trainer: Trainer,
    history: History,
    worth: Worth,
    settings: Settings,
    check: Check,
    now_ms: Callable[[], int] = lambda: round(time.time() * 1000),
) -> Served:
    """Choose of the requests that have no outcome yet, and train those.

    Requests of streams that an order waits for are left for a later round. See
    `driftloop.trainer.queue` for who is chosen, `driftloop.trainer.waiting` for who is superseded.
    """
    history.catch_up({ticket.partition for ticket in round_.tickets}, check)
    desk = Desk(history, trainer.store, now_ms, check)
    ordered = {one.order.stream for one in round_.tickets if one.order is not None}
    unanswered = _unanswered(round_, history)
    open_ = [(one, at_ms) for one, at_ms in unanswered if one.stream not in ordered]
    still, superseded = waiting.settle(open_, lambda one: desk.current_of(one).event)
    choice = _choose(round_, still, worth, settings, now_ms())
    requests = [entry.request for entry in choice.chosen]
    ids = {request.id for request in requests}
    round_.chosen = [one for one in round_.tickets if one.request and one.request.id in ids]
    results = trainer.run(requests, desk.current_of, check) if requests else []
    for one in superseded:
        finished = finish(one.request, "superseded", one.reason, one.detail, now_ms())
        results.append(Result(one.request, finished, None))
    results = desk.hold_back([_promised(one, settings) for one in results], settings)
    held = [entry for entry in choice.waits if choice.held(entry)]
    return Served(
        results=results,
        done=_done(round_, results, desk, history),
        turns=choice.turns,
        more=len(held) < len(choice.waits) or len(open_) < len(unanswered),
        wake_ms=next_day_ms(now_ms()) if held else None,
        answers=desk.answers,
    )


def serve_orders(
    round_: Round,
    trainer: Trainer,
    history: History,
    settings: Settings,
    check: Check,
    now_ms: Callable[[], int] = lambda: round(time.time() * 1000),
) -> Served:
    """Carry orders out; requests that one gives up end with it, also such as are in training."""
    history.catch_up({ticket.partition for ticket in round_.tickets if ticket.order}, check)
    desk = Desk(history, trainer.store, now_ms, check)
    desk.serve(ticket.order for ticket in round_.tickets if ticket.order is not None)
    given_up = {one.id: one for one, _ in _unanswered(round_, history) if one.id in desk.withdrawn}
    results = [
        _promised(pinned(one, desk.withdrawn[one.id], now_ms()), settings)
        for one in given_up.values()
    ]
    done = _done(round_, results, desk, history)
    return Served(results, done, round_.turns, more=False, wake_ms=None, answers=desk.answers)


def _unanswered(round_: Round, history: History) -> list[tuple[RetrainRequested, int]]:
    return [
        (ticket.request, ticket.at_ms)
        for ticket in round_.tickets
        if ticket.request is not None and ticket.request.id not in history.finished
    ]


def _done(round_: Round, results: Sequence[Result], desk: Desk, history: History) -> set[Place]:
    now = {one.request.id for one in results} | {one.cause for one in desk.answers}
    return {
        ticket.place
        for ticket in round_.tickets
        if ticket.event and (ticket.event.id in now or ticket.event.id in history.finished)
    }


def _choose(
    round_: Round, still: Sequence[waiting.Waiting], worth: Worth, settings: Settings, now_ms: int
) -> Choice:
    return choose(
        evaluate(still, worth.ledger, settings.profiles),
        settings.trainer.max_requests,
        round_.turns,
        lambda profile: worth.budget.left(profile, now_ms),
        settings.trainer.oldest_every,
        settings.trainer.batch_seconds,
    )


def _promised(result: Result, settings: Settings) -> Result:
    """With the promise on the outcome: what was saved is compared with it later."""
    profile = settings.profiles.get(result.request.profile)
    promised = waiting.promised(result.request, profile)
    return result._replace(finished=msgspec.structs.replace(result.finished, promised=promised))


def outgoing(
    tickets: Sequence[Ticket],
    letters: Sequence[Ticket],
    results: Sequence[Result],
    topics: TopicSettings,
    answers: Sequence[Answer] = (),
) -> tuple[list[publish.Message], list[Result]]:
    """Messages that answer tickets, and the results that they tell of.

    Everything about a stream goes to the partition of its request, whoever chose it.

    Args:
        tickets: Those that still belong to this trainer; results of others are left out.
        letters: Those that become dead letters now.
        results: What came of the round.
        topics: Names of the topics.
        answers: To orders, and candidates.
    """
    first: dict[str, Ticket] = {}
    messages = []
    for ticket in tickets:
        if ticket.event is not None:
            first.setdefault(ticket.event.id, ticket)
    for answer in answers:
        if answer.cause in first:
            messages += [_answer(topics, first[answer.cause], event) for event in answer.events]
    for ticket in letters:
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


def _answer(topics: TopicSettings, ticket: Ticket, event: Event) -> publish.Message:
    topic = topics.models if isinstance(event, ModelPublished) else topics.trainings
    cause = ticket.event.id if ticket.event else event.id
    return _message(topic, ticket, event, ticket.trace or new_traceparent(cause))


def _message(topic: str, ticket: Ticket, event: Event, trace: str) -> publish.Message:
    envelope = encode(event, source=_SOURCE, traceparent=next_span(trace))
    return publish.Message(topic, ticket.partition, envelope.key, envelope.value, envelope.headers)
