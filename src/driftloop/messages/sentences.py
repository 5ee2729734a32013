"""Each event in a line, as the command line and the dashboard list them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from driftloop.messages.base import Event
from driftloop.messages.commands import Command, CommandAnswered
from driftloop.messages.events import (
    Evidence,
    FleetIncident,
    ModelPublished,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
)
from driftloop.messages.parts import PartReported
from driftloop.messages.versions import CandidateTrained, RetrainJudged, VersionOrdered


def _judged(event: RetrainJudged) -> str:
    saved = "" if event.saved is None else f", {event.saved:+.3g} saved a record"
    return f"{event.version} against {event.parent_version}: {event.verdict}{saved}"


def _evidence(event: Evidence) -> str:
    loss = event.metrics.get("loss")
    means = "" if loss is None else f", loss {loss:.4g}"
    return f"{event.kind} of {event.records} records, {event.decision}{means}"


def _spoke(event: RetrainRequested) -> str:
    return ", ".join(dict.fromkeys(one.criterion for one in event.grounds if one.rejected))


_WORDS: dict[type[Event], Callable[[Any], tuple[int | None, str, str]]] = {
    RetrainRequested: lambda e: (e.decided_at, "retrain", f"{e.reason}: {_spoke(e)}"),
    VersionOrdered: lambda e: (e.decided_at, "order", f"{e.action}: {e.detail or e.reason}"),
    ModelPublished: lambda e: (None, "model", f"{e.version} {e.action} ({e.kind})"),
    CandidateTrained: lambda e: (
        None,
        "candidate",
        f"{e.version} is on trial against {e.parent_version}",
    ),
    TrainingFinished: lambda e: (
        None,
        "training",
        " ".join(filter(None, (e.outcome, e.version, e.reason, e.detail))),
    ),
    RetrainJudged: lambda e: (e.judged_at, "judged", _judged(e)),
    FleetIncident: lambda e: (
        e.closed_at or e.opened_at,
        "incident",
        f"{e.action}: {e.moved} of {e.observed} streams",
    ),
    Command: lambda e: (None, "command", f"{e.action} by {e.who}: {e.why}"),
    CommandAnswered: lambda e: (
        e.answered_at,
        "answer",
        f"{e.action} {e.outcome}" + (f": {e.detail}" if e.detail else ""),
    ),
    Evidence: lambda e: (e.closed_at, "evidence", _evidence(e)),
    PartReported: lambda e: (None, "part", " ".join(filter(None, (e.state, e.detail)))),
    StreamStatus: lambda e: (e.event_time, "status", f"{e.state}, model {e.model_version}"),
}


def told(event: Event) -> tuple[int | None, str, str]:
    """An event in a line: its event time in ms or None, a word, and what it says."""
    return _WORDS[type(event)](event)
