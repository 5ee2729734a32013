"""Numbers, times and names as the pages show them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from driftloop.plots.scales import CALENDAR_MS
from driftloop.plots.svg import MINUS

NONE = "\N{EN DASH}"
_HOUR, _DAY = 3600_000, 86_400_000

STATES = {
    "warming-up": "warming up",
    "monitoring": "monitoring",
    "watched": "watched",
    "awaiting-approval": "awaits approval",
    "snoozed": "snoozed",
    "pinned": "pinned",
    "silent": "silent",
    "refused": "refused",
    "retired": "retired",
}

TONES = {
    **dict.fromkeys(("monitoring", "published", "better", "done", "ready"), "good"),
    **dict.fromkeys(("failed", "worse", "failing", "refused", "refused-command", "gone"), "bad"),
    **dict.fromkeys(
        (
            "watched",
            "awaiting-approval",
            "rejected",
            "silent",
            "incident",
            "approval",
            "not-ready",
            "stopped",
        ),
        "warn",
    ),
}
"""Colour of a word; all others are neutral. A word always stands beside the colour."""

NEEDS = {
    "failing": "failing",
    "refused": "refused",
    "approval": "awaiting approval",
    "incident": "in an incident",
    "watched": "watched",
    "silent": "silent",
    "unreadable": "unreadable records",
}

KINDS = {
    "driftloop.retrain.requested.v1": "Retrain requested",
    "driftloop.model.published.v1": "Version published",
    "driftloop.training.finished.v1": "Training finished",
    "driftloop.command.issued.v1": "Command",
    "driftloop.command.answered.v1": "Command answered",
    "driftloop.evidence.v1": "Evidence",
    "driftloop.stream.status.v1": "Status",
    "driftloop.fleet.incident.v1": "Incident",
    "driftloop.model.candidate.v1": "Candidate trained",
    "driftloop.version.ordered.v1": "Version ordered",
    "driftloop.retrain.judged.v1": "Retrain judged",
    "driftloop.part.reported.v1": "Process reported",
}


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits, or a dash.

    >>> number(3.14159), number(1234567.0), number(0.5)
    ('3.142', '1,234,567', '0.5')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{abs(value):,.{min(places, 9)}f}"
    if "." in text and places > 2:
        text = text.rstrip("0").rstrip(".")
    return f"{MINUS}{text}" if value < 0 and text.strip("0.,") else text


def loss(value: float | None) -> str:
    """A loss to three significant digits, of one width in a column.

    >>> loss(6.67337), loss(13.96), loss(0.03456)
    ('6.67', '13.96', '0.035')
    """
    if value is None or not math.isfinite(value):
        return NONE
    size = abs(value)
    places = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3
    if 0 < size < 0.01:
        return number(value, 2)
    text = f"{size:,.{places}f}"
    return f"{MINUS}{text}" if value < 0 else text


def count(value: float | None) -> str:
    """A whole number with thousands apart, or a dash."""
    return NONE if value is None else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """A share in per cent, or a dash.

    >>> percent(0.123), percent(0.0)
    ('12 %', '0 %')
    """
    if share is None or not math.isfinite(share):
        return NONE
    rounded = round(share * 100)
    return f"{MINUS if rounded < 0 else ''}{abs(rounded):,} %"


def p_value(value: float | None) -> str:
    """A p-value in short."""
    if value is None:
        return NONE
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def moment(ms: float | None) -> str:
    """A time as ``17 Mar 2013 05:00``, UTC.

    >>> moment(1_363_496_400_000)
    '17 Mar 2013 05:00'
    """
    if ms is None:
        return NONE
    if ms < CALENDAR_MS:
        return f"{ms / _DAY:,.1f} d" if ms >= _DAY else f"{ms / 1000:,.0f} s"
    found = datetime.fromtimestamp(ms / 1000, tz=UTC)
    return f"{found.day} {found:%b %Y %H:%M}"


def iso(ms: float | None) -> str:
    """The same as a machine reads it."""
    if ms is None:
        return ""
    return datetime.fromtimestamp(ms / 1000, tz=UTC).isoformat(timespec="seconds")


def ago(ms: float | None, now: Callable[[], float] = time.time) -> str:
    """Wall-clock time since then, in one unit.

    >>> ago(1_000_000, lambda: 1090.0)
    '1 min ago'
    """
    if ms is None:
        return NONE
    seconds = max(0.0, now() - ms / 1000)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:,.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def seconds(value: float | None) -> str:
    """A duration of computing.

    >>> seconds(0.0239), seconds(75), seconds(7300)
    ('24 ms', '75 s', '2.0 h')
    """
    if value is None:
        return NONE
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def size(value: int) -> str:
    """Bytes in short.

    >>> size(523), size(20480)
    ('523 B', '20 KiB')
    """
    if value < 1024:
        return f"{value} B"
    return f"{value / 1024:.0f} KiB" if value < 1 << 20 else f"{value / (1 << 20):.1f} MiB"


def state(name: str) -> str:
    """A state in words."""
    return STATES.get(name, name)


def need(name: str) -> str:
    """A need in words."""
    return NEEDS.get(name, name)


def kind(name: str) -> str:
    """A type of event in words."""
    return KINDS.get(name, name)


def tone(word: str) -> str:
    """CSS class of a word's colour."""
    return TONES.get(word, "plain")


def short(id_: str | None) -> str:
    """The first digits of an id."""
    return (id_ or "")[:8]


def times(many: float, noun: str) -> str:
    """A number with its noun.

    >>> times(1, "stream"), times(3, "stream"), times(2, "retry")
    ('1 stream', '3 streams', '2 retries')
    """
    if many == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{many:,.0f} {plural}"


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "loss": loss,
    "count": count,
    "percent": percent,
    "p_value": p_value,
    "moment": moment,
    "iso": iso,
    "ago": ago,
    "seconds": seconds,
    "size": size,
    "state": state,
    "need": need,
    "kind": kind,
    "tone": tone,
    "short": short,
    "times": times,
}
