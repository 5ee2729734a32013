"""The events by which versions change: candidates, promotions, rollbacks, and their outcomes."""

from __future__ import annotations

from typing import Any

import msgspec

from driftloop.messages import (
    CandidateTrained,
    Cost,
    ModelPublished,
    RetrainRequested,
    TrainingFinished,
    VersionOrdered,
    event_id,
)
from driftloop.models import ModelArtifact
from driftloop.trainer.history import Current, Place
from driftloop.trainer.outcomes import finish


def promoted(one: CandidateTrained, current: Current, detail: str, now_ms: int) -> ModelPublished:
    """A candidate is the current version now."""
    parent = current.event
    return ModelPublished(
        id=event_id(one.stream, one.profile_hash, "model", [one.request_id]),
        stream=one.stream,
        profile=one.profile,
        version=one.version,
        sequence=max(one.sequence, (parent.sequence if parent else 0) + 1),
        parent_version=one.parent_version,
        kind=one.kind,
        uri=one.uri,
        sha256=one.sha256,
        format=one.format,
        champion=one.champion,
        challenger=one.challenger,
        data=one.data,
        cost=one.cost,
        request_id=one.request_id,
        published_at=now_ms,
        parent_uri=one.parent_uri,
        parent_sha256=one.parent_sha256,
        action="promoted",
        detail=detail,
    )


def closed(
    candidate: CandidateTrained, outcome: Any, reason: str, detail: str, now_ms: int
) -> TrainingFinished:
    """The one outcome of a candidate's request."""
    return finish(
        candidate,
        outcome,
        reason,
        detail,
        now_ms,
        version=candidate.version if outcome == "published" else None,
        champion=candidate.champion,
        challenger=candidate.challenger,
        cost=candidate.cost,
        promised=candidate.promised,
    )


def restored(
    order: VersionOrdered, artifact: ModelArtifact, place: Place, current: Current, now_ms: int
) -> ModelPublished:
    """An earlier version is the current one again."""
    event = current.event
    return ModelPublished(
        id=event_id(order.stream, "", "model", [order.id]),
        stream=order.stream,
        profile=event.profile if event else order.profile,
        version=artifact.version,
        sequence=current.sequence + 1,
        parent_version=event.version if event else None,
        kind=artifact.kind,
        uri=place.uri,
        sha256=place.sha256,
        format=artifact.format,
        champion=artifact.champion,
        challenger=artifact.challenger,
        data=list(artifact.data),
        cost=Cost(seconds=0.0, records=artifact.records, device=""),
        request_id=artifact.request_id,
        published_at=now_ms,
        parent_uri=event.uri if event else None,
        parent_sha256=event.sha256 if event else None,
        action="rolled-back",
        detail=f"{order.who}: {order.detail}" if order.who else order.detail,
    )


def ended(
    order: VersionOrdered,
    outcome: Any,
    reason: str,
    detail: str,
    now_ms: int,
    version: str | None = None,
) -> TrainingFinished:
    """The one outcome of a rollback, by which it is known when it is ordered again."""
    return TrainingFinished(
        id=event_id(order.stream, "", "training", [order.id]),
        stream=order.stream,
        profile=order.profile,
        request_id=order.id,
        outcome=outcome,
        reason=reason,
        detail=detail,
        version=version,
        finished_at=now_ms,
    )


def with_parent(event: ModelPublished, parent: ModelPublished | None) -> ModelPublished:
    """A version whose event names the artifact of its parent, for trials and rollbacks."""
    if parent is None:
        return event
    return msgspec.structs.replace(event, parent_uri=parent.uri, parent_sha256=parent.sha256)


def held_back(
    request: RetrainRequested,
    published: ModelPublished,
    parent: ModelPublished,
    promised: float | None,
    now_ms: int,
) -> CandidateTrained:
    """A new version that is tried before it serves."""
    return CandidateTrained(
        id=event_id(request.stream, request.profile_hash, "candidate", [request.id]),
        stream=request.stream,
        profile=request.profile,
        profile_hash=request.profile_hash,
        version=published.version,
        sequence=published.sequence,
        parent_version=parent.version,
        parent_uri=parent.uri,
        parent_sha256=parent.sha256,
        kind=published.kind,
        uri=published.uri,
        sha256=published.sha256,
        format=published.format,
        champion=published.champion,
        challenger=published.challenger,
        data=published.data,
        cost=published.cost,
        request_id=request.id,
        trained_at=now_ms,
        promised=promised,
    )
