"""Questions of the dashboard to the read model: counts over time, and many streams in short."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from driftloop.readmodel.queries import COMMANDS, DAY_MS, command_of
from driftloop.readmodel.rows import CommandRow
from driftloop.readmodel.store import ReadModel

OUTCOMES = ("published", "rejected", "failed", "superseded", "waiting")


class Bars(NamedTuple):
    """Counts over time.

    Attributes:
        begins: (n,) begin of each interval, ms.
        step: Length of an interval, ms.
        counts: Of each name, (n,) counts.
    """

    begins: list[int]
    step: int
    counts: dict[str, list[int]]


class Ledger(NamedTuple):
    """What the retrains of one verdict came to."""

    verdict: str
    retrains: int
    saved: float
    seconds: float


def retrains_over_time(model: ReadModel, *, parts: int = 30) -> Bars | None:
    """Retrains by outcome over event time, in about `parts` intervals of whole hours or days."""
    found = model.db.execute(
        "SELECT min(decided_at), max(decided_at) FROM requests WHERE kind = 'retrain'"
    ).fetchone()
    if found[0] is None:
        return None
    first, last = int(found[0]), int(found[1])
    step = _step((last - first) / parts)
    begin = first // step * step
    many = (last - begin) // step + 1
    counts = {name: [0] * many for name in OUTCOMES}
    rows = model.db.execute(
        "SELECT (decided_at - ?) / ?, CASE outcome WHEN '' THEN 'waiting' ELSE outcome END, "
        "count(*) FROM requests WHERE kind = 'retrain' AND decided_at IS NOT NULL GROUP BY 1, 2",
        (begin, step),
    )
    for place, outcome, count in rows:
        counts[outcome][place] = count
    return Bars([begin + i * step for i in range(many)], step, counts)


def _step(least: float) -> int:
    hour = DAY_MS // 24
    steps = [hour * n for n in (1, 3, 6, 12)] + [DAY_MS * n for n in (1, 2, 7, 14, 28, 91, 364)]
    return next((step for step in steps if step >= least), steps[-1])


def sparks(
    model: ReadModel, streams: Sequence[str], *, many: int = 30
) -> dict[str, list[float | None]]:
    """Losses of the newest windows of each stream, oldest first."""
    found: dict[str, list[float | None]] = {}
    for stream in streams:
        rows = model.db.execute(
            "SELECT loss FROM windows WHERE stream = ? AND kind = 'loss' "
            "ORDER BY closed_at DESC LIMIT ?",
            (stream, many),
        ).fetchall()
        found[stream] = [row[0] for row in rows][::-1]
    return found


def ledger(model: ReadModel) -> list[Ledger]:
    """Verdicts of live records over retrains, with what they saved on these records in all."""
    rows = model.db.execute(
        "SELECT verdict, count(*), total(saved * judged_records), total(seconds) FROM requests "
        "WHERE verdict != '' GROUP BY 1 ORDER BY 2 DESC"
    ).fetchall()
    return [Ledger(*row) for row in rows]


def seconds_since(model: ReadModel, since_ms: int) -> dict[str, float]:
    """Seconds of training by profile, of trainings that ended since then."""
    rows = model.db.execute(
        "SELECT profile, total(seconds) FROM requests WHERE finished_at >= ? GROUP BY 1",
        (since_ms,),
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def commands_of(model: ReadModel, *, batch: str = "", ids: Sequence[str] = ()) -> list[CommandRow]:
    """Commands that were given together, or of these ids; in the order of their streams."""
    rows = model.db.execute(
        f"{COMMANDS} WHERE (? != '' AND c.batch = ?) "  # noqa: S608  # ours
        "OR c.id IN (SELECT value FROM json_each(?)) ORDER BY c.stream, c.id",
        (batch, batch, json.dumps(list(ids))),
    ).fetchall()
    return [command_of(row) for row in rows]


def request_of_window(model: ReadModel, stream: str, closed_at: int) -> str:
    """Id of the retrain that was decided when a window closed, or empty."""
    row = model.db.execute(
        "SELECT id FROM requests WHERE stream = ? AND decided_at = ? AND kind = 'retrain' LIMIT 1",
        (stream, closed_at),
    ).fetchone()
    return "" if row is None else str(row[0])


def profiles(model: ReadModel) -> dict[str, int]:
    """Streams by profile."""
    rows = model.db.execute("SELECT profile, count(*) FROM streams GROUP BY 1 ORDER BY 1")
    return {row[0]: row[1] for row in rows if row[0]}


def first_stream(model: ReadModel, prefix: str) -> list[str]:
    """Streams whose name begins so, in order, at most twelve."""
    rows = model.db.execute(
        "SELECT stream FROM streams WHERE stream >= ?1 AND stream < ?1 || char(1114111) "
        "ORDER BY stream LIMIT 12",
        (prefix,),
    )
    return [row[0] for row in rows]


def count_of(model: ReadModel, table: str) -> int:
    """Rows of a table of ours."""
    if table not in {"requests", "commands", "dead_letters", "events", "incidents"}:
        raise KeyError(table)
    return int(model.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


__all__ = [
    "OUTCOMES",
    "Bars",
    "Ledger",
    "commands_of",
    "count_of",
    "first_stream",
    "ledger",
    "profiles",
    "request_of_window",
    "retrains_over_time",
    "seconds_since",
    "sparks",
]
