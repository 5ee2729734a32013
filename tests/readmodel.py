"""Events for tests of the read model, and of what stands on it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from driftloop.messages import (
    Command,
    CommandAnswered,
    Cost,
    Event,
    Evidence,
    FleetIncident,
    Ground,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    event_id,
)
from driftloop.readmodel import ReadModel
from driftloop.readmodel.apply import Where

DAY = 24 * 3600 * 1000
START = 1_700_000_000_000
_COST = Cost(seconds=1.5, records=2000, device="cpu")
_REQUIRED: dict[type[Event], dict[str, Any]] = {
    StreamStatus: {"state": "monitoring", "model_version": "v1", "event_time": START},
    Evidence: {
        "kind": "window",
        "opened_at": START,
        "closed_at": START + 1000,
        "window": ["streams.a:0:0:9"],
        "records": 10,
        "model_version": "v1",
        "results": [],
        "metrics": {"loss": 1.0, "reference_loss": 0.5},
    },
    RetrainRequested: {
        "profile_hash": "f" * 16,
        "reason": "policy",
        "policy": "reducible",
        "grounds": [Ground(criterion="reducible", family="loss", rejected=True)],
        "data": ["streams.a:0:0:9"],
        "current_version": "v1",
        "decided_at": START,
    },
    TrainingFinished: {"request_id": "r", "outcome": "published", "finished_at": START},
    ModelPublished: {
        "version": "v1",
        "sequence": 1,
        "parent_version": None,
        "kind": "linear",
        "uri": "models/v1",
        "sha256": "0" * 64,
        "format": "safetensors",
        "champion": None,
        "challenger": {"loss": 0.4},
        "data": [],
        "cost": _COST,
        "request_id": "r",
        "published_at": START,
    },
    RetrainJudged: {
        "request_id": "r",
        "version": "v2",
        "parent_version": "v1",
        "verdict": "better",
        "records": 200,
        "saved": 0.3,
        "low": 0.1,
        "high": 0.5,
        "level": 0.99,
        "seconds": 1.5,
        "device": "cpu",
        "cost": None,
        "judged_at": START,
    },
    FleetIncident: {"action": "opened", "opened_at": START},
    Command: {"action": "retrain", "who": "ada", "why": "new sensor", "issued_at": START},
    CommandAnswered: {
        "command_id": "c",
        "action": "retrain",
        "outcome": "accepted",
        "answered_at": START,
    },
}


def make(kind: type[Event], stream: str = "streams.a", **fields: Any) -> Any:
    """An event of a kind, with fields that fit; its id follows from them unless it is given."""
    given = {"profile": "default", **_REQUIRED.get(kind, {}), **fields}
    given.setdefault("id", event_id(stream, "", kind.__name__, sorted(map(str, given.items()))))
    return kind(stream=stream, **given)


def fill(model: ReadModel, events: Iterable[Event], *, told_at: int = START, first: int = 0) -> int:
    """Write events as if they had been read from one topic; returns the next offset."""
    found = [
        (event, event.stream, Where("driftloop.test", 0, first + i, told_at))
        for i, event in enumerate(events)
    ]
    model.write(found, [], {("driftloop.test", 0): first + len(found)})
    return first + len(found)


def new_model(folder: Path) -> ReadModel:
    """An empty read model that this process writes."""
    model = ReadModel(folder / "readmodel.sqlite", "test")
    assert model.acquire()
    return model
