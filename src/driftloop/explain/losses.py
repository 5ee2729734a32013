"""Loss over the windows of a stream, for the plot."""

from __future__ import annotations

from driftloop.explain.attempt import Attempt
from driftloop.explain.model import WindowPoint
from driftloop.explain.target import Target
from driftloop.explain.trail import Trail
from driftloop.messages import Evidence, RetrainRequested

BEFORE, AFTER = 60, 40
"""Windows that are shown before the decision, and after it."""


def loss_windows(target: Target, trail: Trail, attempt: Attempt | None) -> tuple[WindowPoint, ...]:
    """Windows of losses around a decision: as recorded, else as they came out again."""
    known: dict[str, Evidence] = {
        name: one.event
        for name, one in trail.evidence.items()
        if isinstance(one.event, Evidence) and one.event.kind == "window"
    }
    if attempt is not None:
        for window in attempt.replay.windows:
            known.setdefault(window.evidence.id, window.evidence)
    losses = sorted(
        (one for one in known.values() if one.metrics.get("loss") is not None),
        key=lambda one: (one.closed_at, one.opened_at),
    )
    decided = target.decided
    at = decided.closed_at if isinstance(decided, Evidence) else _moment(decided)
    asked = _asked(losses, target, at)
    here = next((i for i, one in enumerate(losses) if one.id == asked), None)
    if here is None:
        here = sum(one.closed_at <= at for one in losses) - 1
    shown = losses[max(0, here - BEFORE) : here + 1 + AFTER]
    return tuple(_point(one, asked=one.id == asked) for one in shown)


def _moment(decided: RetrainRequested | None) -> int:
    return 0 if decided is None else decided.decided_at


def _asked(losses: list[Evidence], target: Target, at: int) -> str:
    """Id of the evidence of the decision's window, or of the newest window of losses then."""
    behind = target.evidence
    if behind is not None and "loss" in behind.metrics:
        return behind.id
    return max((one for one in losses if one.closed_at <= at), key=_closed, default=_NONE).id


def _closed(one: Evidence) -> int:
    return one.closed_at


_NONE = Evidence(
    id="", stream="", profile="", kind="window", opened_at=0, closed_at=0, window=[], records=0,
    model_version=None, results=[], metrics={},
)  # fmt: skip


def _point(one: Evidence, *, asked: bool) -> WindowPoint:
    metrics = one.metrics
    return WindowPoint(
        at=one.closed_at,
        loss=metrics["loss"] or 0.0,
        reference=metrics.get("reference_loss"),
        corrected=metrics.get("corrected_loss"),
        baseline=metrics.get("baseline_loss"),
        version=one.model_version,
        decision=one.decision,
        id=one.id,
        asked=asked,
    )
