"""The fleet's own shift: an incident when many of its streams move together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from driftloop.messages import FleetIncident, Ground, event_id
from driftloop.settings import Fleet
from driftloop.statistics.fleet import MIN_HISTORY, fleet_shift

MOVED = 2.0
"""Robust standard deviations by which a stream's mean loss must exceed its own earlier ones."""

LISTED = 100
"""Streams that an incident names."""

MEDIANS = 60
"""Earlier ticks' medians that are kept."""


class Shift(NamedTuple):
    """What a tick says of the fleet.

    Attributes:
        moved: Streams whose losses are `MOVED` above their own earlier ones, the furthest first.
        observed: Streams heard from.
        share: Of those that moved.
        median: Median of the standardised losses: the fleet's own shift.
        statistic: Of the test that the fleet moved up, or None.
        p_value: Of that test; nan: no verdict.
        detail: Which test it was.
    """

    moved: list[str]
    observed: int
    share: float
    median: float
    statistic: float | None
    p_value: float
    detail: str


def fleet_move(z: Mapping[str, float], history: list[float]) -> Shift | None:
    """Judge standardised losses of one tick, a stream each; nan ones do not count.

    The median against the medians of earlier ticks, whatever binds the streams; the sign test while
    these are few (`driftloop.statistics.fleet.fleet_shift`). One-sided: losses that fall together
    are no incident.

    Returns:
        The verdict, or None where no stream has a z.
    """
    known = {stream: value for stream, value in z.items() if not math.isnan(value)}
    if not known:
        return None
    by_history = len(history) >= MIN_HISTORY
    found = fleet_shift(known, history, null="history" if by_history else "independent")
    moved = sorted(
        (stream for stream, value in known.items() if value >= MOVED),
        key=lambda stream: (-known[stream], stream),
    )
    statistic = found.test.statistic
    return Shift(
        moved,
        len(known),
        len(moved) / len(known),
        found.median,
        statistic if math.isfinite(statistic) else None,
        found.test.p_value,
        f"median against {len(history)} earlier ticks" if by_history else "sign test",
    )


class IncidentWatch:
    """Whether the fleet is in an incident.

    It opens at a tick whose streams moved together, stays while they do or while too few are heard
    from, and closes at the first tick that says otherwise. As a stream is compared with its own
    newest windows, a shift that stays becomes what is usual, and the incident ends by itself.

    Attributes:
        shift: The verdict of the newest tick that had one, or None.
    """

    def __init__(self, name: str, profile_hash: str, fleet: Fleet) -> None:
        self._name = name
        self._hash = profile_hash
        self._fleet = fleet
        self._opened_at: int | None = None
        self._listed: list[str] = []
        self._medians: list[float] = []
        self.shift: Shift | None = None

    @property
    def open(self) -> bool:
        """Whether an incident is under way."""
        return self._opened_at is not None

    def judge(self, z: Mapping[str, float], end: int) -> FleetIncident | None:
        """Take the standardised losses of the tick that ended at `end`; the event that follows."""
        shift = fleet_move(z, self._medians)
        fleet = self._fleet
        if shift is None or shift.observed < fleet.min_streams:
            return None  # too few for a verdict: what is open stays so
        self.shift = shift
        if not math.isfinite(shift.median):
            return None
        together = shift.share >= fleet.incident_share and shift.p_value <= fleet.incident_alpha
        if not together:
            self._medians = [*self._medians, shift.median][-MEDIANS:]
        if together and self._opened_at is None:
            self._opened_at = end
            self._listed = shift.moved[:LISTED]
            return self._event(shift, end, None)
        if not together and self._opened_at is not None:
            event = self._event(shift, self._opened_at, end)
            self._opened_at, self._listed = None, []
            return event
        return None

    def _event(self, shift: Shift, opened_at: int, closed_at: int | None) -> FleetIncident:
        action = "opened" if closed_at is None else "closed"
        goes = "are held" if self._fleet.during_incident == "hold" else "go ahead"
        told = f"{len(shift.moved)} of {shift.observed} streams lost more than they used to"
        if closed_at is None:
            detail = (
                f"{told}, together: look for a shared cause (an upstream, a holiday) first; "
                f"retrains {goes} meanwhile (fleet.during_incident)"
            )
        else:
            detail = f"over since the tick that ended at {moment(closed_at)}: {told}"
        return FleetIncident(
            id=event_id(f"fleet:{self._name}", self._hash, f"incident-{action}", (opened_at,)),
            profile=self._name,
            action="opened" if closed_at is None else "closed",
            opened_at=opened_at,
            closed_at=closed_at,
            streams=self._listed,
            moved=len(shift.moved),
            observed=shift.observed,
            share=shift.share,
            statistic=shift.statistic,
            p_value=_number(shift.p_value),
            detail=detail,
        )

    def ground(self, detail: str) -> Ground:
        """The incident's numbers, for what is held or sent during it."""
        shift = self.shift
        if shift is None:
            raise RuntimeError("an incident that is open has a shift")
        return Ground(
            criterion="incident",
            family="fleet",
            statistic=shift.statistic,
            p_value=_number(shift.p_value),
            effect=shift.share,
            threshold=self._fleet.incident_share,
            n=shift.observed,
            detail=(
                f"{len(shift.moved)} of {shift.observed} streams moved ({shift.detail}); {detail}"
            ),
        )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def moment(ms: int) -> str:
    """An event time for people, UTC.

    >>> moment(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
