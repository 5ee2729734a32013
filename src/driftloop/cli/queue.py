"""What ``driftloop trainer --dry-run`` prints: the queue, why, and what to do next."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftloop.settings import Settings

if TYPE_CHECKING:
    from driftloop.trainer.preview import Preview, Row

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def as_json(found: Preview, settings: Settings) -> str:
    """The same as `show`, for programs; times in seconds, moments in RFC 3339."""
    document: dict[str, Any] = {
        "kafka": settings.kafka.bootstrap_servers,
        "group": settings.trainer.group,
        "queue": [row._asdict() for row in found.rows],
        "first_batch": found.batch,
        "orders": found.orders,
        "unreadable": found.unreadable,
        "budgets": [one._asdict() for one in found.budgets],
        "resets_at": _moment(found.resets_ms),
        "next": advice(found, settings),
    }
    return json.dumps(document, indent=2)


def show(found: Preview, settings: Settings, console: Console) -> None:
    """Print the queue as a table."""
    if found.rows:
        console.print(_table(found.rows))
    for one in found.budgets:
        console.print(
            f"Budget of {one.profile}: {one.spent:,.3g} of {one.limit:,.6g} s spent today, "
            f"{one.left:,.3g} s left until {_moment(found.resets_ms)}",
            soft_wrap=True,
        )
    for line in advice(found, settings):
        console.print(line, soft_wrap=True)


def advice(found: Preview, settings: Settings) -> list[str]:
    """What happens next, and what can be done about it."""
    states = [row.state for row in found.rows]
    served, held = states.count("served"), states.count("budget")
    lines = []
    if not found.rows:
        lines.append(f"Nothing waits in group {settings.trainer.group}.")
    if served:
        lines.append(
            f"'driftloop trainer' trains {found.batch:,} of {served:,} together, then the others; "
            "with --once it ends when all are served."
        )
    if found.orders:
        lines.append(f"{found.orders:,} orders to switch a version are carried out first.")
    lines += [
        f"{states.count(state):,} {state}: they end without a training."
        for state in ("superseded", "withdrawn")
        if state in states
    ]
    if held:
        lines.append(
            f"{held:,} over budget: raise trainer.budget, wait until {_moment(found.resets_ms)}, "
            "or order one with 'driftloop stream retrain STREAM'."
        )
    if any(row.pinned and row.state in {"served", "budget"} for row in found.rows):
        lines.append("Pinned: 'driftloop stream unpin STREAM' frees a stream's version again.")
    if found.unreadable:
        lines.append(
            f"{found.unreadable:,} messages are no requests: they go to {settings.topics.dlq}."
        )
    if len(found.rows) > settings.trainer.queue:
        lines.append(
            f"A trainer chooses from {settings.trainer.queue:,} requests at a time: raise "
            "trainer.queue to choose from all of them."
        )
    return lines


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("rank", "stream", "reason", "age", "saving", "seconds", "saving/s", "records"):
        table.add_column(
            name,
            justify="left" if name in {"stream", "reason"} else "right",
            overflow="fold",
            no_wrap=name != "stream",
        )
    table.add_column("why", overflow="fold")
    for row in rows:
        gone = row.state in {"superseded", "withdrawn"}
        figures = [
            f"{row.saving:.3g}",
            f"{row.seconds:.2g}",
            f"{row.value:.3g}",
            f"{row.records:,}",
        ]
        table.add_row(
            "" if row.rank is None else str(row.rank),
            Text(row.stream),
            row.reason,
            age(row.age),
            *(["-"] * 4 if gone else figures),
            Text("; ".join([row.why, *["its stream is pinned"] * row.pinned])),
            style=None if row.state == "served" else "dim",
        )
    return table


def age(seconds: float) -> str:
    """A duration in its largest unit.

    >>> age(5), age(90), age(200_000)
    ('5s', '1m', '2d')
    """
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
