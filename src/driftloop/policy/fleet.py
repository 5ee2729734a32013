"""What is decided over all streams of a profile: error control, budget, incidents.

Pure: it knows neither the engine nor the wall clock. Windows are judged in ticks of event time. A
tick is over once any stream's event time has passed its end by the allowed lateness; its windows
are then taken in the order of their streams, so in which order they arrived does not matter. A
window that comes later than that is judged with the oldest tick that is not over.
"""

from __future__ import annotations

from driftloop.messages import Event
from driftloop.policy.evidence import fleet_evidence
from driftloop.policy.fleet_control import FleetControl, Proposal
from driftloop.policy.fleet_items import FleetItem, FleetNote, FleetObservation
from driftloop.policy.fleet_queue import FleetQueue
from driftloop.policy.incidents import IncidentWatch
from driftloop.settings import Profile
from driftloop.settings.base import milliseconds


class FleetDecider:
    """Decisions on one fleet.

    Args:
        name: Name of its profile.
        profile: The profile.
    """

    def __init__(self, name: str, profile: Profile) -> None:
        fleet = profile.fleet
        self._tick = milliseconds(fleet.tick)
        self._lateness = milliseconds(fleet.lateness)
        # Budget and incidents are known at a tick's end; online control alone need not wait.
        self._waits = fleet.budget is not None or fleet.during_incident == "hold"
        self._control = FleetControl(fleet)
        self._queue = FleetQueue(profile.policy, fleet)
        self._incidents = IncidentWatch(name, profile.hash, fleet)
        self._clock: int | None = None
        self._over = 0  # ticks below are over
        self._open: dict[int, list[FleetObservation]] = {}
        self._proposals: dict[int, list[Proposal]] = {}

    def take(self, item: FleetItem) -> list[Event]:
        """Events that follow from what a stream tells, in the order to be sent."""
        out: list[Event] = []
        if isinstance(item, FleetObservation):
            self._observe(item, out)
        else:
            self._note(item)
        self._advance(item.at, out)
        return out

    @property
    def held(self) -> list[str]:
        """Streams whose retrain waits for the budget or for the end of an incident."""
        return self._queue.held

    @property
    def in_incident(self) -> bool:
        """Whether an incident is under way."""
        return self._incidents.open

    def _observe(self, one: FleetObservation, out: list[Event]) -> None:
        tick = max(one.at // self._tick, self._over)
        if self._control.at_arrival:
            if not self._queue.blocked(one.stream, one.at):
                proposal = self._control.judge_one(one)
                if proposal is not None:
                    self._arrived(proposal, tick, out)
            elif one.request is not None:
                self._drop(one, out)
            one = one._replace(request=None)
        self._open.setdefault(tick, []).append(one)

    def _arrived(self, proposal: Proposal, tick: int, out: list[Event]) -> None:
        """An online procedure has judged a window as it came."""
        request = proposal.request
        if not proposal.stands:
            out.append(fleet_evidence(request, "fleet-control", proposal.grounds, proposal.at))
        elif self._waits:
            self._proposals.setdefault(tick, []).append(proposal)
        else:
            self._queue.put(proposal, out)
            self._queue.release(proposal.at + 1, self._incidents, out)

    def _drop(self, one: FleetObservation, out: list[Event]) -> None:
        """The stream has a request out, or cools down: its window is no test of the fleet's."""
        if one.request is not None:
            why = self._queue.blocked(one.stream, one.at)
            out.append(fleet_evidence(one.request, why, [], one.at))

    def _note(self, note: FleetNote) -> None:
        stream, queue = note.stream, self._queue
        if note.kind in {"sent", "initial"}:
            queue.sent(stream, note.request_id, note.at, counts=note.kind == "sent")
        elif note.kind == "settled":
            queue.settled(stream, note.request_id)
        elif note.kind == "version":
            queue.new_version(stream)
        elif note.kind == "withdrawn":
            queue.withdraw(stream)
        elif note.kind == "gone":
            queue.forget(stream)
        if note.kind not in {"settled", "clock"}:
            self._void(stream)

    def _void(self, stream: str) -> None:
        """Nothing follows any more from the windows of the stream that wait for their tick."""
        nan = float("nan")
        for observations in self._open.values():
            for index, one in enumerate(observations):
                if one.stream == stream:
                    observations[index] = one._replace(p_value=nan, e_value=nan, request=None)
        for tick, proposals in self._proposals.items():
            self._proposals[tick] = [one for one in proposals if one.request.stream != stream]

    # Ticks

    def _advance(self, at: int, out: list[Event]) -> None:
        if self._clock is not None and at <= self._clock:
            return
        self._clock = at
        over = (at - self._lateness) // self._tick
        if over <= self._over:
            return
        for tick in sorted(tick for tick in self._open if tick < over):
            self._close(tick, out)
        self._over = over
        if self._queue.held:  # a new day may have begun without any window
            self._queue.release(over * self._tick, self._incidents, out)

    def _close(self, tick: int, out: list[Event]) -> None:
        end = (tick + 1) * self._tick
        observations = sorted(self._open.pop(tick), key=_order)
        incident = self._incidents.judge({one.stream: one.z for one in observations}, end)
        if incident is not None:
            out.append(incident)
        proposals = sorted(self._proposals.pop(tick, ()), key=_proposal_order)
        if not self._control.at_arrival:
            family = []
            for one in observations:
                if one.request is not None and self._queue.blocked(one.stream, one.at):
                    self._drop(one, out)
                elif not self._queue.blocked(one.stream, one.at):
                    family.append(one)
            proposals = self._control.judge(family)
        for proposal in proposals:
            if proposal.stands:
                self._queue.put(proposal, out)
            else:
                request = proposal.request
                out.append(fleet_evidence(request, "fleet-control", proposal.grounds, end))
        self._queue.release(end, self._incidents, out)


def _order(one: FleetObservation) -> tuple[str, int]:
    return one.stream, one.at


def _proposal_order(one: Proposal) -> tuple[str, int]:
    return one.request.stream, one.at
