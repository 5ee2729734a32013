"""Step *track*: joins, losses, detectors, the online correction, windows."""

from __future__ import annotations

from typing import Any

import structlog

from driftloop.detection.outputs import Clock, Output, StateChanged
from driftloop.detection.stream import StreamTracker
from driftloop.monitor import metrics
from driftloop.monitor.decode import refused
from driftloop.monitor.items import Control, Life, Records, Tracked, TrackItem
from driftloop.monitor.stateful import StreamLogic

_DENIED = "not allowed; the right Read on topic {} is missing: grant it, and reading goes on"
_log = structlog.get_logger(__name__)


class TrackLogic(StreamLogic):
    """One stream's `StreamTracker`."""

    step = "track"
    inherits = True

    def make(self, item: TrackItem) -> StreamTracker:
        """A stream that knows nothing yet."""
        return StreamTracker(item.name.topic, self.settings.profiles[item.name.profile])

    def inherit(self, state: StreamTracker, before: StreamTracker) -> None:
        """No command is carried out twice, whatever became of the stream's state."""
        state.commands = before.commands

    def handle(self, state: StreamTracker, item: TrackItem) -> tuple[list[Any], bool]:
        """Records, control events and the topic's life, in the order in which they came."""
        outputs: list[Output] = []
        gone = False
        if isinstance(item, Records):
            why = refused(state.profile, item.partitions)
            if not why:
                before, late = state.newest_ts, state.late
                outputs = state.records(item.rows, item.partitions, item.dead_letters)
                metrics.LATE.inc(max(state.late - late, 0))
                self._tell_clock(state, before, outputs)
            elif not state.refused:
                state.refused = True
                _log.error("monitor.stream_refused", stream=item.name.stream, reason=why)
                outputs = state.state("refused", why)
        elif isinstance(item, Control):
            outputs = state.control(item.event)
        elif isinstance(item, Life):
            outputs, gone = self._live(state, item)
        return [Tracked(item.name, output) for output in outputs], gone

    @staticmethod
    def _tell_clock(state: StreamTracker, before: float | None, outputs: list[Output]) -> None:
        """Tell the fleet once a step of event time how far the stream is."""
        now, step = state.newest_ts, state.profile.fleet.clock_ms
        if now is not None and (before is None or now // step > before // step):
            outputs.append(Clock(int(now)))

    @staticmethod
    def _live(state: StreamTracker, item: Life) -> tuple[list[Output], bool]:
        if item.kind == "deleted":
            return state.state("retired"), True
        if item.kind == "recreated":
            over = state.state("recreated")[:-1]
            return [*over, StateChanged("recreated", None, None)], True
        if state.refused:  # which no silence ends
            return [], False
        if item.kind == "denied":
            return state.state("refused", _DENIED.format(item.name.topic)), False
        return state.state(item.kind), False
