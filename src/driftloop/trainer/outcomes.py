"""The one outcome of a request, whether it ends at its training or after its candidate's canary."""

from __future__ import annotations

from typing import Any

from driftloop.messages import CandidateTrained, RetrainRequested, TrainingFinished, event_id


def finish(
    about: RetrainRequested | CandidateTrained,
    outcome: Any,
    reason: str,
    detail: str,
    now_ms: int,
    **more: Any,
) -> TrainingFinished:
    """The outcome of a request; its id follows from the request's.

    Args:
        about: The request, or the candidate that it led to.
        outcome: As in `TrainingFinished`.
        reason: Likewise.
        detail: Likewise.
        now_ms: Wall clock, milliseconds since the epoch.
        more: Its other fields.
    """
    request_id = about.request_id if isinstance(about, CandidateTrained) else about.id
    return TrainingFinished(
        id=event_id(about.stream, about.profile_hash, "training", [request_id]),
        stream=about.stream,
        profile=about.profile,
        request_id=request_id,
        outcome=outcome,
        reason=reason,
        detail=detail,
        finished_at=now_ms,
        **more,
    )
