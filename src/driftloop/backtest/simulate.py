"""One stream under one policy: its history replayed through the monitor's own code.

Each record is predicted by the model of that time before the monitor sees it (prequential), and a
retrain decided at a record predicts from the next one on, or from the first one that comes a given
latency later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftloop.backtest.delay import Arrivals
from driftloop.backtest.outcome import Decision
from driftloop.detection.outputs import Output
from driftloop.detection.stream import StreamTracker
from driftloop.messages import (
    Event,
    ModelPublished,
    OffsetRange,
    RetrainRequested,
    TrainingFinished,
)
from driftloop.models import ModelArtifact, predict
from driftloop.policy import StreamDecider, StreamTester
from driftloop.records import Columns, join
from driftloop.records.columns import Floats
from driftloop.settings import CycleWindow, Profile
from driftloop.settings.base import milliseconds

CHUNK = 512
"""Records given to the monitor's code at a time, at most; it may not matter to any decision."""

AHEAD = 2048
"""Records predicted at a time."""


@dataclass(slots=True)
class _Waiting:
    """A version that predicts from an event time on."""

    at: float
    finished: TrainingFinished
    published: ModelPublished | None
    artifact: ModelArtifact | None = field(default=None)


class Simulation:
    """A stream under a policy.

    Args:
        stream: Its id; also the name of its topic.
        name: Name of the profile, as the events carry it.
        profile: With the policy.
        arrivals: Its records.
        latency_ms: Event time from a decision to the first prediction of its model, ≥ 0.
        recorded: Take the predictions that the records carry; nothing is trained.
        partitions: How many partitions the stream has.

    Attributes:
        decisions: Every retrain that was decided, in order.
        predictions: Of each arrival, (m,) or (m, classes); nan where there was no model.
        current: The version that predicts, or None.
        sequence: Its number.
    """

    def __init__(
        self,
        stream: str,
        name: str,
        profile: Profile,
        arrivals: Arrivals,
        *,
        latency_ms: float = 0.0,
        recorded: bool = False,
        partitions: int = 1,
    ) -> None:
        self.stream = stream
        self.profile = profile
        self.decisions: list[Decision] = []
        self.current: ModelPublished | None = None
        self.sequence = 0
        columns = arrivals.columns
        self._rows = columns
        self._recorded = recorded
        self._partitions = partitions
        self.predictions = columns.y_pred if recorded else np.full_like(columns.y_pred, np.nan)
        self._latency = latency_ms
        self._tracker = StreamTracker(stream, profile)
        self._tester = StreamTester(profile)
        self._decider = StreamDecider(stream, name, profile)
        self._artifact: ModelArtifact | None = None
        self._predicted = 0  # arrivals before this one have a prediction
        self._position = 0
        self._ends = _chunk_ends(profile, columns, partitions)
        self._waiting: _Waiting | None = None

    @property
    def position(self) -> int:
        """Arrivals that are done."""
        return self._position

    def run(self) -> Iterator[RetrainRequested]:
        """Go through the arrivals; stops at each retrain request until `answer` was called.

        Where predictions are recorded nobody answers, and it goes on.
        """
        n = len(self._rows)
        while self._position < n:
            self._install()
            start, end = self._position, self._next_end()
            if not self._recorded:
                end = self._predict(start, end)
            outputs = self._track(self._chunk(start, end))
            self._position = end
            yield from self._decide(outputs)

    def _track(self, rows: Columns) -> list[Output]:
        """Give records to the tracker, those of one partition at a time."""
        if self._partitions == 1:
            return self._tracker.records(rows)
        return [
            output
            for partition in np.unique(rows.partitions).tolist()
            for output in self._tracker.records(
                rows.select(rows.partitions == partition), self._partitions
            )
        ]

    def _decide(self, outputs: Sequence[Output]) -> Iterator[RetrainRequested]:
        for output in outputs:
            events: list[Event] = self._decider.decide(self._tester.test(output))
            for event in events:
                if isinstance(event, RetrainRequested):
                    self.decisions.append(Decision(event))
                    yield event

    def training_records(self, request: RetrainRequested) -> Columns:
        """Labelled records of a request, ordered by completion, as the trainer would load them."""
        rows = self._rows.select(slice(0, self._position))
        named = np.zeros(len(rows), np.bool_)
        for text in request.data:
            one = OffsetRange.parse(text)
            within = (rows.offsets >= one.first) & (rows.offsets <= one.last)
            named |= within & (rows.partitions == one.partition)
        return join(rows.select(named))

    def answer(
        self,
        finished: TrainingFinished,
        published: ModelPublished | None,
        artifact: ModelArtifact | None,
    ) -> None:
        """Take the outcome of the last request."""
        decision = self.decisions[-1]
        decision.outcome, decision.detail = finished.outcome, finished.detail
        if finished.cost is not None:
            decision.seconds, decision.records = finished.cost.seconds, finished.cost.records
        # Of a window by cycles `decided_at` is its last record; it closes when lateness is over.
        now = max(float(decision.request.decided_at), float(self._rows.ts[self._position - 1]))
        at = now + self._latency if self._latency else -np.inf
        self._waiting = _Waiting(at, finished, published, artifact)

    def _install(self) -> None:
        """Let an outcome be known where its time has come."""
        waiting = self._waiting
        if waiting is None or self._rows.ts[self._position] < waiting.at:
            return
        self._waiting = None
        outputs = self._tracker.control(waiting.finished)
        if waiting.published is not None:
            self._artifact = waiting.artifact
            self.current = waiting.published
            self.sequence = waiting.published.sequence
            self._predicted = self._position
            outputs += self._tracker.control(waiting.published)
        for output in outputs:
            self._decider.decide(self._tester.test(output))

    def _next_end(self) -> int:
        """End of the next chunk: none of its records but the last may lead to a decision."""
        start = self._position
        room = self._tracker.room
        if self._partitions > 1 and self.current is None:
            room = 1  # one record may let go of many that were held, which call for a first model
        end = min(start + min(CHUNK, room), len(self._rows))
        if len(self._ends):
            k = int(np.searchsorted(self._ends, start, side="right"))
            if k < len(self._ends):
                end = min(end, int(self._ends[k]))
        if self._waiting is not None:
            due = np.flatnonzero(self._rows.ts[start:end] >= self._waiting.at)
            if len(due) and due[0] > 0:
                end = start + int(due[0])
        return end

    def _predict(self, start: int, end: int) -> int:
        """Predict records up to `end`, some ahead while the model stays."""
        artifact = self._artifact
        if artifact is None:
            return end
        if end > self._predicted:
            first, last = max(start, self._predicted), min(max(end, start + AHEAD), len(self._rows))
            rows = self._rows.select(slice(first, last))
            predicted = predict(artifact, rows.x, rows.categories, rows.feature_times)
            predicted[~rows.has_features] = np.nan
            self.predictions[first:last] = predicted
            self._predicted = last
        return end

    def _chunk(self, start: int, end: int) -> Columns:
        rows = self._rows.select(slice(start, end))
        if self._recorded:
            return rows
        rows.y_pred = self.predictions[start:end]
        version = None if self.current is None else self.current.version
        has = ~np.isnan(rows.y_pred if rows.y_pred.ndim == 1 else rows.y_pred[:, 0])
        rows.versions = [version if found else None for found in has.tolist()]
        return rows


def _chunk_ends(
    profile: Profile, columns: Columns, partitions: int
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Places right after the records that close windows by cycles; empty for windows by count."""
    window = profile.window
    if not isinstance(window, CycleWindow) or not len(columns):
        return np.empty(0, np.intp)
    lateness = milliseconds(window.lateness)
    if partitions > 1:
        reached = _released(columns, partitions, lateness)
    else:
        reached = np.maximum.accumulate(columns.ts) - lateness
    passed = np.floor(reached / milliseconds(window.length))
    return np.flatnonzero(passed[1:] > passed[:-1]) + 2


def _released(columns: Columns, partitions: int, lateness: float) -> Floats:
    """The newest event time that a `PartitionMerger` has let go after each record, (n,)."""
    passed = np.full(len(columns), np.inf)
    on_time = np.zeros(len(columns), np.bool_)
    for partition in range(partitions):
        own = columns.partitions == partition
        newest = np.maximum.accumulate(np.where(own, columns.ts, -np.inf))
        before = np.concatenate([[-np.inf], newest[:-1]])
        on_time |= own & (columns.ts >= before - lateness)
        passed = np.minimum(passed, newest)
    times = np.sort(columns.ts[on_time])
    index = np.searchsorted(times, passed - lateness, side="left")  # of the first not let go
    return np.where(index > 0, times[np.maximum(index - 1, 0)], -np.inf)


__all__ = ["Simulation"]
