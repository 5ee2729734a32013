"""Step *test*: closed windows against the references of the stream's model version.

A step of its own because Bytewax stores the whole state of a key that woke in an epoch: references
are large, and this step wakes once a closed window only.
"""

from __future__ import annotations

from typing import Any

from driftloop.detection.outputs import StateChanged
from driftloop.detection.stream import GONE
from driftloop.monitor import metrics
from driftloop.monitor.items import Judged, Tracked
from driftloop.monitor.stateful import StreamLogic
from driftloop.policy import StreamTester, Tested


class TestLogic(StreamLogic):
    """One stream's `StreamTester`."""

    __test__ = False
    step = "test"

    def make(self, item: Tracked) -> StreamTester:
        """No references yet."""
        return StreamTester(self.settings.profiles[item.name.profile])

    def handle(self, state: StreamTester, item: Tracked) -> tuple[list[Any], bool]:
        """Test a closed window; everything else is passed on in its place."""
        judged = state.test(item.output)
        if isinstance(judged, Tested):
            metrics.WINDOWS.labels(judged.kind).inc()
        gone = isinstance(judged, StateChanged) and judged.state in GONE
        return [Judged(item.name, judged)], gone
