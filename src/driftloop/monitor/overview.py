"""Gauges over the streams of a process: how many are in which state, and the worst few by name.

Made anew at each scrape from the streams' newest statuses, so there are never more series than
states and `TOP`, however many streams there are. A stream counts once it has told its status since
the process began.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from driftloop.messages import StreamStatus
from driftloop.telemetry.families import Family

TOP = 10
"""Streams that are named."""

DAYS_PER_YEAR = 365.25

STREAMS = Family("driftloop_monitor_streams", ("profile", "state"), "Streams by their state.")
PROMISED = Family(
    "driftloop_monitor_promised_retrains_per_day",
    ("profile",),
    "Needless retrains that the policy promises at most, of all its streams in a day; absent where "
    "it promises none.",
)
TOP_RATIO = Family(
    "driftloop_monitor_top_loss_ratio",
    ("rank", "stream"),
    f"Loss of the last window over that of the reference, of the {TOP} streams where it is "
    "largest.",
)
DESCRIBED = (STREAMS, PROMISED, TOP_RATIO)


class _Stream(NamedTuple):
    profile: str
    state: str
    ratio: float | None


class Overview(Collector):
    """Keeps the newest status of each stream in a few words. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._promised: Mapping[str, float] = {}

    def promise(self, a_year: Mapping[str, float]) -> None:
        """Needless retrains of a stream in a year, of each profile that promises a number."""
        self._promised = dict(a_year)

    def take(self, status: StreamStatus) -> None:
        """A stream's newest status."""
        with self._lock:
            if status.state == "retired":
                self._streams.pop(status.stream, None)
            else:
                self._streams[status.stream] = _Stream(
                    status.profile, status.state, _ratio(status.loss, status.reference_loss)
                )

    def collect(self) -> Iterator[Metric]:
        """The gauges as they are now."""
        with self._lock:
            streams = list(self._streams.items())
        states = Counter((one.profile, one.state) for _, one in streams)
        counts = STREAMS.new()
        for (profile, state), count in sorted(states.items()):
            counts.add_metric([profile, state], count)
        yield counts
        promised = PROMISED.new()
        of_profile = Counter(one.profile for _, one in streams)
        for profile, a_year in sorted(self._promised.items()):
            promised.add_metric([profile], a_year * of_profile[profile] / DAYS_PER_YEAR)
        yield promised
        top = TOP_RATIO.new()
        rated = [(one.ratio, name) for name, one in streams if one.ratio is not None]
        for rank, (ratio, name) in enumerate(heapq.nlargest(TOP, rated), start=1):
            top.add_metric([str(rank), name], ratio)
        yield top


def _ratio(loss: float | None, reference: float | None) -> float | None:
    if loss is None or reference is None or not reference > 0.0:
        return None
    return loss / reference
