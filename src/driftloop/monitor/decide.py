"""Step *decide*: events and news for the fleet that follow from a stream's evidence and life."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog

from driftloop.detection.outputs import StateChanged
from driftloop.detection.stream import GONE
from driftloop.messages import Event, RetrainRequested, VersionOrdered
from driftloop.monitor import metrics
from driftloop.monitor.items import ForFleet, Judged
from driftloop.monitor.stateful import StreamLogic
from driftloop.policy import StreamDecider

_log = structlog.get_logger(__name__)


def log_requests(events: Iterable[Event]) -> None:
    """Count and log the few decisions that matter."""
    for event in events:
        if isinstance(event, RetrainRequested):
            metrics.RETRAINS.labels(event.profile, event.reason).inc()
            _log.info(
                "monitor.retrain_requested",
                stream=event.stream,
                event_id=event.id,
                reason=event.reason,
                policy=event.policy,
                version=event.current_version,
            )
        elif isinstance(event, VersionOrdered):
            _log.info(
                "monitor.version_ordered",
                stream=event.stream,
                event_id=event.id,
                request_id=event.request_id,
                action=event.action,
                reason=event.reason,
                version=event.version,
            )


class DecideLogic(StreamLogic):
    """One stream's `StreamDecider`."""

    step = "decide"
    inherits = True

    def make(self, item: Judged) -> StreamDecider:
        """Nothing decided yet."""
        profile = self.settings.profiles[item.name.profile]
        return StreamDecider(item.name.stream, item.name.profile, profile)

    def inherit(self, state: StreamDecider, before: StreamDecider) -> None:
        """No command is carried out twice, whatever became of the stream's state."""
        state.inherit(before)

    def handle(self, state: StreamDecider, item: Judged) -> tuple[list[Any], bool]:
        """Decide; what the fleet has to know goes along, behind the events."""
        gone = isinstance(item.item, StateChanged) and item.item.state in GONE
        if isinstance(item.item, StateChanged) and item.item.state == "recreated":
            state = self.make(item)  # its first status is that of a new stream
        events = state.decide(item.item)
        log_requests(events)
        return [*events, *(ForFleet(item.name, one) for one in state.for_fleet)], gone
