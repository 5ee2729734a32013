"""Which decision an event belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from driftloop.explain.trail import Trail
from driftloop.messages import (
    Command,
    CommandAnswered,
    Event,
    Evidence,
    RetrainRequested,
    VersionOrdered,
    event_id,
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is to come out again.

    Attributes:
        asked: The event that was asked for.
        request: The retrain request that it belongs to, or None.
        evidence: The evidence of the window, alarm or fleet that is asked for or that led to the
            request, or None.
    """

    asked: Event
    request: RetrainRequested | None
    evidence: Evidence | None

    @property
    def decided(self) -> RetrainRequested | Evidence | None:
        """The decision itself."""
        return self.request if self.request is not None else self.evidence


def belongs(asked: Event, trail: Trail) -> Target:
    """Find the decision that an event belongs to.

    Args:
        asked: The event.
        trail: Events of its stream.
    """
    requests = {one.id: one for one in trail.of(RetrainRequested)}
    if isinstance(asked, Evidence):
        return Target(asked, _of_evidence(asked, list(requests.values())), asked)
    request = asked if isinstance(asked, RetrainRequested) else requests.get(_named(asked, trail))
    return Target(asked, request, None if request is None else _behind(request, trail))


def window_of(request: RetrainRequested) -> list[str]:
    """Offset ranges of the window that a request was decided on; empty where it was none."""
    if request.reason != "policy":
        return []
    # The policy's own results come first and are of the window; a detector's are of a record.
    fallback: list[str] = []
    for ground in request.grounds:
        if ground.family in {"fleet", "command"} or not ground.window:
            continue
        if ground.detail.startswith("signalled at this record"):
            continue
        fallback = fallback or ground.window
        if ground.family in {"policy", "schedule"}:
            return ground.window
    return fallback


def _behind(request: RetrainRequested, trail: Trail) -> Evidence | None:
    """Evidence of the window of a request."""
    window = window_of(request)
    at_once = [
        one.event
        for one in trail.evidence.values()
        if isinstance(one.event, Evidence)
        and one.event.kind == "window"
        and one.event.closed_at == request.decided_at
        and one.event.decision not in {"none", "watch"}
    ]
    exact = [one for one in at_once if window and one.window == window]
    found = exact or at_once
    return found[0] if found else None


def _of_evidence(asked: Evidence, requests: list[RetrainRequested]) -> RetrainRequested | None:
    if asked.kind == "fleet":
        kind = f"fleet-{asked.decision}"
        return next(
            (
                one
                for one in requests
                if event_id(one.stream, one.profile_hash, kind, (one.id,)) == asked.id
            ),
            None,
        )
    if asked.kind != "window" or asked.decision not in {"retrain", "awaiting-approval", "fleet"}:
        return None
    return next(
        (
            one
            for one in requests
            if one.reason == "policy"
            and one.decided_at == asked.closed_at
            and (window_of(one) or asked.window) == asked.window
        ),
        None,
    )


def _named(asked: Event, trail: Trail) -> str:
    """Id of the request that an event names."""
    if isinstance(asked, CommandAnswered):
        return next(iter(asked.led_to), "") or _led_to(asked.command_id, trail)
    if isinstance(asked, Command):
        return _led_to(asked.id, trail) or asked.request_id or ""
    name = str(getattr(asked, "request_id", ""))
    order = next((one for one in trail.of(VersionOrdered) if one.id == name), None)
    return name if order is None else order.request_id  # the outcome of a rollback names its order


def _led_to(command_id: str, trail: Trail) -> str:
    """The request that a command led to: by its answer, or because its id follows from it."""
    for answer in trail.of(CommandAnswered):
        if answer.command_id == command_id and answer.led_to:
            return answer.led_to[0]
    for one in trail.of(RetrainRequested):
        made = event_id(one.stream, one.profile_hash, "retrain-command", (command_id,))
        if made == one.id:
            return one.id
    return ""


def command_of(request: RetrainRequested, trail: Trail) -> Command | None:
    """The command that a request follows from."""
    return next(
        (
            one
            for one in trail.of(Command)
            if event_id(one.stream, request.profile_hash, "retrain-command", (one.id,))
            == request.id
        ),
        None,
    )
