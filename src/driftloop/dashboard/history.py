"""What happened to one stream, on its own time: windows, versions, decisions, commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from driftloop.readmodel import Queries
from driftloop.readmodel.rows import CommandRow, RequestRow, VersionRow, WindowRow

WINDOWS = 500
_PAD = 0.01


class Span(NamedTuple):
    """A stretch of event time, ms."""

    begin: float
    end: float

    def holds(self, at: float) -> bool:
        """Whether a time lies within."""
        return self.begin <= at <= self.end


class Reign(NamedTuple):
    """A version, from when on it served, and until when; None: to this day.

    Attributes:
        version: Its name.
        action: How it came to be current: ``trained``, ``promoted`` or ``rolled-back``.
        begin: Event time, ms.
        end: Event time of the next one, or None.
        row: What the read model knows of it.
    """

    version: str
    action: str
    begin: float
    end: float | None
    row: VersionRow


class Mark(NamedTuple):
    """Something that happened at a time.

    Attributes:
        at: Event time, ms.
        lane: ``decision`` or ``command``.
        kind: ``published``, ``rejected``, ``failed``, ``superseded``, ``waiting``, ``rollback``,
            ``promote``, ``discard`` or ``command``.
        told: In words.
        link: Where more is told.
    """

    at: float
    lane: str
    kind: str
    told: str
    link: str


@dataclass(frozen=True, slots=True)
class History:
    """All of it, oldest first.

    Attributes:
        span: What is shown.
        whole: All that is known.
        windows: Those with losses, of the whole.
        alarms: Alarms of detectors, and windows of features in which something was rejected.
        reigns: Versions in turn.
        marks: Decisions and commands.
    """

    span: Span
    whole: Span
    windows: list[WindowRow]
    alarms: list[WindowRow]
    reigns: list[Reign]
    marks: list[Mark] = field(default_factory=list)

    def shown(self) -> list[WindowRow]:
        """The windows within the span, with one more at each side so that lines go on."""
        inside = [i for i, one in enumerate(self.windows) if self.span.holds(one.closed_at)]
        if not inside:
            return []
        return self.windows[max(0, inside[0] - 1) : inside[-1] + 2]


def history(
    queries: Queries, stream: str, *, begin: float | None = None, end: float | None = None
) -> History | None:
    """What is known of a stream; None where no window has closed yet.

    Args:
        queries: The read model's.
        stream: Which.
        begin: Event time of the left end, ms; None: where the oldest window opened.
        end: Event time of the right end, ms; None: now.
    """
    every = queries.windows(stream, limit=WINDOWS)
    windows = [one for one in every if one.kind == "loss"]
    known = queries.stream(stream)
    if not every or known is None:
        return None
    first = min(one.opened_at for one in every)
    last = max([every[-1].closed_at, *([known.event_time] if known.event_time else [])])
    pad = max((last - first) * _PAD, 1.0)
    whole = Span(first - pad, last + pad)
    low = whole.begin if begin is None else max(whole.begin, begin)
    high = whole.end if end is None else min(whole.end, end)
    span = Span(low, high) if high > low else whole
    requests = queries.requests(stream=stream, limit=1000)
    reigns = _reigns(queries.versions(stream), requests, windows)
    marks = [*_decisions(requests), *_commands(queries.commands(stream=stream, limit=200), last)]
    return History(
        span,
        whole,
        windows,
        [one for one in every if one.kind != "loss" and one.rejected],
        reigns,
        sorted(marks, key=lambda one: one.at),
    )


def _reigns(
    versions: list[VersionRow], requests: list[RequestRow], windows: list[WindowRow]
) -> list[Reign]:
    """Versions are published by the wall clock; where that falls on the stream's own time."""
    decided = {one.id: one.decided_at for one in requests if one.decided_at is not None}
    found: list[Reign] = []
    for row in reversed(versions):
        since = found[-1].begin if found else 0.0
        at: float | None = decided.get(row.request_id)
        if row.action != "trained" or at is None or at < since:
            at = _ordered(row, requests, since)
        if at is None:
            held = [one.opened_at for one in windows if one.model_version == row.version]
            at = next((float(one) for one in held if one >= since), None)
        if at is None:
            at = since or float(row.published_at)
        if found:
            found[-1] = found[-1]._replace(end=at)
        found.append(Reign(row.version, row.action, at, None, row))
    return found


def _ordered(row: VersionRow, requests: list[RequestRow], since: float) -> float | None:
    """When the order was given that a version became current by, or None."""
    return min(
        (
            float(one.decided_at)
            for one in requests
            if one.kind in {"rollback", "promote"}
            and one.from_version == row.parent_version
            and one.decided_at is not None
            and one.decided_at >= since
        ),
        default=None,
    )


def _decisions(requests: list[RequestRow]) -> list[Mark]:
    marks = []
    for one in requests:
        if one.decided_at is None:
            continue
        if one.kind == "retrain":
            kind = one.outcome or "waiting"
            why = one.criteria or one.reason
            told = f"retrain asked for by {one.policy or one.reason} ({why}): {kind}"
            if one.version:
                told += f" {one.version}"
        else:
            kind, told = one.kind, f"{one.kind} ordered: {one.criteria}"
        marks.append(Mark(one.decided_at, "decision", kind, told, f"/events/{one.id}"))
    return marks


def _commands(commands: list[CommandRow], last: float) -> list[Mark]:
    marks = []
    for one in commands:
        at = one.answered_at if one.answered_at is not None else one.issued_at
        if at is None:
            continue
        told = f"{one.action} by {one.who}: {one.why}"
        if one.outcome:
            told += f" ({one.came})"
        # Where nobody has answered, a command has but the wall clock's time.
        place = min(float(at), last) if one.answered_at is None else float(at)
        marks.append(Mark(place, "command", "command", told, f"/events/{one.id}"))
    return marks
