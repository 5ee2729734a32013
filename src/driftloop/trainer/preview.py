"""The queue as a trainer of the group would find it now; reads Kafka, and changes nothing.

It joins no group and commits nothing. One trainer orders the partitions that it owns; this is the
order of all of them, as a group of one would serve them. A request that is in training at this
moment has no outcome yet, and is shown as one that waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from driftloop.errors import KafkaError
from driftloop.kafka.held import HeldVersions
from driftloop.kafka.topics import partition_counts
from driftloop.messages import RetrainRequested
from driftloop.settings import Settings
from driftloop.trainer.backlog import waiting_tickets
from driftloop.trainer.budget import next_day_ms
from driftloop.trainer.history import History
from driftloop.trainer.queue import Choice, Entry, Turns, choose, evaluate
from driftloop.trainer.tickets import Ticket
from driftloop.trainer.waiting import Precedence, settle
from driftloop.trainer.worth import Worth

State = Literal["served", "budget", "superseded", "withdrawn"]

_GROUNDS = {
    Precedence.COMMAND: "ordered or approved by a person",
    Precedence.INITIAL: "the stream's first model",
}


class Row(NamedTuple):
    """A request of the queue.

    Attributes:
        rank: Its place, from 1; None where it is not served today.
        stream: Whose model.
        profile: The stream's.
        request_id: Of the request.
        reason: ``policy``, ``command`` or ``initial``.
        age: Seconds since it, or one that it supersedes, was asked.
        saving: Expected loss saved on a window's worth of records, or its worth in money where the
            policy has a price.
        ratio: By which the promise was corrected.
        seconds: Expected seconds of training.
        value: `saving` a second.
        records: To train on, at most.
        state: ``served``, ``budget`` (waits for the next day), ``superseded``, or ``withdrawn`` (an
            order gave it up).
        pinned: Whether a person has pinned the stream's version.
        why: Why here, in words.
    """

    rank: int | None
    stream: str
    profile: str
    request_id: str
    reason: str
    age: float
    saving: float
    ratio: float
    seconds: float
    value: float
    records: int
    state: State
    pinned: bool
    why: str


class Spending(NamedTuple):
    """A profile's budget: seconds of this UTC day."""

    profile: str
    limit: float
    spent: float
    left: float


class Preview(NamedTuple):
    """What waits.

    Attributes:
        rows: Those that are served, in their order; those that wait for a budget; those that are
            superseded or withdrawn.
        batch: How many of them the first batch trains: those of the first one's kind.
        orders: Orders to switch a version, which are carried out first.
        unreadable: Messages that are no request, and become dead letters.
        budgets: Of each profile that has one.
        resets_ms: When the next UTC day begins, milliseconds since the epoch.
    """

    rows: list[Row]
    batch: int
    orders: int
    unreadable: int
    budgets: list[Spending]
    resets_ms: int


def preview(settings: Settings, now_ms: int) -> Preview:
    """Read what waits from Kafka, and put it in order.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: Topics are missing.
    """
    client, topics = settings.kafka.client(), settings.topics
    names = [topics.retrain, topics.models, topics.trainings]
    counts = partition_counts(client, names)
    missing = [name for name in names if name not in counts]
    if missing:
        raise KafkaError(
            f"topics {', '.join(missing)} are missing: 'driftloop monitor' and 'driftloop trainer' "
            "make them where topics.create is true"
        )
    tickets = waiting_tickets(settings, counts[topics.retrain])
    worth = Worth(settings)
    history = History(client, topics.models, topics.trainings, listeners=[worth.take])
    try:
        history.catch_up(range(counts[topics.trainings]), lambda: None)
    finally:
        history.close()
    return arranged(settings, tickets, history, worth, _pinned(settings), now_ms)


def _pinned(settings: Settings) -> set[str]:
    """Streams whose version a person has pinned, by commands that the monitor carries out."""
    topics, verifier = settings.topics, settings.commands.verifier()
    client = settings.kafka.client()
    held = HeldVersions(client, topics.models, topics.commands, recent=0.0, verifier=verifier)
    try:
        held.catch_up()
    finally:
        held.close()
    return set(held.pinned)


def arranged(
    settings: Settings,
    tickets: Iterable[Ticket],
    history: History,
    worth: Worth,
    pinned: set[str],
    now_ms: int,
) -> Preview:
    """The queue of these tickets."""
    tickets = list(tickets)
    open_ = [
        (one.request, one.at_ms)
        for one in tickets
        if one.request is not None and one.request.id not in history.finished
    ]
    orders = [one.order for one in tickets if one.order and one.order.id not in history.finished]
    withdrawn = {one.request_id: one for one in orders if one.action == "discard"}
    given_up = [one for one, _ in open_ if one.id in withdrawn]
    asked = {request.id: at_ms for request, at_ms in reversed(open_)}
    going = [one for one in open_ if one[0].id not in withdrawn]
    still, superseded = settle(going, lambda one: history.current_of(one).event)
    entries = evaluate(still, worth.ledger, settings.profiles)
    trainer = settings.trainer

    def left(profile: str) -> float | None:
        return worth.budget.left(profile, now_ms)

    choice = choose(entries, len(entries), Turns(), left, trainer.oldest_every)
    first = choose(
        entries, trainer.max_requests, Turns(), left, trainer.oldest_every, trainer.batch_seconds
    )
    rows = [
        *_served(choice, now_ms, pinned),
        *(_row(one, now_ms, pinned, "budget", _over(one)) for one in choice.waits),
        *(
            _gone(one.request, now_ms - asked[one.request.id], pinned, "superseded", one.detail)
            for one in superseded
        ),
        *(
            _gone(one, now_ms - asked[one.id], pinned, "withdrawn", withdrawn[one.id].detail)
            for one in given_up
        ),
    ]
    return Preview(
        rows=rows,
        batch=len(first.chosen),
        orders=len(orders),
        unreadable=sum(one.letter is not None for one in tickets),
        budgets=_budgets(settings, worth, now_ms),
        resets_ms=next_day_ms(now_ms),
    )


def _served(choice: Choice, now_ms: int, pinned: set[str]) -> list[Row]:
    """Those that have a place, and whether they have it by their worth or by their age."""
    rows: list[Row] = []
    best: Entry | None = None
    for rank, entry in reversed(list(enumerate(choice.chosen, 1))):
        if best is None or entry.by_value < best.by_value:
            best = entry
        why = _GROUNDS.get(entry.waiting.precedence, "by value")
        if entry is not best:
            why = "waits longest"
        rows.append(_row(entry, now_ms, pinned, "served", why)._replace(rank=rank))
    return rows[::-1]


def _over(entry: Entry) -> str:
    return f"the budget of profile {entry.request.profile} is spent for today"


def _row(
    entry: Entry,
    now_ms: int,
    pinned: set[str],
    state: State,
    why: str,
) -> Row:
    request = entry.request
    return Row(
        rank=None,
        stream=request.stream,
        profile=request.profile,
        request_id=request.id,
        reason=request.reason,
        age=max(now_ms - entry.waiting.since_ms, 0) / 1000,
        saving=entry.saving,
        ratio=entry.ratio,
        seconds=entry.seconds,
        value=entry.value,
        records=entry.records,
        state=state,
        pinned=request.stream in pinned,
        why=why,
    )


def _gone(request: RetrainRequested, age_ms: int, pinned: set[str], state: State, why: str) -> Row:
    return Row(
        rank=None,
        stream=request.stream,
        profile=request.profile,
        request_id=request.id,
        reason=request.reason,
        age=max(age_ms, 0) / 1000,
        saving=0.0,
        ratio=1.0,
        seconds=0.0,
        value=0.0,
        records=0,
        state=state,
        pinned=request.stream in pinned,
        why=why,
    )


def _budgets(settings: Settings, worth: Worth, now_ms: int) -> list[Spending]:
    found = []
    for profile in settings.profiles:
        limit, left = worth.budget.limit(profile), worth.budget.left(profile, now_ms)
        if limit is not None and left is not None:
            found.append(Spending(profile, limit, worth.budget.spent(profile, now_ms), left))
    return found
