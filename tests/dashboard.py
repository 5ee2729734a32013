"""A dashboard on a read model that a test has filled: a fleet in which much has happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from driftloop.dashboard.app import create_app
from driftloop.dashboard.live import Live
from driftloop.messages import (
    Command,
    CommandAnswered,
    Event,
    Evidence,
    FleetIncident,
    Ground,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    VersionOrdered,
)
from driftloop.readmodel import ReadModel, open_model
from driftloop.settings import Settings
from tests.readmodel import DAY, START, fill, make

VIEWER, OPERATOR = "viewer-" + "v" * 16, "operator-" + "o" * 16
OPENED: list[ReadModel] = []
"""Read models of `app_of`; the fixture ``_closed`` closes them."""

LETTER = (0, 7, "streams.a", 0, 41, "no-json", "line 1: <b>no</b> JSON", 12, START)
REQUEST, ORDER = "aa" * 16, "bb" * 16


def settings_of(folder: Path, **dashboard: Any) -> Settings:
    """A configuration whose home is a folder of the test's."""
    return Settings(
        home=folder / "home",
        kafka={"bootstrap_servers": "127.0.0.1:9"},
        dashboard=dashboard,
        profiles={"default": {"topics": "streams[.].+", "policy": "mlma(1)"}},
    )


def guarded(folder: Path, **more: Any) -> Settings:
    """The same with a token for each role."""
    tokens = {}
    for role, token in (("viewer", VIEWER), ("operator", OPERATOR)):
        (folder / role).write_text(token)
        tokens[f"{role}_token"] = {"file": str(folder / role)}
    return settings_of(folder, **tokens, **more)


def app_of(
    settings: Settings, events: Iterable[Event] = (), letters: Iterable[Any] = (), **options: Any
) -> tuple[FastAPI, ReadModel]:
    """A dashboard whose read model holds these events; nothing reads Kafka."""
    model = open_model(settings)
    OPENED.append(model)
    assert model.acquire()
    fill(model, events)
    model.write([], letters, {})
    live = Live(settings, model)
    live.caught_up = True
    return create_app(settings, live=live, **options), model


def history(stream: str, *, windows: int = 40) -> Iterator[Event]:
    """Windows of a stream that drifts, is retrained, gets worse and is rolled back."""
    for i in range(windows):
        drifted = 10 <= i < 20
        yield make(
            Evidence,
            stream,
            opened_at=START + i * DAY,
            closed_at=START + (i + 1) * DAY,
            window=[f"{stream}:0:{i * 10}:{i * 10 + 9}"],
            model_version="v1" if i < 20 else "v2",
            metrics={
                "loss": 2.0 + 0.1 * (i % 3) if drifted else 1.0 + 0.05 * (i % 3),
                "reference_loss": 1.0,
                "corrected_loss": 0.9,
                "baseline_loss": 1.8,
                "accumulated": 10.0 * (i - 10) if drifted else 1.0,
                "threshold": 80.0,
            },
            results=[Ground(criterion="mlma", family="loss", rejected=drifted, p_value=0.001)],
            decision="retrain" if i == 19 else "none",
        )
    yield make(
        RetrainRequested,
        stream,
        id=REQUEST,
        decided_at=START + 20 * DAY,
        policy="mlma",
        grounds=[
            Ground(
                criterion="mlma",
                family="loss",
                statistic=4.2,
                p_value=0.00001,
                effect=1.1,
                threshold=0.001,
                rejected=True,
                n=10,
                detail="<script>alert(1)</script>",
            )
        ],
    )
    yield make(ModelPublished, stream, version="v1", sequence=1, request_id="cc" * 16)
    yield make(
        ModelPublished,
        stream,
        version="v2",
        sequence=2,
        parent_version="v1",
        champion={"loss": 2.1},
        challenger={"loss": 1.1},
        request_id=REQUEST,
        published_at=START + 20 * DAY,
    )
    yield make(
        TrainingFinished,
        stream,
        request_id=REQUEST,
        version="v2",
        champion={"loss": 2.1},
        challenger={"loss": 1.1},
        finished_at=START + 20 * DAY,
    )
    yield make(RetrainJudged, stream, request_id=REQUEST, judged_at=START + 30 * DAY)
    yield make(
        VersionOrdered,
        stream,
        id=ORDER,
        action="rollback",
        version="v1",
        against="v2",
        reason="live-losses",
        detail="v2 is worse than v1 would have been",
        decided_at=START + 35 * DAY,
    )
    yield make(Command, stream, id="dd" * 16, action="pin", why="<i>holiday</i>", who="ada")
    yield make(
        CommandAnswered,
        stream,
        command_id="dd" * 16,
        action="pin",
        outcome="done",
        answered_at=START + 36 * DAY,
    )


def fleet(many: int = 60) -> list[Event]:
    """Streams of every state, one with a history, and an incident that is open."""
    states = ("monitoring", "watched", "silent", "snoozed", "awaiting-approval", "refused")
    found: list[Event] = [
        make(
            StreamStatus,
            f"streams.{i:04d}",
            state=states[i % len(states)] if i % 7 == 0 else "monitoring",
            loss=1.0 + i / 10,
            reference_loss=1.0,
            records=1000 + i,
            event_time=START + i * 1000,
        )
        for i in range(many)
    ]
    found.append(
        make(StreamStatus, "streams.a", model_version="v2", retrains=1, event_time=START + 40 * DAY)
    )
    found += history("streams.a")
    found.append(
        make(
            FleetIncident,
            "",
            id="ee" * 16,
            streams=["streams.0001", "streams.0002"],
            moved=2,
            observed=3,
            share=0.667,
            detail="many streams shift: look upstream",
        )
    )
    return found
