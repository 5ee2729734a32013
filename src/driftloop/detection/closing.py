"""Closed windows as the tests read them: losses and features with their place and totals."""

from __future__ import annotations

import numpy as np

from driftloop.detection.contents import WindowContents
from driftloop.detection.history import TrainingHistory
from driftloop.detection.outputs import Counters, FeatureWindow, LossWindow
from driftloop.detection.windows import Window, to_ranges
from driftloop.records.columns import Floats
from driftloop.settings import CycleWindow, Profile
from driftloop.settings.base import milliseconds
from driftloop.settings.policy import VOTING

PHASES = 24
"""Parts of a cycle whose mean losses are told apart."""


class WindowCloser:
    """Makes what the tracker puts out of windows that have closed.

    Args:
        topic: The stream's topic.
        profile: Its profile.
        contents: How the rows of its windows are packed.
        history: The records that a model would be trained on.
    """

    def __init__(
        self, topic: str, profile: Profile, contents: WindowContents, history: TrainingHistory
    ) -> None:
        self._topic = topic
        self._window = profile.window
        self._contents = contents
        self._history = history
        self._votes = profile.policy.kind in VOTING
        self._parted = profile.policy.min_window < 1
        self._closed_at: dict[str, float] = {}

    def losses(self, window: Window, version: str | None, counters: Counters) -> LossWindow:
        """A window of losses of the current version."""
        self._history.window_closed()
        parts = self._contents.unpack_losses(window.values)
        return LossWindow(
            index=window.index,
            opened_at=int(window.first_ts),
            closed_at=int(window.last_ts),
            span_ms=self._span("loss", window),
            ranges=to_ranges(self._topic, window.spans),
            version=version,
            losses=parts.losses,
            corrected=parts.corrected,
            phases=self._phases(parts.ts),
            labels=parts.labels,
            scores=parts.scores,
            baseline=parts.baseline,
            training=self._history.ranges(self._topic),
            labelled=self._history.rows,
            parts=self._history.parts() if self._parted else [],
            counters=counters,
        )

    def features(self, window: Window, version: str | None, counters: Counters) -> FeatureWindow:
        """A window of features and predictions, labelled or not."""
        parts = self._contents.unpack_features(window.values)
        return FeatureWindow(
            index=window.index,
            opened_at=int(window.first_ts),
            closed_at=int(window.last_ts),
            span_ms=self._span("features", window),
            ranges=to_ranges(self._topic, window.spans),
            version=version,
            x=parts.x,
            codes=parts.codes,
            scores=parts.scores,
            training=self._history.ranges(self._topic) if self._votes else [],
            counters=counters,
        )

    def _span(self, kind: str, window: Window) -> float:
        """Event time since the last window of that kind closed, ms."""
        before = self._closed_at.get(kind, window.first_ts)
        self._closed_at[kind] = max(before, window.last_ts)
        if isinstance(self._window, CycleWindow):
            return float(milliseconds(self._window.length))
        return max(0.0, window.last_ts - before)

    def _phases(self, ts: Floats) -> Floats | None:
        if not isinstance(self._window, CycleWindow) or self._window.cycle is None:
            return None
        cycle = milliseconds(self._window.cycle)
        return np.floor((ts % cycle) * PHASES / cycle)
