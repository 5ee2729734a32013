"""Fleets for tests: what streams tell them, tick by tick."""

from __future__ import annotations

import math
from typing import Any

from driftloop.messages import Event, RetrainRequested
from driftloop.policy import FleetDecider, FleetNote, FleetObservation
from driftloop.settings import Policy, Profile
from tests.unit.policy.windows import DAY


def fleet_profile(policy: dict[str, Any] | None = None, **fleet: Any) -> Profile:
    """A profile whose ticks are over as soon as they end."""
    chosen = Policy(**{"kind": "mlma", "outcome_timeout": "0s", **(policy or {})})
    return Profile(policy=chosen, fleet={"lateness": "0s", **fleet})


def fleet_of(policy: dict[str, Any] | None = None, **fleet: Any) -> FleetDecider:
    return FleetDecider("p", fleet_profile(policy, **fleet))


def request(stream: str, at: int, priority: float = 1.0) -> RetrainRequested:
    return RetrainRequested(
        id=f"{stream}@{at}",
        stream=stream,
        profile="p",
        profile_hash="h",
        reason="policy",
        policy="mlma",
        grounds=[],
        data=[f"{stream}:0:0:9"],
        current_version="v1",
        decided_at=at,
        priority=priority,
    )


def seen(
    stream: str,
    day: float,
    *,
    z: float = 0.0,
    p: float = math.nan,
    asks: bool = True,
    priority: float = 1.0,
) -> FleetObservation:
    """A window that closed on a day; it asks for a retrain unless told otherwise."""
    at = int(day * DAY)
    wanted = request(stream, at, priority) if asks else None
    return FleetObservation(stream, at, DAY, z, p, math.nan, wanted)


def clock(day: float) -> FleetNote:
    return FleetNote("streams.clock", "clock", int(day * DAY))


def played(fleet: FleetDecider, *items: Any) -> list[Event]:
    return [event for item in items for event in fleet.take(item)]


def names(events: list[Event]) -> list[str]:
    """Streams of the requests that were sent, in order."""
    return [event.stream for event in events if isinstance(event, RetrainRequested)]
