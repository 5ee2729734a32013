"""Evidence events: what was found on a window, by a detector, or by the fleet."""

from __future__ import annotations

from driftloop.detection.outputs import Alarm, Closed, LossWindow
from driftloop.messages import Evidence, Ground, RetrainRequested, event_id
from driftloop.policy.grounds import family_of_signal
from driftloop.policy.tested import Tested


def window_evidence(
    tested: Tested, decision: str, *, stream: str, profile: str, profile_hash: str
) -> Evidence:
    """Every statistic of a closed window, and what followed."""
    window = tested.window
    return Evidence(
        id=event_id(stream, profile_hash, f"evidence-{tested.kind}", place(window)),
        stream=stream,
        profile=profile,
        kind="window",
        opened_at=window.opened_at,
        closed_at=window.closed_at,
        window=window.ranges,
        records=_records(tested),
        model_version=window.version,
        results=tested.results,
        metrics=tested.metrics,
        decision=decision,
    )


def alarm_evidence(alarm: Alarm, *, stream: str, profile: str, profile_hash: str) -> Evidence:
    """The signal of an incremental detector at one record."""
    ground = Ground(
        criterion=alarm.detector,
        family=family_of_signal(alarm.on),
        statistic=alarm.value,
        rejected=True,
        n=1,
        window=[alarm.range],
        detail=f"the {alarm.on} has changed; the statistic is its value at the record",
    )
    return Evidence(
        id=event_id(stream, profile_hash, f"alarm-{alarm.detector}", (alarm.ts, alarm.range)),
        stream=stream,
        profile=profile,
        kind="alarm",
        opened_at=alarm.ts,
        closed_at=alarm.ts,
        window=[alarm.range],
        records=1,
        model_version=alarm.version,
        results=[ground],
        metrics={alarm.on: alarm.value},
    )


def fleet_evidence(
    request: RetrainRequested, decision: str, grounds: list[Ground], at: int
) -> Evidence:
    """Why the fleet holds or drops a retrain that a stream asked for; `at` in event time, ms."""
    return Evidence(
        id=event_id(request.stream, request.profile_hash, f"fleet-{decision}", (request.id,)),
        stream=request.stream,
        profile=request.profile,
        kind="fleet",
        opened_at=request.decided_at,
        closed_at=at,
        window=request.data,
        records=0,
        model_version=request.current_version,
        results=[*request.grounds, *grounds],
        metrics={},
        decision=decision,
    )


def place(window: Closed) -> tuple[object, ...]:
    """What tells a window from all others, also from those of an earlier topic of that name."""
    return (window.index, window.opened_at, window.closed_at, *window.ranges)


def _records(tested: Tested) -> int:
    window = tested.window
    return len(window.losses) if isinstance(window, LossWindow) else len(getattr(window, "x", ()))
