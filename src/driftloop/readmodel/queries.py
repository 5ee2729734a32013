"""Questions to the read model. All of them only read."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from driftloop.readmodel.alike import alike
from driftloop.readmodel.need import NAMES, NEEDS, ranks_of
from driftloop.readmodel.rows import (
    Budget,
    CommandRow,
    EventRow,
    Fleet,
    Followed,
    IncidentRow,
    LetterRow,
    PartRow,
    RequestRow,
    Row,
    StreamRow,
    VersionRow,
    WindowRow,
)
from driftloop.readmodel.store import ReadModel
from driftloop.settings import Settings

DAY_MS = 24 * 3600 * 1000
YEAR_MS = 365.25 * DAY_MS

SILENT_AFTER = 3.0
"""Times a part's usual pause between reports after which it counts as gone."""

SORTS: dict[str, str] = {
    "need": "need DESC, stream",
    "stream": "stream",
    "state": "state, stream",
    "profile": "profile, stream",
    "loss": "loss IS NULL, loss DESC, stream",
    "ratio": "reference_loss IS NULL OR reference_loss = 0, loss / reference_loss DESC, stream",
    "baseline": "baseline_loss IS NULL OR baseline_loss = 0, loss / baseline_loss DESC, stream",
    "retrains": "retrains DESC, stream",
    "saved": "saved DESC, stream",
    "records": "records DESC, stream",
    "event_time": "event_time DESC, stream",
    "dead_letters": "dead_letters DESC, stream",
}
"""How streams may be sorted."""

COMMANDS = (
    "SELECT c.*, d.reason AS letter, d.detail AS fault, "
    "r.outcome AS ended, r.version AS became, r.detail AS told "
    "FROM commands c LEFT JOIN events e ON e.id = c.id "
    "LEFT JOIN requests r ON r.id = json_extract(c.led_to, '$[0]') "
    "LEFT JOIN dead_letters d ON d.topic = e.topic "
    "AND d.source_partition = e.partition AND d.source_offset = e.place"
)
"""Commands with the dead letter of each that has one, and with what each led to."""

OutT = TypeVar("OutT", bound=Row)


class Page(NamedTuple):
    """A page of streams, and how many there are on all pages."""

    rows: list[StreamRow]
    total: int


def _rows(kind: type[OutT], found: Sequence[sqlite3.Row]) -> list[OutT]:
    names = kind.__struct_fields__
    return [kind(**{name: row[name] for name in names}) for row in found]


def _where(conditions: Mapping[str, object]) -> tuple[str, list[object]]:
    """Conditions that have a value, joined; each is SQL with one ``?``."""
    kept = {sql: value for sql, value in conditions.items() if value not in {None, ""}}
    return (" WHERE " + " AND ".join(kept) if kept else ""), list(kept.values())


class Queries:
    """Asks a read model.

    Args:
        model: The read model.
        settings: For what its profiles promise.
    """

    def __init__(self, model: ReadModel, settings: Settings) -> None:
        self._model = model
        self._settings = settings

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        return self._model.db.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Sequence[object] = ()) -> Any:
        return self._model.db.execute(sql, values).fetchone()[0]

    def _counts(self, sql: str, values: Sequence[object] = ()) -> dict[str, int]:
        return {str(name): int(count) for name, count in self._all(sql, values)}

    # Streams

    def streams(
        self,
        *,
        search: str = "",
        state: str = "",
        profile: str = "",
        need: str = "",
        sort: str = "need",
        reverse: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> Page:
        """Streams, sorted and paged.

        Args:
            search: Part of a stream's name; ``*`` stands for anything.
            state: Streams in that state alone.
            profile: Streams of that profile alone.
            need: Streams with that need alone (`driftloop.readmodel.need.NAMES`); ``any``: all
                that need a person.
            sort: One of `SORTS`.
            reverse: The other way round.
            limit: Rows of a page; -1: all.
            offset: Rows of earlier pages.

        Raises:
            KeyError: `sort` is none of `SORTS`.
        """
        escaped = search.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        pattern = escaped.replace("*", "%")
        pattern = pattern if "*" in search else f"%{pattern}%"
        where, values = _where(
            {
                "stream LIKE ? ESCAPE '!'": pattern if search else None,
                "state = ?": state,
                "profile = ?": profile,
                "need > ?": 0 if need == "any" else None,
                "need IN (SELECT value FROM json_each(?))": (
                    json.dumps(ranks_of(need)) if need and need != "any" else None
                ),
            }
        )
        order = SORTS[sort]
        if reverse:
            order = ", ".join(_turned(one) for one in order.split(", "))
        total = self._one(f"SELECT count(*) FROM streams{where}", values)  # noqa: S608  # ours
        found = self._all(
            f"SELECT * FROM streams{where} ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608  # ours
            [*values, limit, offset],
        )
        return Page(_rows(StreamRow, found), int(total))

    def stream(self, name: str) -> StreamRow | None:
        """One stream, or None where it is not known."""
        found = _rows(StreamRow, self._all("SELECT * FROM streams WHERE stream = ?", [name]))
        return found[0] if found else None

    def near(self, name: str, count: int = 3) -> list[str]:
        """Known streams whose names are most like this one."""
        known = [row[0] for row in self._all("SELECT stream FROM streams")]
        return alike(name, known, count)

    def windows(
        self, stream: str, *, kind: str = "", since: int | None = None, limit: int = 500
    ) -> list[WindowRow]:
        """Newest windows of a stream, oldest first."""
        where, values = _where({"stream = ?": stream, "kind = ?": kind, "closed_at >= ?": since})
        found = self._all(
            f"SELECT * FROM windows{where} ORDER BY closed_at DESC LIMIT ?",  # noqa: S608  # ours
            [*values, limit],
        )
        return _rows(WindowRow, found)[::-1]

    def window(self, id_: str) -> WindowRow | None:
        """The window or alarm of an evidence event."""
        found = _rows(WindowRow, self._all("SELECT * FROM windows WHERE id = ?", [id_]))
        return found[0] if found else None

    def versions(self, stream: str) -> list[VersionRow]:
        """Versions of a stream, newest first."""
        sql = "SELECT * FROM versions WHERE stream = ? ORDER BY sequence DESC"
        return _rows(VersionRow, self._all(sql, [stream]))

    def current(self, streams: Sequence[str]) -> dict[str, str]:
        """Version of each stream's model as it was published last; those without any are left out.

        A stream's status names the model of its newest records, which may still be an older one.
        """
        sql = (
            "SELECT v.stream, v.version FROM json_each(?) s JOIN versions v ON v.stream = s.value "
            "AND v.sequence = (SELECT max(sequence) FROM versions WHERE stream = s.value)"
        )
        return {str(row[0]): str(row[1]) for row in self._all(sql, [json.dumps(list(streams))])}

    # What was decided, and what came of it

    def requests(
        self,
        *,
        stream: str = "",
        outcome: str = "",
        verdict: str = "",
        kind: str = "",
        limit: int = 100,
        offset: int = 0,
    ) -> list[RequestRow]:
        """Requests and orders, newest first; outcome ``waiting``: those that have none yet."""
        waits = outcome == "waiting"
        where, values = _where(
            {
                "stream = ?": stream,
                "outcome = ?": "" if waits else outcome,
                "verdict = ?": verdict,
                "kind = ?": kind,
                "(outcome = '') = ?": 1 if waits else None,
            }
        )
        found = self._all(
            f"SELECT * FROM requests{where} "  # noqa: S608  # ours
            "ORDER BY coalesce(told_at, finished_at) DESC LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        return _rows(RequestRow, found)

    def request(self, id_: str) -> RequestRow | None:
        """One request or order."""
        found = _rows(RequestRow, self._all("SELECT * FROM requests WHERE id = ?", [id_]))
        return found[0] if found else None

    def incidents(self, *, open_only: bool = False, limit: int = 100) -> list[IncidentRow]:
        """Incidents, newest first."""
        where = " WHERE closed_at IS NULL" if open_only else ""
        found = self._all(
            f"SELECT * FROM incidents{where} ORDER BY opened_at DESC LIMIT ?",  # noqa: S608  # ours
            [limit],
        )
        return [
            IncidentRow(**{**dict(row), "streams": json.loads(row["streams"])}) for row in found
        ]

    def commands(
        self, *, stream: str = "", who: str = "", since: int | None = None, limit: int = 100
    ) -> list[CommandRow]:
        """Commands, newest first."""
        where, values = _where({"c.stream = ?": stream, "who = ?": who, "c.told_at >= ?": since})
        found = self._all(
            f"{COMMANDS}{where} "  # ours
            "ORDER BY c.told_at DESC LIMIT ?",
            [*values, limit],
        )
        return [command_of(row) for row in found]

    def letters(
        self, *, topic: str = "", reason: str = "", limit: int = 100, offset: int = 0
    ) -> list[LetterRow]:
        """Dead letters, newest first."""
        where, values = _where({"topic = ?": topic, "reason = ?": reason})
        found = self._all(
            f"SELECT * FROM dead_letters{where} ORDER BY told_at DESC, place DESC LIMIT ? OFFSET ?",  # noqa: S608  # ours
            [*values, limit, offset],
        )
        return _rows(LetterRow, found)

    def letter_reasons(self) -> dict[str, int]:
        """Dead letters by reason."""
        return self._counts("SELECT reason, count(*) FROM dead_letters GROUP BY 1 ORDER BY 2 DESC")

    def events(self, *, stream: str = "", kind: str = "", limit: int = 100) -> list[EventRow]:
        """Events but evidence and status, newest first; `kind` is part of the type."""
        where, values = _where({"stream = ?": stream, "instr(type, ?) > 0": kind})
        found = self._all(
            f"SELECT * FROM events{where} ORDER BY told_at DESC LIMIT ?",  # noqa: S608  # ours
            [*values, limit],
        )
        return [_event(row) for row in found]

    def event(self, prefix: str) -> list[EventRow]:
        """Events whose id begins so, at most ten; evidence and status are not among them."""
        sql = "SELECT * FROM events WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 10"
        return [_event(row) for row in self._all(sql, [prefix])]

    # The fleet

    def fleet(self, *, now_ms: int | None = None) -> Fleet:
        """Key metrics of all streams; `now_ms` is the wall clock."""
        now = round(time.time() * 1000) if now_ms is None else now_ms
        day = [now - DAY_MS]
        sums = self._all(
            "SELECT count(*) FILTER (WHERE state != 'retired'), total(records), total(retrains), "
            "total(saved), total(seconds), total(rollbacks), max(event_time), max(told_at) "
            "FROM streams"
        )[0]
        years, promised = self._promised()
        judged = "SELECT verdict, count(*) FROM requests WHERE verdict != '' GROUP BY 1"
        retrain = "kind = 'retrain' AND reason = 'policy'"
        outcomes = "SELECT outcome, count(*) FROM requests WHERE outcome != '' AND kind = 'retrain'"
        return Fleet(
            streams=sums[0],
            states=self._counts("SELECT state, count(*) FROM streams GROUP BY 1 ORDER BY 2 DESC"),
            needs=self._needs(),
            records=int(sums[1]),
            retrains=self._one(f"SELECT count(*) FROM requests WHERE {retrain}"),  # noqa: S608  # ours
            retrains_day=self._one(
                f"SELECT count(*) FROM requests WHERE {retrain} AND told_at >= ?",  # noqa: S608  # ours
                day,
            ),
            outcomes=self._counts(f"{outcomes} GROUP BY 1"),
            outcomes_day=self._counts(f"{outcomes} AND finished_at >= ? GROUP BY 1", day),
            waiting=self._one(
                "SELECT count(*) FROM requests WHERE kind = 'retrain' AND outcome = ''"
            ),
            judged=self._counts(judged),
            dismissed=self._one("SELECT count(*) FROM requests WHERE dismissed_by != ''"),
            needless=self._one(
                f"SELECT count(*) FROM requests WHERE {retrain} "  # noqa: S608  # ours
                "AND (dismissed_by != '' OR verdict = 'worse')"
            ),
            promised=promised,
            stream_years=years,
            saved=sums[3],
            seconds=sums[4],
            rollbacks=int(sums[5]),
            incidents=self._one("SELECT count(*) FROM incidents WHERE closed_at IS NULL"),
            dead_letters=self._one("SELECT count(*) FROM dead_letters WHERE told_at >= ?", day),
            newest=sums[6],
            told_at=sums[7],
        )

    def parts(self, *, now_ms: int | None = None) -> list[PartRow]:
        """Processes that said something in the last week; `now_ms` is the wall clock."""
        now = round(time.time() * 1000) if now_ms is None else now_ms
        found = self._all(
            "SELECT * FROM parts WHERE reported_at > ? ORDER BY part, instance", [now - 7 * DAY_MS]
        )
        return [
            PartRow(**{**dict(row), "state": "gone", "detail": "killed, or cut off from Kafka"})
            if row["state"] != "stopped"
            and now - row["reported_at"] > SILENT_AFTER * 1000 * row["every"]
            else PartRow(**dict(row))
            for row in found
        ]

    def budgets(self) -> list[Budget]:
        """What each profile with a budget has used of it."""
        out = []
        for name, profile in self._settings.profiles.items():
            budget = profile.fleet.budget
            newest = self._one("SELECT max(event_time) FROM streams WHERE profile = ?", [name])
            if budget is None or newest is None:
                continue
            day = newest - newest % DAY_MS
            used = self._one(
                "SELECT count(*) FROM requests WHERE profile = ? AND kind = 'retrain' "
                "AND reason != 'initial' AND decided_at >= ?",
                [name, day],
            )
            out.append(Budget(profile=name, day_ms=day, used=used, budget=budget))
        return out

    def _needs(self) -> dict[str, int]:
        by_rank = self._counts("SELECT need, count(*) FROM streams WHERE need > 0 GROUP BY 1")
        found = dict.fromkeys(NAMES, 0)
        for one in NEEDS:
            found[one.name] += by_rank.pop(str(one.rank), 0)
        return found

    def _promised(self) -> tuple[float, float | None]:
        """Stream-years of event time that were watched, and needless retrains promised in them."""
        from driftloop.policy.promise import needless_per_year  # noqa: PLC0415  # brings SciPy

        spans = self._all(
            "SELECT profile, total(max(event_time - first_time, 0)) FROM streams "
            "WHERE event_time IS NOT NULL AND first_time IS NOT NULL GROUP BY 1"
        )
        years, promised = 0.0, 0.0
        bounded = True
        for name, span in spans:
            years += span / YEAR_MS
            profile = self._settings.profiles.get(name)
            a_year = None if profile is None else needless_per_year(profile.policy)
            if profile is None or a_year is None or profile.fleet.control != "stream":
                bounded = False
            else:
                promised += a_year * span / YEAR_MS
        return years, promised if bounded and spans else None


def _turned(term: str) -> str:
    if term.endswith(" DESC"):
        return term.removesuffix(" DESC")
    return term if term.endswith((" = 0", " NULL")) else f"{term} DESC"


def command_of(row: sqlite3.Row) -> CommandRow:
    """A command; one that was dead-lettered has no answer, and is refused for that reason."""
    fields = {**dict(row), "led_to": json.loads(row["led_to"])}
    letter, fault = fields.pop("letter"), fields.pop("fault")
    ended, became, told = (fields.pop(name) for name in ("ended", "became", "told"))
    if ended and fields["outcome"] == "accepted":
        fields["followed"] = Followed(outcome=ended, version=became, detail=told)
    if letter is not None and not fields["outcome"]:
        fields |= {"outcome": "refused", "detail": f"{letter}: {fault}"}
    return CommandRow(**fields)


def _event(row: sqlite3.Row) -> EventRow:
    return EventRow(**{**dict(row), "body": msgspec.Raw(row["body"])})
