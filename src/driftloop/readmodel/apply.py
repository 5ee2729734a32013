"""What each event changes in the read model's tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from driftloop.messages import (
    CandidateTrained,
    Command,
    CommandAnswered,
    Event,
    Evidence,
    FleetIncident,
    ModelPublished,
    PartReported,
    RetrainJudged,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    VersionOrdered,
)

STATUS = (
    *("profile", "state", "model_version", "event_time", "records", "losses", "windows"),
    *("alarms", "retrains", "loss", "corrected_loss", "reference_loss", "baseline_loss"),
    *("accumulated", "threshold", "dead_letters", "missing", "late", "pending", "evicted"),
    *("duplicates", "stale", "detail", "trial", "judged", "better", "worse", "rollbacks"),
    *("dismissed", "saved", "seconds"),
)
"""Fields of a stream's status that are columns of the table ``streams``."""

KEPT = 500
"""Newest windows and alarms that are kept of a stream."""

NOT_THE_GATE = frozenset({"pinned", "rolled-back", "rollback-failed"})
"""Reasons of an outcome that say nothing of the model that was trained."""


class Where(NamedTuple):
    """Place of a message, and its Kafka timestamp in ms."""

    topic: str
    partition: int
    offset: int
    told_at: int


def _upsert(table: str, key: tuple[str, ...], columns: tuple[str, ...], *, also: str = "") -> str:
    """Statement that writes these columns of a row, and leaves its others as they are."""
    names = (*key, *columns)
    changes = [f"{name} = excluded.{name}" for name in columns] + ([also] if also else [])
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "  # noqa: S608  # names of ours
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(changes)}"
    )


_STATUS = _upsert(
    "streams",
    ("stream",),
    (*STATUS, "told_at"),
    also="first_time = coalesce(streams.first_time, excluded.event_time)",
)
_WINDOW = (
    *("stream", "closed_at", "id", "opened_at", "kind", "records", "model_version"),
    *("loss", "corrected_loss", "reference_loss", "baseline_loss", "accumulated", "threshold"),
    *("decision", "rejected", "criterion", "p_value", "effect", "topic", "partition", "place"),
)
_INSERT_WINDOW = (
    f"INSERT OR IGNORE INTO windows ({', '.join(_WINDOW)}) "  # noqa: S608  # names of ours
    f"VALUES ({', '.join('?' * len(_WINDOW))})"
)
_REQUEST = _upsert(
    "requests",
    ("id",),
    (
        *("kind", "stream", "profile", "reason", "policy", "criteria", "decided_at", "told_at"),
        *("from_version", "priority"),
    ),
)
_FINISHED = _upsert(
    "requests",
    ("id",),
    (
        *("stream", "profile", "outcome", "outcome_reason", "detail", "version"),
        *("champion_loss", "challenger_loss", "seconds", "records", "device", "finished_at"),
    ),
)
_JUDGED = _upsert(
    "requests",
    ("id",),
    (
        *("stream", "profile", "verdict", "saved", "low", "high", "level"),
        *("judged_records", "cost", "judged_at"),
    ),
)
_VERSION = _upsert(
    "versions",
    ("stream", "sequence"),
    (
        *("version", "action", "kind", "parent_version", "uri", "sha256", "request_id"),
        *("published_at", "told_at", "champion_loss", "challenger_loss"),
        *("seconds", "records", "device", "detail", "id"),
    ),
)
_COMMAND = _upsert(
    "commands",
    ("id",),
    (
        *("stream", "action", "who", "why", "via", "scope", "batch", "issued_at", "told_at"),
        *("until", "version", "request_id"),
    ),
)
_HAS_ANSWER = "SELECT 1 FROM commands WHERE id = ? AND outcome != ''"

_ANSWER = _upsert(
    "commands", ("id",), ("stream", "action", "outcome", "detail", "led_to", "answered_at")
)


PART_FIGURES = ("records", "records_per_second", "lag", "queue")
"""Figures of a part's report that are columns."""

_PART = _upsert(
    "parts",
    ("part", "instance"),
    ("state", "detail", "version", "started_at", "reported_at", "every", *PART_FIGURES),
)


class Applier:
    """Writes events through one connection, inside a transaction of the caller's.

    Args:
        connection: To the read model's file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._asked: set[str] = set()  # streams whose requests have changed
        self._handlers: dict[type[Event], Callable[[Any, Where], None]] = {
            StreamStatus: self._status,
            Evidence: self._evidence,
            RetrainRequested: self._requested,
            VersionOrdered: self._ordered,
            CandidateTrained: self._candidate,
            TrainingFinished: self._finished,
            RetrainJudged: self._judged,
            ModelPublished: self._published,
            FleetIncident: self._incident,
            Command: self._command,
            CommandAnswered: self._answered,
            PartReported: self._part,
        }

    def apply(self, event: Event, where: Where) -> None:
        """Take an event in; one that comes twice counts once."""
        if event.stream:
            self._touch(event.stream)
        lasts = not isinstance(event, StreamStatus | Evidence | PartReported)
        if lasts and not self._keep(event, where):
            return
        self._handlers[type(event)](event, where)

    def _touch(self, stream: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO touched VALUES (?)", (stream,))
        self._db.execute("INSERT OR IGNORE INTO streams (stream) VALUES (?)", (stream,))

    def _keep(self, event: Event, where: Where) -> bool:
        """Keep the event as it is; false where its id is known."""
        at = next(
            (
                getattr(event, name)
                for name in (
                    *("decided_at", "published_at", "finished_at", "issued_at"),
                    *("answered_at", "trained_at", "judged_at", "closed_at", "opened_at"),
                )
                if getattr(event, name, None) is not None
            ),
            None,
        )
        row = (event.id, event.type, event.stream, event.profile, at, where.told_at)
        place = (where.topic, where.partition, where.offset, msgspec.json.encode(event))
        done = self._db.execute(
            "INSERT OR IGNORE INTO events VALUES (?,?,?,?,?,?,?,?,?,?)", (*row, *place)
        )
        return done.rowcount > 0

    def retire(self, stream: str) -> None:
        """A tombstone on the topic of versions: the stream has no model any more."""
        self._touch(stream)
        self._db.execute("UPDATE streams SET model_version = NULL WHERE stream = ?", (stream,))

    def _status(self, event: StreamStatus, where: Where) -> None:
        values = [getattr(event, name) for name in STATUS]
        self._db.execute(_STATUS, (event.stream, *values, where.told_at))

    def _evidence(self, event: Evidence, where: Where) -> None:
        metrics, rejected = event.metrics, [one for one in event.results if one.rejected]
        kind = event.kind if event.kind != "window" else "loss" if "loss" in metrics else "features"
        told = rejected or event.results
        known = [one for one in told if one.p_value is not None]
        first = min(known, key=lambda one: one.p_value or 0.0) if known else None
        first = first or (told[0] if told else None)
        self._db.execute(
            _INSERT_WINDOW,
            (
                *(event.stream, event.closed_at, event.id, event.opened_at, kind, event.records),
                event.model_version,
                metrics.get("loss"),
                metrics.get("corrected_loss"),
                metrics.get("reference_loss"),
                metrics.get("baseline_loss"),
                metrics.get("accumulated"),
                metrics.get("threshold"),
                event.decision,
                ", ".join(dict.fromkeys(one.criterion for one in rejected)),
                *((first.criterion, first.p_value, first.effect) if first else (None,) * 3),
                *(where.topic, where.partition, where.offset),
            ),
        )
        self._db.execute(
            "UPDATE streams SET first_time = min(coalesce(first_time, ?1), ?1) WHERE stream = ?2",
            (event.opened_at, event.stream),
        )

    def _requested(self, event: RetrainRequested, where: Where) -> None:
        spoke = ", ".join(dict.fromkeys(one.criterion for one in event.grounds if one.rejected))
        row = (event.id, "retrain", event.stream, event.profile, event.reason, event.policy, spoke)
        more = (event.decided_at, where.told_at, event.current_version, event.priority)
        self._db.execute(_REQUEST, (*row, *more))
        self._asked.add(event.stream)

    def _ordered(self, event: VersionOrdered, where: Where) -> None:
        row = (event.id, event.action, event.stream, event.profile, event.reason, "", event.detail)
        self._db.execute(_REQUEST, (*row, event.decided_at, where.told_at, event.against, 0.0))

    def _candidate(self, event: CandidateTrained, where: Where) -> None:
        del where
        self._db.execute(
            "INSERT INTO requests (id, stream, profile, candidate) VALUES (?,?,?,?) "
            "ON CONFLICT (id) DO UPDATE SET candidate = excluded.candidate",
            (event.request_id, event.stream, event.profile, event.version),
        )

    def _finished(self, event: TrainingFinished, where: Where) -> None:
        self._asked.add(event.stream)
        cost = event.cost
        spent = (cost.seconds, cost.records, cost.device) if cost else (None, None, None)
        self._db.execute(
            _FINISHED,
            (
                *(event.request_id, event.stream, event.profile),
                *(event.outcome, event.reason, event.detail, event.version),
                *(_loss(event.champion), _loss(event.challenger)),
                *spent,
                event.finished_at,
            ),
        )
        if event.reason in NOT_THE_GATE or event.outcome == "superseded":
            return
        self._db.execute(
            "UPDATE streams SET last_outcome = ?, last_reason = ?, last_finished = ? "
            "WHERE stream = ?",
            (event.outcome, event.reason, where.told_at, event.stream),
        )

    def _judged(self, event: RetrainJudged, where: Where) -> None:
        del where
        row = (event.request_id, event.stream, event.profile, event.verdict, event.saved)
        more = (event.low, event.high, event.level, event.records, event.cost, event.judged_at)
        self._db.execute(_JUDGED, (*row, *more))
        self._db.execute(
            "UPDATE streams SET last_verdict = ?, judged_version = ? WHERE stream = ?",
            (event.verdict, event.version, event.stream),
        )

    def _published(self, event: ModelPublished, where: Where) -> None:
        cost = event.cost
        self._db.execute(
            _VERSION,
            (
                *(event.stream, event.sequence, event.version, event.action, event.kind),
                *(event.parent_version, event.uri, event.sha256, event.request_id),
                *(event.published_at, where.told_at),
                *(_loss(event.champion), _loss(event.challenger)),
                *(cost.seconds, cost.records, cost.device, event.detail, event.id),
            ),
        )

    def _incident(self, event: FleetIncident, where: Where) -> None:
        streams = json.dumps(event.streams)
        row = (event.profile, event.opened_at, event.closed_at, event.id, event.moved)
        more = (event.observed, event.share, event.p_value, streams, event.detail, where.told_at)
        self._db.execute(
            "INSERT INTO incidents VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
            "closed_at = excluded.closed_at, detail = detail || '; ' || excluded.detail",
            (*row, *more),
        )
        step = 1 if event.action == "opened" else 0
        for stream in event.streams:
            self._touch(stream)
            self._db.execute("UPDATE streams SET in_incident = ? WHERE stream = ?", (step, stream))

    def _command(self, event: Command, where: Where) -> None:
        row = (event.id, event.stream, event.action, event.who, event.why, event.via, event.scope)
        more = (event.batch, event.issued_at, where.told_at, event.until)
        self._db.execute(_COMMAND, (*row, *more, event.version, event.request_id))

    def _answered(self, event: CommandAnswered, where: Where) -> None:
        del where
        if self._db.execute(_HAS_ANSWER, (event.command_id,)).fetchone():
            return  # a command that came again may be refused: what came of it was told before
        led_to = json.dumps(event.led_to)
        row = (event.command_id, event.stream, event.action, event.outcome, event.detail, led_to)
        self._db.execute(_ANSWER, (*row, event.answered_at))
        if event.action == "dismiss" and event.outcome == "done":
            self._db.execute(
                "UPDATE requests SET dismissed_by = c.who, dismissed_why = c.why FROM commands c "
                "WHERE c.id = ?1 AND requests.id = ?2",
                (event.command_id, event.about),
            )

    def _part(self, event: PartReported, where: Where) -> None:
        del where
        row = (event.part, event.instance, event.state, event.detail, event.version)
        told = [event.metrics.get(name) for name in PART_FIGURES]
        self._db.execute(_PART, (*row, event.started_at, event.reported_at, event.every, *told))

    def count_refused(self) -> None:
        """Refusals of the gate since the newest version, of streams whose requests changed.

        What a person ordered is not counted: it says nothing of how the policy does. A request may
        be read after its outcome, so that they are counted anew.
        """
        codes = sorted(NOT_THE_GATE)
        self._db.executemany(
            "UPDATE streams SET refused_in_row = (SELECT count(*) FROM requests r "  # noqa: S608  # ours
            "WHERE r.stream = streams.stream AND r.outcome = 'rejected' AND r.reason != 'command' "
            f"AND r.outcome_reason NOT IN ({', '.join('?' * len(NOT_THE_GATE))}) "
            "AND r.finished_at > coalesce((SELECT max(p.finished_at) FROM requests p "
            "WHERE p.stream = streams.stream AND p.outcome = 'published' "
            "AND p.outcome_reason != 'rolled-back'), -1)) "
            "WHERE stream = ?",
            [(*codes, stream) for stream in self._asked],
        )
        self._asked.clear()

    def prune(self) -> None:
        """Drop what is more than `KEPT` windows old, of the streams in ``touched``."""
        self._db.execute(
            "DELETE FROM windows WHERE stream IN (SELECT stream FROM touched) AND closed_at < "
            "(SELECT w.closed_at FROM windows w WHERE w.stream = windows.stream "
            "ORDER BY w.closed_at DESC LIMIT 1 OFFSET ?)",
            (KEPT - 1,),
        )


def _loss(metrics: dict[str, float | None] | None) -> float | None:
    return None if metrics is None else metrics.get("loss")
