"""Step *referee*: two versions on the same live records, for streams that have a trial."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import structlog

from driftloop.detection.outputs import TrialPiece
from driftloop.monitor import metrics
from driftloop.monitor.artifacts import Artifacts
from driftloop.monitor.items import Judged, StreamName, Tracked
from driftloop.monitor.stateful import Snapshot, StreamLogic
from driftloop.settings import Settings
from driftloop.trials import Referee

WAKE = timedelta(milliseconds=50)
"""After which a trial looks again for its artifact."""

_log = structlog.get_logger(__name__)


class Held(NamedTuple):
    """A stream's trials, and whose they are: known again before any record comes."""

    name: StreamName
    referee: Referee


class RefereeLogic(StreamLogic):
    """One stream's `Referee`; there is none while nothing is on trial.

    Args:
        settings: The whole configuration.
        resume: State of a run before, or None.
        artifacts: Of this process.
    """

    step = "referee"

    def __init__(self, settings: Settings, resume: Snapshot | None, artifacts: Artifacts) -> None:
        super().__init__(settings, resume)
        self._artifacts = artifacts

    def make(self, item: Tracked) -> Held:
        """No trials yet."""
        return Held(item.name, Referee(self.settings.profiles[item.name.profile]))

    def handle(self, state: Held, item: Tracked) -> tuple[list[Any], bool]:
        """Take a piece, and compare what can be compared."""
        assert isinstance(item.output, TrialPiece)  # noqa: S101  # for the type checker
        state.referee.take(item.output)
        return self._advance(state), not state.referee

    def on_notify(self) -> tuple[list[Any], bool]:
        """An artifact may be there now."""
        state = self._held()
        if state is None:
            return [], self.DISCARD
        try:
            out = self._advance(state)
        except Exception:  # noqa: BLE001  # logged whole; other streams must go on
            metrics.FAILURES.labels(self.step).inc()
            _log.exception("monitor.stream_failed", stream=state.name.stream, step=self.step)
            return [], self.DISCARD
        return out, not state.referee

    def notify_at(self) -> datetime | None:
        """Soon, while a trial waits for its artifact."""
        state = self._held()
        waits = state is not None and state.referee.wanted()
        return datetime.now(UTC) + WAKE if waits else None

    def _held(self) -> Held | None:
        """The state, taken up from the snapshot where no record did that yet."""
        if self._state is None and self._resume is not None and self._resume.state:
            # Our own bytes from our own recovery store, never from Kafka.
            held: Held = pickle.loads(self._resume.state)  # noqa: S301
            if held.name.profile in self.settings.profiles:
                self._ensure(Tracked(held.name, None))  # type: ignore[arg-type]  # the name counts
        state: Held | None = self._state
        return state

    def _advance(self, state: Held) -> list[Judged]:
        profile = self.settings.profiles[state.name.profile]
        verdicts = state.referee.advance(lambda trial: self._artifacts.ask(trial, profile))
        for one in verdicts:
            metrics.TRIALS.labels(one.trial.kind, one.verdict).inc()
            _log.info(
                "monitor.trial_ended",
                stream=state.name.stream,
                request_id=one.trial.request_id,
                kind=one.trial.kind,
                version=one.trial.version,
                against=one.trial.against,
                verdict=one.verdict,
                records=one.records,
                difference=one.metrics.get("difference"),
                detail=one.detail,
            )
        return [Judged(state.name, one) for one in verdicts]


def is_for_referee(item: tuple[str, Tracked]) -> bool:
    """Whether what a tracker put out belongs to a trial."""
    return isinstance(item[1].output, TrialPiece)
