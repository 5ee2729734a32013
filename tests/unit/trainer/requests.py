"""Requests and outcomes for tests of the queue."""

from __future__ import annotations

from typing import Any

from driftloop.messages import Cost, ModelPublished, RetrainJudged, RetrainRequested
from driftloop.messages import TrainingFinished as Finished

DAY_MS = 86_400_000
NOON = 20_000 * DAY_MS + DAY_MS // 2


def request(name: str, stream: str = "", **more: Any) -> RetrainRequested:
    """One of the policy, on 100 records of its stream; its id is `name`."""
    stream = stream or f"streams.{name}"
    given: dict[str, Any] = {
        "profile": "numbers",
        "profile_hash": "p",
        "reason": "policy",
        "policy": "reducible",
        "grounds": [],
        "data": [f"{stream}:0:0:99"],
        "current_version": None,
        "decided_at": 0,
    }
    return RetrainRequested(id=name, stream=stream, **given | more)


def finished(of: RetrainRequested, outcome: Any = "published", **more: Any) -> Finished:
    """An outcome; `seconds` and `records` make its cost."""
    seconds, records = more.pop("seconds", None), more.pop("records", 100)
    cost = None if seconds is None else Cost(seconds=seconds, records=records, device="cpu")
    return Finished(
        id=f"finished-{of.id}",
        stream=of.stream,
        profile=of.profile,
        request_id=of.id,
        outcome=outcome,
        finished_at=more.pop("at", NOON),
        cost=cost,
        **more,
    )


def judged(of: RetrainRequested, saved: float | None) -> RetrainJudged:
    """What live records say of the version that a request led to."""
    return RetrainJudged(
        id=f"judged-{of.id}",
        stream=of.stream,
        profile=of.profile,
        request_id=of.id,
        version="v2",
        parent_version="v1",
        verdict="unscored" if saved is None else "undecided",
        records=500,
        saved=saved,
        low=None,
        high=None,
        level=0.99,
        seconds=1.0,
        device="cpu",
        cost=None,
        judged_at=NOON,
    )


def version(name: str, stream: str, data: list[str]) -> ModelPublished:
    """A stream's current version."""
    return ModelPublished(
        id=f"{stream}-{name}",
        stream=stream,
        profile="numbers",
        version=name,
        sequence=int(name[1:]),
        parent_version=None,
        kind="linear",
        uri="",
        sha256="",
        format="",
        champion=None,
        challenger={},
        data=data,
        cost=Cost(seconds=1.0, records=100, device="cpu"),
        request_id="r",
        published_at=NOON,
    )
