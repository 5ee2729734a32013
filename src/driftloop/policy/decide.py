"""The decision: what follows from a stream's evidence, and from an operator's commands."""

from __future__ import annotations

import math

import msgspec

from driftloop.detection.outputs import (
    Alarm,
    Clock,
    Closed,
    Counters,
    FeatureWindow,
    InitialDue,
    LossWindow,
    Ordered,
    Output,
    StateChanged,
    TrialVerdict,
    VersionChanged,
)
from driftloop.messages import (
    CandidateTrained,
    Event,
    ModelPublished,
    StreamStatus,
    TrainingFinished,
    event_id,
)
from driftloop.messages.events import State
from driftloop.policy.approval import Approval
from driftloop.policy.commands import CommandDesk
from driftloop.policy.evidence import alarm_evidence, window_evidence
from driftloop.policy.fleet_items import FleetItem
from driftloop.policy.fleet_voice import FleetVoice, decision_p
from driftloop.policy.ledger import Ledger
from driftloop.policy.pace import Pace
from driftloop.policy.requests import Requests
from driftloop.policy.tested import Tested
from driftloop.policy.versions import Versions
from driftloop.settings import Profile

NO_MODEL = "no model: set training.initial, or send a retrain command"
"""What the status of a stream tells that has labelled records and no predictions."""

ROLLBACKS = frozenset({"rolled-back", "rollback-failed"})
"""Reasons by which the outcome of a rollback is told from that of a training."""

LIFECYCLE: dict[str, State] = {"silent": "silent", "retired": "retired", "refused": "refused"}
"""States that the topic itself is in."""


class StreamDecider:
    """Decisions on one stream, and its status.

    Where the fleet waits (`Fleet.waits`) and no person approves, the stream only proposes:
    cool-down and requests in flight are the fleet's, which alone knows what was sent.

    Args:
        stream: Its id.
        name: Name of its profile.
        profile: The profile.
    """

    def __init__(self, stream: str, name: str, profile: Profile) -> None:
        self.stream = stream
        self.name = name
        self.profile = profile
        self._hash = profile.hash
        self._requests = Requests(stream, name, profile)
        self._pace = Pace(profile.policy)
        self._approval = Approval()
        self._voice = FleetVoice(stream, profile)
        self._versions = Versions(stream, name, profile)
        self._desk = CommandDesk(
            stream,
            name,
            requests=self._requests,
            pace=self._pace,
            approval=self._approval,
            voice=self._voice,
            versions=self._versions,
        )
        self._version: str | None = None
        self._windows = 0
        self._watched = False
        self._lifecycle: str | None = None
        self._metrics: dict[str, float | None] = {}
        self._counters = Counters()
        self._event_time: int | None = None
        self._detail = ""

    def inherit(self, before: StreamDecider) -> None:
        """Take over which commands were given to a decider of this stream before."""
        self._desk.memory = before._desk.memory

    def decide(self, item: Tested | Output) -> list[Event]:
        """Events that follow from what the stream's tests put out, in the order to be sent.

        What the fleet has to know of it is in `for_fleet` until the next call.
        """
        self._voice.begin()
        if isinstance(item, Tested):
            return self._tested(item)
        if isinstance(item, Alarm):
            self._event_time = max(self._event_time or 0, item.ts)
            return [alarm_evidence(item, **self._names())]
        if isinstance(item, VersionChanged):
            self._new_version(item.version)
            return [self._status()]
        if isinstance(item, Ordered):
            return self._ordered(item)
        if isinstance(item, InitialDue):
            return self._initial(item)
        if isinstance(item, StateChanged):
            return self._state_changed(item)
        if isinstance(item, TrainingFinished):
            return self._finished(item)
        if isinstance(item, ModelPublished | CandidateTrained | TrialVerdict):
            return self._on_versions(item)
        if isinstance(item, Clock):
            self._voice.clock(item.ts)
        return []

    @property
    def for_fleet(self) -> list[FleetItem]:
        """What the fleet has to know of the last item that was decided on."""
        return self._voice.items

    def _names(self) -> dict[str, str]:
        return {"stream": self.stream, "profile": self.name, "profile_hash": self._hash}

    def _on_versions(self, item: ModelPublished | CandidateTrained | TrialVerdict) -> list[Event]:
        """News of versions, with the status that they change."""
        now, before = self._event_time or 0, self._versions.trial
        if isinstance(item, ModelPublished):
            out = self._versions.published(item, now)
        elif isinstance(item, CandidateTrained):
            self._pace.on_trial(item.request_id)
            out = self._versions.candidate(item, now)
        else:
            out = self._versions.verdict(item)
            self._detail = self._versions.detail or self._detail
        return [*out, self._status()] if out or self._versions.trial != before else []

    def _finished(self, event: TrainingFinished) -> list[Event]:
        """The outcome of a training is known: it ends the wait, and becomes part of the status."""
        self._versions.finished(event.request_id)
        if event.reason in ROLLBACKS:
            self._detail = f"{event.reason}: {event.detail}"
            return [self._status()]
        self._desk.know(event.request_id)
        if not self._pace.settle(event.request_id) and self._voice.proposes:
            self._pace.sent_by_fleet(self._event_time or 0)
        self._voice.note("settled", self._event_time or 0, event.request_id)
        if event.outcome == "superseded" and self._detail:
            return [self._status()]  # what took its place may have ended before, and is told
        text = f"last training {event.outcome}"
        self._detail = f"{text}: {event.detail}" if event.detail else text
        return [self._status()]

    # Windows

    def _tested(self, tested: Tested) -> list[Event]:
        window = tested.window
        self._event_time = max(self._event_time or 0, window.closed_at)
        self._pace.see(window)
        if isinstance(window, LossWindow):
            self._windows += 1
            self._counters = window.counters
            self._metrics = tested.metrics
        else:
            if isinstance(window, FeatureWindow):
                self._counters = window.counters
            self._watched = tested.shifted
        out: list[Event] = []
        decision = self._judge(tested, out)
        if decision == "none" and tested.shifted:
            decision = "watch"
        return [*out, window_evidence(tested, decision, **self._names()), self._status()]

    def _judge(self, tested: Tested, out: list[Event]) -> str:
        """What the window comes to; a request that goes out at once is added to `out`."""
        window = tested.window
        due = self._pace.scheduled(window)
        p_value, e_value = decision_p(tested, self.profile.policy)
        by_p = self._voice.by_p and not math.isnan(p_value)  # the fleet alone sets the level
        asked = tested.retrain or due is not None
        if by_p:
            asked = self._voice.may_reject(p_value, e_value)
        verdict = self._verdict(window) if asked or by_p else "none"
        request = None
        if asked and verdict == "retrain":
            request = self._requests.policy(tested, due)
        if verdict != "retrain":
            p_value = e_value = math.nan
        if isinstance(window, LossWindow) or request is not None:
            proposes = self._voice.proposes and not self._versions.held
            proposed = request if proposes else None
            self._voice.window(window, self._metrics.get("loss"), p_value, e_value, proposed)
        if request is None:
            return "none" if not asked else verdict
        if self._voice.proposes and not self._versions.held:
            return "fleet"
        if self.profile.policy.approval or self._versions.held:
            self._approval.waiting = request
            return "awaiting-approval"
        out.append(self._desk.send(request, window.closed_at))
        return "retrain"

    def _verdict(self, window: Closed) -> str:
        """Whether a retrain that is asked for goes ahead, or what holds it back."""
        if self.profile.policy.kind == "never":
            return "none"
        if self._versions.pinned:
            return "pinned"
        if self._desk.snoozed(window.closed_at):
            return "snoozed"
        if not self._voice.proposes:
            if self._pace.waiting(window.closed_at):
                return "in-flight"
            if self._pace.cooling(window.closed_at):
                return "cool-down"
        return "retrain" if self._pace.warm(window) else "too-few-records"

    def _new_version(self, version: str | None) -> None:
        self._version = version
        self._pace.new_version(self._event_time)
        self._approval.waiting = None  # it was decided on another version's losses
        self._watched = False
        self._metrics = {}
        self._voice.note("version", self._event_time or 0)

    # Commands and life

    def _ordered(self, order: Ordered) -> list[Event]:
        self._counters = order.counters
        carried = self._desk.take(order)
        self._detail = carried.detail or self._detail
        if carried.anew:
            self._pace.begin_anew()
            self._watched = False
            self._metrics = {}
        return [*carried.events, self._status()]

    def _initial(self, due: InitialDue) -> list[Event]:
        self._counters = due.counters
        self._event_time = max(self._event_time or 0, due.event_time)
        if self._versions.pinned or not due.training:
            return [self._status()]
        request = self._requests.initial(due)
        return [self._desk.send(request, due.event_time), self._status()]

    def _state_changed(self, change: StateChanged) -> list[Event]:
        self._lifecycle = change.state if change.state in LIFECYCLE else None
        if change.state in {"retired", "recreated"}:
            self._voice.note("gone", self._event_time or 0)
        if change.detail:
            self._detail = change.detail
        self._counters = change.counters
        return [self._status()]

    # Status

    @property
    def state(self) -> State:
        """What the stream is in; what a person should know first wins."""
        if self._desk.retired:
            return "retired"
        if self._lifecycle is not None:
            return LIFECYCLE[self._lifecycle]
        if self._approval.waiting is not None:
            return "awaiting-approval"
        if self._versions.pinned:
            return "pinned"
        if self._desk.snoozed(self._event_time or 0):
            return "snoozed"
        if not self._windows or not self._pace.warm():
            return "warming-up"
        return "watched" if self._watched else "monitoring"

    def _lacks_model(self) -> bool:
        """Labelled records come, but nobody predicts them and no first model is on its way."""
        wanted = self.profile.training.initial
        predicted = self._version is not None or self._counters.losses > 0
        return bool(self._windows) and not (wanted or predicted or self._pace.count)

    def _told(self) -> str:
        """A word for the engineer."""
        told = self._approval.detail or self._detail or (NO_MODEL if self._lacks_model() else "")
        return "; ".join(part for part in (told, self._versions.warning) if part)

    def _status(self) -> StreamStatus:
        counters = {name: getattr(self._counters, name) for name in Counters.__slots__}
        metrics = self._metrics
        status = StreamStatus(
            id="",
            stream=self.stream,
            profile=self.name,
            state=self.state,
            model_version=self._version,
            event_time=self._event_time,
            windows=self._windows,
            retrains=self._pace.count,
            detail=self._told(),
            loss=metrics.get("loss"),
            corrected_loss=metrics.get("corrected_loss"),
            reference_loss=metrics.get("reference_loss"),
            baseline_loss=metrics.get("baseline_loss"),
            accumulated=metrics.get("accumulated"),
            threshold=metrics.get("threshold"),
            trial=self._versions.trial,
            dismissed=self._desk.dismissed,
            **{name: getattr(self._versions.ledger, name) for name in Ledger.__slots__},
            **counters,
        )
        identity = event_id(
            self.stream, self._hash, "status", (msgspec.json.encode(status).decode(),)
        )
        return msgspec.structs.replace(status, id=identity)
