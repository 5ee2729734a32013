"""What surrounds a decision: the fleet at the time, what training did, whether it was worth it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from driftloop.explain.model import FleetThen, Step, Trained, WindowPoint, Worth
from driftloop.explain.trail import Trail
from driftloop.messages import (
    CandidateTrained,
    Command,
    CommandAnswered,
    Event,
    FleetIncident,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    TrainingFinished,
    VersionOrdered,
)
from driftloop.plots.figures import change, count, loss_name, seconds, times, why_undecided
from driftloop.policy.incidents import moment
from driftloop.settings import Profile
from driftloop.settings.base import milliseconds

DAY_MS = 86_400_000

FIRST = 3
"""Windows of a new version that tell how it begins."""


def fleet_then(trail: Trail, stream: str, name: str, profile: Profile, at: int) -> FleetThen:
    """The fleet at an event time.

    Args:
        trail: With the events of all streams.
        stream: The stream that is explained.
        name: Name of its profile.
        profile: The profile.
        at: Event time of the decision, ms.
    """
    tick = milliseconds(profile.fleet.tick)
    requests = [
        one.event
        for one in trail.fleet
        if isinstance(one.event, RetrainRequested) and one.event.profile == name
    ]
    decided = [one for one in requests if one.reason != "initial"]
    same_tick = {one.stream for one in decided if one.decided_at // tick == at // tick}
    same_day = {one.stream for one in decided if one.decided_at // DAY_MS == at // DAY_MS}
    incident = _incident(trail, name, at)
    others = same_day - {stream}
    ever = times(len({one.stream for one in requests}), "stream")
    asked = (
        f"{times(len(same_day), 'stream')} of profile {name} asked for a retrain that day (UTC), "
        f"{len(same_tick)} in the same tick of {_span(tick)}; {ever} ever did."
    )
    told = [asked]
    if not others:
        told.append("No other stream did: look for a cause in this stream.")
    if incident is None:
        told.append("No incident was open: the fleet did not move together.")
    else:
        told.append(f"An incident was open since {moment(incident.opened_at)}: {incident.detail}.")
    return FleetThen(
        len(same_tick),
        len(same_day),
        len({one.stream for one in requests}),
        "" if incident is None else incident.detail,
        None if incident is None else incident.id,
        tuple(told),
    )


def _span(ms: int) -> str:
    return f"{count(ms / 3_600_000)} h" if ms >= 3_600_000 else f"{count(ms / 60_000)} min"


def _incident(trail: Trail, name: str, at: int) -> FleetIncident | None:
    """The incident that was open at an event time."""
    events = [
        one.event
        for one in trail.fleet
        if isinstance(one.event, FleetIncident) and one.event.profile == name
    ]
    ends = {one.opened_at: one.closed_at for one in events if one.action == "closed"}
    for one in events:
        end = ends.get(one.opened_at)
        if one.action == "opened" and one.opened_at <= at and (end is None or at < end):
            return one
    return None


def trained(trail: Trail, request: RetrainRequested, loss: str) -> Trained:
    """What training did."""
    finished = [one for one in trail.of(TrainingFinished) if one.request_id == request.id]
    candidates = [one for one in trail.of(CandidateTrained) if one.request_id == request.id]
    last: TrainingFinished | CandidateTrained | None = (
        finished[-1] if finished else (candidates[-1] if candidates else None)
    )
    if last is None:
        nothing = "No outcome is known: it waits in the trainer's queue, or no trainer runs."
        return Trained("waiting", "", None, None, None, None, None, "", (nothing,))
    tried = isinstance(last, CandidateTrained)
    outcome = "on trial" if isinstance(last, CandidateTrained) else last.outcome
    reason = "" if isinstance(last, CandidateTrained) else last.reason
    detail = "" if isinstance(last, CandidateTrained) else last.detail
    told = [_outcome(outcome, last.version, reason, detail)]
    gate = _gate(last.champion, last.challenger, loss)
    told += [gate] if gate else []
    cost = last.cost
    if cost is not None:
        told.append(
            f"It took {seconds(cost.seconds)} on {cost.device} for {cost.records:,} records."
        )
    if candidates and not tried:
        told.append("It served on trial first (training.canary).")
    return Trained(
        outcome,
        reason,
        last.version,
        last.champion,
        last.challenger,
        None if cost is None else cost.seconds,
        None if cost is None else cost.records,
        "" if cost is None else cost.device,
        tuple(told),
    )


def _outcome(outcome: str, version: str | None, reason: str, detail: str) -> str:
    why = f" ({reason}): {detail}" if detail else (f" ({reason})" if reason else "")
    return {
        "published": f"Training published {version}{why}.",
        "rejected": f"The challenger was not published{why}.",
        "superseded": f"A newer request took its place{why}.",
        "failed": f"Training failed{why}.",
    }.get(outcome, f"Version {version} is on trial and does not serve yet.")


def _gate(
    champion: Mapping[str, float | None] | None,
    challenger: Mapping[str, float | None] | None,
    loss: str,
) -> str:
    """The gate's comparison in a sentence; empty without numbers."""
    new = None if challenger is None else challenger.get("loss")
    if new is None or challenger is None:
        return ""
    n = challenger.get("records")
    held = f" on {n:,.0f} held-out records" if n else ""
    old = None if champion is None else champion.get("loss")
    trivial = challenger.get("baseline")
    beside = "" if trivial is None else f"; the trivial model has {trivial:.4g}"
    if old is None:
        return f"Gate: {loss_name(loss)} of the first model {new:.4g}{held}{beside}."
    return (
        f"Gate: {loss_name(loss)} of the challenger {new:.4g}, of the champion {old:.4g}"
        f"{held} ({change(new, old)}){beside}."
    )


def worth(
    trail: Trail,
    request: RetrainRequested,
    training: Trained,
    windows: Sequence[WindowPoint],
    loss: str,
    *,
    watched: bool = True,
) -> Worth:
    """Whether the retrain was worth it; `watched`: new versions are compared with their parents."""
    outcome = training.outcome
    judged = [one for one in trail.of(RetrainJudged) if one.request_id == request.id]
    orders = [
        one
        for one in trail.of(VersionOrdered)
        if one.request_id == request.id and one.action == "rollback"
    ]
    dismissals = _dismissals(trail, request.id)
    told = []
    entry = judged[-1] if judged else None
    after = _after(training.version, request.decided_at, windows)
    if after is not None:
        at = next((one.loss for one in windows if one.asked), None)
        told.append(
            f"In its first windows {training.version} has {loss_name(loss)} {after:.4g}"
            + (f" ({change(after, at)} against the decision's window)." if at else ".")
        )
    if entry is not None:
        told.append(_judged(entry, loss))
    elif outcome == "published":
        told.append(_unjudged(request, watched=watched))
    else:
        told.append("No new version came of it, so there is nothing to judge.")
    told += [f"It was taken back: {one.detail}." for one in orders]
    told += [f"Dismissed as a false alarm by {one.who}: {one.why}." for one in dismissals]
    return Worth(
        "unknown" if entry is None else entry.verdict,
        None if entry is None else entry.saved,
        None if entry is None else entry.low,
        None if entry is None else entry.high,
        0.0 if entry is None else entry.level,
        0 if entry is None else entry.records,
        bool(orders),
        bool(dismissals),
        after,
        tuple(told),
    )


def _dismissals(trail: Trail, identity: str) -> list[Command]:
    """Commands that called it a false alarm; one that names nothing means the newest request."""
    about = {
        one.command_id: one.about for one in trail.of(CommandAnswered) if one.outcome == "done"
    }
    return [
        one
        for one in trail.of(Command)
        if one.action == "dismiss" and identity in {one.request_id, about.get(one.id)}
    ]


def _after(version: str | None, decided_at: int, windows: Sequence[WindowPoint]) -> float | None:
    """Mean loss of the first windows of a version."""
    own = [
        one.loss
        for one in windows
        if version is not None and one.version == version and one.at > decided_at
    ][:FIRST]
    return sum(own) / len(own) if own else None


def _unjudged(request: RetrainRequested, *, watched: bool) -> str:
    """Why there is no verdict of a version that was published."""
    if request.current_version is None:
        return "It is the stream's first model: there is none to judge it by."
    if not watched:
        return "No verdict: training.watch is off, so that new versions are not compared."
    return (
        f"No verdict: its trial against {request.current_version} goes on, or another version took "
        "its place before the end."
    )


def _judged(entry: RetrainJudged, loss: str) -> str:
    if entry.saved is None:
        return f"It could not be judged: {entry.detail}."
    verdict = {
        "better": f"It was worth it: {entry.version} saved",
        "worse": f"It was not worth it: {entry.version} saved",
    }.get(entry.verdict, f"Not proven either way: {entry.version} saved")
    span = ""
    if entry.low is not None and entry.high is not None:
        span = f" ({entry.level:.0%} interval {entry.low:.3g} to {entry.high:.3g})"
    price = "" if entry.cost is None else f"; training cost {entry.cost:.3g}"
    doubt = why_undecided(entry.low, entry.high) if entry.verdict == "undecided" else ""
    return (
        f"{verdict} {entry.saved:.3g} of {loss_name(loss)} a record{span} against "
        f"{entry.parent_version}, on {entry.records:,} live records{price}.{doubt}"
    )


def steps(trail: Trail, identity: str, asked: Event) -> tuple[Step, ...]:
    """Events that belong to a decision, in the order in which they were written.

    Args:
        trail: Events of the stream.
        identity: Id of the request, or of the command where there is none.
        asked: The event that was asked for.
    """
    mine = {identity, asked.id} - {""}
    mine |= {one.id for one in trail.of(VersionOrdered) if one.request_id in mine}
    found = []
    for one in trail.noted:
        event = one.event
        names = {
            event.id,
            getattr(event, "request_id", None),
            getattr(event, "command_id", None),
            *getattr(event, "led_to", ()),
        }
        if mine & names:
            found.append(Step(one.at, type(event).__name__, event.id, _step(event)))
    return tuple(found)


def _step(event: Event) -> str:
    match event:
        case RetrainRequested():
            return f"retrain requested by {event.reason} ({event.policy})"
        case TrainingFinished():
            version = f", {event.version}" if event.version else ""
            reason = f" ({event.reason})" if event.reason else ""
            return f"training {event.outcome}{version}{reason}"
        case CandidateTrained():
            return f"candidate {event.version} trained"
        case ModelPublished():
            return f"{event.version} published ({event.action})"
        case RetrainJudged():
            return f"judged: {event.verdict} on {event.records:,} records"
        case VersionOrdered():
            return f"{event.action} ordered: {event.detail}"
        case Command():
            return f"{event.action} commanded by {event.who}: {event.why}"
        case CommandAnswered():
            return f"command {event.action} {event.outcome}: {event.detail}"
    return type(event).__name__
