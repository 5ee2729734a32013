"""The retrains of a fleet that wait: for the budget, or for the end of an incident."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from driftloop.messages import Event, Ground, RetrainRequested
from driftloop.policy.evidence import fleet_evidence
from driftloop.policy.fleet_control import Proposal
from driftloop.policy.incidents import IncidentWatch, moment
from driftloop.settings import Fleet, Policy
from driftloop.settings.base import milliseconds

DAY_MS = 86_400_000


@dataclass(slots=True)
class _Held:
    """A request that waits, since when, what was found on it, and what was told of it."""

    request: RetrainRequested
    since: int
    grounds: list[Ground]
    told: set[str] = field(default_factory=set)


class FleetQueue:
    """What the fleet has sent, and what waits; one request a stream.

    Args:
        policy: For cool-down and the wait for an outcome, which are the fleet's where it decides.
        fleet: Budget, and what happens during an incident.
    """

    def __init__(self, policy: Policy, fleet: Fleet) -> None:
        self._cooldown = milliseconds(policy.cooldown)
        self._timeout = milliseconds(policy.outcome_timeout)
        self._budget = fleet.budget
        self._holds = fleet.during_incident == "hold"
        self._held: dict[str, _Held] = {}
        self._sent: dict[str, tuple[str, int]] = {}  # newest request of a stream, and when
        self._unsettled: set[str] = set()
        self._day = 0
        self._used = 0

    @property
    def held(self) -> list[str]:
        """Streams whose request waits, sorted."""
        return sorted(self._held)

    # What happens to streams

    def sent(self, stream: str, request_id: str, at: int, *, counts: bool = True) -> None:
        """A request of the stream went out."""
        self._held.pop(stream, None)
        self._sent[stream] = (request_id, at)
        self._unsettled.add(stream)
        if counts:
            self._turn(at)
            self._used += 1

    def settled(self, stream: str, request_id: str) -> None:
        """A request has its outcome."""
        if self._sent.get(stream, ("", 0))[0] == request_id:
            self._unsettled.discard(stream)

    def new_version(self, stream: str) -> None:
        """The stream's model is another: what waits was decided on the old one."""
        self._held.pop(stream, None)
        self._unsettled.discard(stream)

    def withdraw(self, stream: str) -> None:
        """An operator stopped what waits."""
        self._held.pop(stream, None)

    def forget(self, stream: str) -> None:
        """The stream is gone."""
        self.new_version(stream)
        self._sent.pop(stream, None)

    def blocked(self, stream: str, at: int) -> str:
        """What keeps the stream from another request: a word, or an empty text."""
        last = self._sent.get(stream)
        if last is None:
            return ""
        if stream in self._unsettled and at - last[1] <= self._timeout:
            return "in-flight"
        return "cool-down" if at - last[1] <= self._cooldown else ""

    # Proposals

    def put(self, proposal: Proposal, out: list[Event]) -> None:
        """Take a proposal that stands; a newer one of the same stream takes its place."""
        request = proposal.request
        why = self.blocked(request.stream, proposal.at)
        if why:
            out.append(fleet_evidence(request, why, proposal.grounds, proposal.at))
            return
        before = self._held.get(request.stream)
        since = proposal.at if before is None else before.since
        self._held[request.stream] = _Held(request, since, proposal.grounds)

    def release(self, end: int, incidents: IncidentWatch, out: list[Event]) -> None:
        """Send what may go when the tick that ends at `end` is over, highest priority first."""
        self._turn(end - 1)
        ranked = sorted(
            self._held.values(), key=lambda one: (-one.request.priority, one.request.id)
        )
        for rank, held in enumerate(ranked, start=1):
            if incidents.open and self._holds:
                ground = incidents.ground("held until it is over (fleet.during_incident = hold)")
                self._hold(held, "incident", ground, end, out)
                continue
            budget = self._budget_ground(held, rank, len(ranked), end)
            if budget is not None and self._used >= (self._budget or 0):
                self._hold(held, "budget", budget, end, out)
                continue
            if budget is not None:
                held.grounds.append(budget)
            if "incident" in held.told:
                held.grounds.append(incidents.ground(f"released at {moment(end)}"))
            elif incidents.open:
                goes = "retrains go ahead (fleet.during_incident = proceed)"
                held.grounds.append(incidents.ground(goes))
            self._send(held, end, out)
        self._prune(end)

    def _send(self, held: _Held, end: int, out: list[Event]) -> None:
        request = held.request
        out.append(msgspec.structs.replace(request, grounds=[*request.grounds, *held.grounds]))
        self.sent(request.stream, request.id, end - 1)

    def _hold(self, held: _Held, decision: str, ground: Ground, end: int, out: list[Event]) -> None:
        """Keep it waiting, and tell once why."""
        if decision in held.told:
            return
        held.told.add(decision)
        held.grounds.append(ground)
        out.append(fleet_evidence(held.request, decision, held.grounds, end))

    def _budget_ground(self, held: _Held, rank: int, waiting: int, end: int) -> Ground | None:
        if self._budget is None:
            return None
        goes = self._used < self._budget
        return Ground(
            criterion="budget",
            family="fleet",
            statistic=self._used,
            effect=rank,
            threshold=self._budget,
            n=waiting,
            window=held.request.data,
            detail=(
                f"{'sent' if goes else 'held'} at {moment(end)}, asked for at "
                f"{moment(held.since)}: rank {rank} of {waiting} by priority, {self._used} of "
                f"{self._budget} retrains used that day"
            ),
        )

    def _turn(self, at: int) -> None:
        """Begin a day's budget; event time never turns it back."""
        day = at // DAY_MS
        if day > self._day:
            self._day, self._used = day, 0

    def _prune(self, now: int) -> None:
        """Forget what no longer keeps any stream from a request."""
        longest = max(self._cooldown, self._timeout)
        for stream in [s for s, (_, at) in self._sent.items() if now - at > longest]:
            del self._sent[stream]
            self._unsettled.discard(stream)
