"""The decision: what follows from a stream's evidence, and from an operator's commands."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from driftloop.detection.outputs import (
    Alarm,
    Closed,
    Counters,
    FeatureWindow,
    InitialDue,
    LossWindow,
    Ordered,
    Output,
    StateChanged,
    VersionChanged,
)
from driftloop.messages import (
    Event,
    Evidence,
    Ground,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    event_id,
)
from driftloop.messages.events import State
from driftloop.policy.criteria import Tested
from driftloop.settings import Profile
from driftloop.settings.base import milliseconds

NO_MODEL = "no model: set training.initial, or send a retrain command"
"""What the status of a stream tells that has labelled records and no predictions."""

FOREVER = 2**62
"""End of a snooze without an end, ms."""

LIFECYCLE: dict[str, State] = {"silent": "silent", "retired": "retired", "refused": "refused"}
"""States that the topic itself is in."""


class StreamDecider:
    """Decisions on one stream, and its status.

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
        self._version: str | None = None
        self._version_since: int | None = None
        self._losses_of_version = 0
        self._last_request: int | None = None
        self._in_flight: str | None = None
        self._requests = 0
        self._windows = 0
        self._pinned = False
        self._snoozed_until: int | None = None
        self._watched = False
        self._lifecycle: str | None = None
        self._metrics: dict[str, float | None] = {}
        self._counters = Counters()
        self._event_time: int | None = None
        self._detail = ""

    def decide(self, item: Tested | Output) -> list[Event]:
        """Events that follow from what the stream's tests put out, in the order to be sent."""
        if isinstance(item, Tested):
            return self._tested(item)
        if isinstance(item, Alarm):
            return [self._alarm(item)]
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
        return []

    def _finished(self, event: TrainingFinished) -> list[Event]:
        """The outcome of a training is known: it ends the wait, and becomes part of the status."""
        if event.request_id == self._in_flight:
            self._in_flight = None
        text = f"last training {event.outcome}"
        self._detail = f"{text}: {event.detail}" if event.detail else text
        return [self._status()]

    # Windows

    def _tested(self, tested: Tested) -> list[Event]:
        window = tested.window
        self._event_time = max(self._event_time or 0, window.closed_at)
        decision = "none"
        out: list[Event] = []
        if isinstance(window, LossWindow):
            self._windows += 1
            self._counters = window.counters
            self._losses_of_version += int((~np.isnan(window.losses)).sum())
            self._metrics = tested.metrics
            if self._version_since is None:
                self._version_since = window.opened_at
            asked = tested.retrain or self._period_over(window)
            decision = self._verdict(window) if asked else "none"
            if decision == "retrain":
                out.append(
                    self._request(
                        event_id(self.stream, self._hash, "retrain", _place(window)),
                        "policy",
                        tested.results,
                        window.training,
                        version=window.version,
                        decided_at=window.closed_at,
                        priority=tested.saving,
                    )
                )
        else:
            if isinstance(window, FeatureWindow):
                self._counters = window.counters
            self._watched = tested.shifted
            decision = "watch" if tested.shifted else "none"
        out.append(
            Evidence(
                id=event_id(self.stream, self._hash, f"evidence-{tested.kind}", _place(window)),
                stream=self.stream,
                profile=self.name,
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
        )
        out.append(self._status())
        return out

    def _period_over(self, window: LossWindow) -> bool:
        policy = self.profile.policy
        if policy.kind != "periodic" or policy.every is None:
            return False
        since = max(self._last_request or 0, self._version_since or 0)
        return window.closed_at - since >= milliseconds(policy.every)

    def _verdict(self, window: LossWindow) -> str:
        """Whether a retrain that the criterion asks for goes ahead, or what holds it back."""
        if self.profile.policy.kind == "never":
            return "none"
        if self._pinned:
            return "pinned"
        if self._snoozed_until is not None and window.closed_at < self._snoozed_until:
            return "snoozed"
        if self._waiting(window.closed_at):
            return "in-flight"
        if self._cooling(window.closed_at):
            return "cool-down"
        if self._losses_of_version < self.profile.policy.min_records:
            return "too-few-records"
        return "retrain"

    def _waiting(self, now: int) -> bool:
        """The last request has neither an outcome nor a new version yet."""
        if self._in_flight is None or self._last_request is None:
            return False
        return now - self._last_request <= milliseconds(self.profile.policy.outcome_timeout)

    def _cooling(self, now: int) -> bool:
        """No second request until the cool-down is over; at least one window lies between two."""
        if self._last_request is None:
            return False
        return now - self._last_request <= milliseconds(self.profile.policy.cooldown)

    def _request(
        self,
        identity: str,
        reason: Literal["policy", "command", "initial"],
        grounds: list[Ground],
        data: list[str],
        *,
        version: str | None,
        decided_at: int,
        priority: float = 0.0,
    ) -> RetrainRequested:
        """A request, which is from now on in flight."""
        self._last_request = decided_at
        self._in_flight = identity
        self._requests += 1
        return RetrainRequested(
            id=identity,
            stream=self.stream,
            profile=self.name,
            profile_hash=self._hash,
            reason=reason,
            policy=self.profile.policy.kind,
            grounds=grounds,
            data=data,
            current_version=version,
            decided_at=decided_at,
            priority=priority,
        )

    def _alarm(self, alarm: Alarm) -> Evidence:
        self._event_time = max(self._event_time or 0, alarm.ts)
        ground = Ground(
            criterion=alarm.detector,
            family="loss",
            statistic=alarm.value,
            rejected=True,
            n=1,
            window=[alarm.range],
            detail="the mean loss has changed; the statistic is the loss of the record",
        )
        return Evidence(
            id=event_id(
                self.stream, self._hash, f"alarm-{alarm.detector}", (alarm.ts, alarm.range)
            ),
            stream=self.stream,
            profile=self.name,
            kind="alarm",
            opened_at=alarm.ts,
            closed_at=alarm.ts,
            window=[alarm.range],
            records=1,
            model_version=alarm.version,
            results=[ground],
            metrics={"loss": alarm.value},
        )

    def _new_version(self, version: str | None) -> None:
        self._version = version
        self._in_flight = None
        self._version_since = self._event_time
        self._losses_of_version = 0
        self._watched = False
        self._metrics = {}

    # Commands and life

    def _ordered(self, order: Ordered) -> list[Event]:
        command = order.command
        self._counters = order.counters
        if command.action == "snooze":
            self._snoozed_until = FOREVER if command.until is None else command.until
        elif command.action in {"pin", "unpin"}:
            self._pinned = command.action == "pin"
        elif command.action == "retrain":
            return self._order_retrain(order)
        return [self._status()]

    def _order_retrain(self, order: Ordered) -> list[Event]:
        """An operator's retrain goes ahead whatever the policy says, but needs records."""
        command = order.command
        if not order.training:
            self._detail = "a retrain was commanded, but no labelled records are known yet"
            return [self._status()]
        ground = Ground(
            criterion="command",
            family="command",
            rejected=True,
            n=order.labelled,
            window=order.training,
            detail=f"{command.who}: {command.why}",
        )
        request = self._request(
            event_id(self.stream, self._hash, "retrain-command", (command.id,)),
            "command",
            [ground],
            order.training,
            version=order.version,
            decided_at=order.event_time,
        )
        return [request, self._status()]

    def _initial(self, due: InitialDue) -> list[Event]:
        self._counters = due.counters
        self._event_time = max(self._event_time or 0, due.event_time)
        if self._pinned or not due.training:
            return [self._status()]
        ground = Ground(
            criterion="no-model",
            family="command",
            rejected=True,
            n=due.labelled,
            window=due.training,
            detail="the stream has labelled records and no model yet",
        )
        request = self._request(
            event_id(self.stream, self._hash, "retrain-initial", (due.event_time, *due.training)),
            "initial",
            [ground],
            due.training,
            version=None,
            decided_at=due.event_time,
        )
        return [request, self._status()]

    def _state_changed(self, change: StateChanged) -> list[Event]:
        self._lifecycle = change.state if change.state in LIFECYCLE else None
        if change.detail:
            self._detail = change.detail
        self._counters = change.counters
        return [self._status()]

    # Status

    @property
    def state(self) -> State:
        """What the stream is in; what a person should know first wins."""
        if self._lifecycle is not None:
            return LIFECYCLE[self._lifecycle]
        if self._pinned:
            return "pinned"
        now = self._event_time or 0
        if self._snoozed_until is not None and now < self._snoozed_until:
            return "snoozed"
        if not self._windows or self._losses_of_version < self.profile.policy.min_records:
            return "warming-up"
        return "watched" if self._watched else "monitoring"

    def _lacks_model(self) -> bool:
        """Labelled records come, but nobody predicts them and no first model is on its way."""
        wanted = self.profile.training.initial
        predicted = self._version is not None or self._counters.losses > 0
        return bool(self._windows) and not (wanted or predicted or self._requests)

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
            retrains=self._requests,
            detail=self._detail or (NO_MODEL if self._lacks_model() else ""),
            loss=metrics.get("loss"),
            corrected_loss=metrics.get("corrected_loss"),
            reference_loss=metrics.get("reference_loss"),
            accumulated=metrics.get("accumulated"),
            threshold=metrics.get("threshold"),
            **counters,
        )
        identity = event_id(
            self.stream, self._hash, "status", (msgspec.json.encode(status).decode(),)
        )
        return msgspec.structs.replace(status, id=identity)


def _place(window: Closed) -> tuple[object, ...]:
    """What tells a window from all others, also from those of an earlier topic of that name."""
    return (window.index, window.opened_at, window.closed_at, *window.ranges)


def _records(tested: Tested) -> int:
    window = tested.window
    return len(window.losses) if isinstance(window, LossWindow) else len(getattr(window, "x", ()))
