"""An operator's commands: each is carried out once, and has one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from driftloop.detection.outputs import Ordered
from driftloop.detection.seen import REMEMBERED, Seen
from driftloop.messages import (
    CommandAnswered,
    CommandMemory,
    Event,
    RetrainRequested,
    VersionOrdered,
    incident_scope,
)
from driftloop.messages.commands import CommandOutcome
from driftloop.policy.answers import answer, moment, why_late
from driftloop.policy.approval import Approval
from driftloop.policy.fleet_voice import FleetVoice
from driftloop.policy.ledger import said
from driftloop.policy.pace import Pace
from driftloop.policy.requests import Requests
from driftloop.policy.versions import Versions

FOREVER = 2**62
"""End of a snooze without an end, ms."""

WHILE_RETIRED = frozenset({"resume", "dismiss", "unpin"})
"""What a retired stream still does."""


class Carried(NamedTuple):
    """What came of a command.

    Attributes:
        events: What follows, the answer last.
        detail: What a person should know of it from now on, or empty.
        anew: Whether the references of the stream begin anew.
    """

    events: list[Event]
    detail: str = ""
    anew: bool = False


class _RefusedError(Exception):
    """A command that is not carried out; the reason, with what to do."""


class _Done(NamedTuple):
    detail: str
    events: Sequence[Event] = ()
    about: str = ""
    tell: bool = True
    anew: bool = False


class CommandDesk:
    """Carries out the commands of one stream.

    One that was seen before has its answer again, and one that is too old to be known is refused:
    see `driftloop.messages.CommandMemory`.

    Args:
        stream: Its id.
        name: Name of its profile.
        requests: Makes its requests.
        pace: Knows what is in flight.
        approval: Holds what waits for a person.
        voice: Tells the fleet.
        versions: Its versions.

    Attributes:
        snoozed_until: End of a snooze in event time, ms, or None.
        retired: Whether a person ended the stream.
        dismissed: Retrains that were called false alarms.
        memory: Commands that it was given. Its own: after a crash the tracker may know one that
            was not decided on.
    """

    def __init__(
        self,
        stream: str,
        name: str,
        *,
        requests: Requests,
        pace: Pace,
        approval: Approval,
        voice: FleetVoice,
        versions: Versions,
    ) -> None:
        self._stream, self._name = stream, name
        self._requests, self._pace, self._approval = requests, pace, approval
        self._voice, self._versions = voice, versions
        self.snoozed_until: int | None = None
        self.retired = False
        self.dismissed = 0
        self.memory = CommandMemory()
        self._answers: dict[str, CommandAnswered] = {}
        self._known = Seen()  # requests that may be dismissed
        self._newest = ""
        self._false_alarms = Seen()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot, also of an earlier release, which remembered answers alone."""
        self.memory = CommandMemory.of_ids(state["_answers"])
        self.__dict__.update(state)

    def take(self, order: Ordered) -> Carried:
        """Carry a command out, once; the answer stands last in what follows."""
        command = order.command
        before = self._answers.get(command.id)
        standing = self.memory.take(command)
        if before is not None:
            return Carried([before])
        self._answers.pop(standing.forgets, None)
        if standing.word != "new":
            why = why_late(command, standing)
            refused = answer(self._stream, self._name, order, "refused", why, of=standing.word)
            return Carried([refused], f"{command.action} refused: {why}")
        try:
            done = self._carry_out(order)
        except _RefusedError as refusal:
            refused = self._answer(order, "refused", str(refusal))
            return Carried([refused], f"{command.action} refused: {refusal}")
        led_to = [
            one.id
            for one in done.events
            if isinstance(one, RetrainRequested)
            or (isinstance(one, VersionOrdered) and one.action == "rollback")
        ]
        outcome: CommandOutcome = "accepted" if led_to else "done"
        told = self._answer(order, outcome, done.detail, led_to, done.about)
        return Carried([*done.events, told], done.detail if done.tell else "", done.anew)

    def send(self, request: RetrainRequested, at: int) -> RetrainRequested:
        """A request goes out now: it is in flight, and nothing older waits any more."""
        self._pace.requested(request.id, at)
        self._approval.waiting = None
        self._voice.note("initial" if request.reason == "initial" else "sent", at, request.id)
        self.know(request.id)
        return request

    def know(self, request_id: str) -> None:
        """A request of the stream went out: it is its newest, and may be dismissed."""
        if not self._known.add(request_id):
            self._newest = request_id

    def _answer(
        self,
        order: Ordered,
        outcome: CommandOutcome,
        detail: str,
        led_to: Sequence[str] = (),
        about: str = "",
    ) -> CommandAnswered:
        found = answer(self._stream, self._name, order, outcome, detail, led_to, about)
        if order.command.id in self.memory:
            self._answers[order.command.id] = found
        return found

    def _carry_out(self, order: Ordered) -> _Done:
        if self.retired and order.command.action not in WHILE_RETIRED:
            raise _RefusedError("the stream is retired; send 'resume' first")
        match order.command.action:
            case "retrain":
                return self._retrain(order)
            case "approve":
                return self._approve(order)
            case "reject":
                return self._reject(order)
            case "snooze":
                return self._snooze(order)
            case "resume":
                return self._resume(order)
            case "pin":
                return self._pin(order)
            case "unpin":
                return self._unpin(order)
            case "rollback":
                return self._rollback(order)
            case "reset-reference":
                return self._reset(order)
            case "dismiss":
                return self._dismiss(order)
            case "retire":
                return self._retire(order)

    # Retrains

    def _retrain(self, order: Ordered) -> _Done:
        """An operator's retrain goes ahead whatever the policy says, but needs records."""
        if not order.training:
            raise _RefusedError(
                "no labelled records are known yet: send labels, or look at the dead letters"
            )
        self._versions.trusted_again()
        request = self.send(self._requests.command(order), order.event_time)
        text = f"retrain requested on {order.labelled} labelled records"
        return _Done(text, [request], request.id, tell=False)

    def _approve(self, order: Ordered) -> _Done:
        """What waits goes out as it was decided, with who let it."""
        request = self._approval.approved(order.command)
        if isinstance(request, str):
            raise _RefusedError(request)
        self._versions.trusted_again()
        self.send(request, order.event_time)
        return _Done(f"retrain approved by {said(order.command)}", [request], request.id)

    def _reject(self, order: Ordered) -> _Done:
        request = self._approval.rejected(order.command)
        if isinstance(request, str):
            raise _RefusedError(request)
        self._pace.rest(order.event_time)
        return _Done(f"retrain rejected by {said(order.command)}", about=request.id)

    def _dismiss(self, order: Ordered) -> _Done:
        """After the fact: nothing is undone, but it is counted."""
        command = order.command
        request_id = command.request_id or self._newest
        if not request_id:
            raise _RefusedError("the stream has no retrain to dismiss yet")
        waiting = self._approval.waiting
        if waiting is not None and waiting.id == request_id:
            raise _RefusedError(f"{request_id} still waits for approval; send 'reject'")
        incident = command.scope == incident_scope(request_id)
        if not incident and request_id not in self._known:
            newest = f"; the newest is {self._newest}" if self._newest else ""
            raise _RefusedError(
                f"{request_id} is none of the stream's last {REMEMBERED} retrain requests{newest}"
            )
        if self._false_alarms.add(request_id):
            raise _RefusedError(f"{request_id} was dismissed before")
        self.dismissed += not incident
        what = "incident" if incident else "retrain"
        after = "nothing is undone" if incident else "its version stays, unless you send 'rollback'"
        text = f"{what} {request_id} called a false alarm by {said(command)}; {after}"
        return _Done(text, about=request_id)

    # Versions

    def _pin(self, order: Ordered) -> _Done:
        why = self._versions.impossible(order)
        if why:
            raise _RefusedError(why)
        self._voice.note("withdrawn", order.event_time)
        events = self._versions.pin(order, self._pace.in_flight)
        version = order.command.version or self._versions.current(order) or ""
        text = f"{version or 'the stream'} pinned by {said(order.command)}"
        if any(isinstance(one, VersionOrdered) and one.action == "discard" for one in events):
            text += "; the training under way will be discarded"
        if self._versions.detail:
            text += f"; {self._versions.detail}"
        return _Done(text, events, version)

    def _unpin(self, order: Ordered) -> _Done:
        if not (self._versions.pinned or self._versions.held):
            return _Done("nothing was pinned, and no rollbacks hold retrains back", tell=False)
        what = "unpinned" if self._versions.pinned else "retrains by the policy allowed again"
        self._versions.unpin()
        return _Done(f"{what} by {said(order.command)}")

    def _rollback(self, order: Ordered) -> _Done:
        why = self._versions.impossible(order)
        if why:
            raise _RefusedError(why)
        events = self._versions.rollback(order)
        return _Done(self._versions.detail, events, order.command.version or "")

    # Watching

    def _snooze(self, order: Ordered) -> _Done:
        until = order.command.until
        if until is not None and until <= order.event_time:
            raise _RefusedError(
                f"--until {moment(until)} is not after the stream's event time "
                f"{moment(order.event_time)}"
            )
        self.snoozed_until = FOREVER if until is None else until
        self._voice.note("withdrawn", order.event_time)
        end = "'resume' is sent" if until is None else moment(until)
        return _Done(f"no retrains by the policy until {end}: {said(order.command)}")

    def _resume(self, order: Ordered) -> _Done:
        if self.retired:
            self.retired = False
            text = f"watched again, starting anew, by {said(order.command)}"
            return _Done(text, anew=True)
        if not self.snoozed(order.event_time):
            raise _RefusedError("the stream is neither snoozed nor retired")
        self.snoozed_until = None
        return _Done(f"snooze ended by {said(order.command)}")

    def _reset(self, order: Ordered) -> _Done:
        """What waits was decided against the old references."""
        self._withdraw(order)
        text = f"references begin anew with the next window: {said(order.command)}"
        return _Done(text, anew=True)

    def _retire(self, order: Ordered) -> _Done:
        self._withdraw(order)
        self.retired, self.snoozed_until = True, None
        text = f"retired by {said(order.command)}; its records are skipped until 'resume'"
        return _Done(text, anew=True)

    def _withdraw(self, order: Ordered) -> None:
        self._approval.waiting = None
        self._voice.note("withdrawn", order.event_time)

    def snoozed(self, now: int) -> bool:
        """Whether the policy's retrains are off at this event time, ms."""
        return self.snoozed_until is not None and now < self.snoozed_until
