"""What a stream tells its fleet: one small item a closed window of losses, and a few notes."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from driftloop.detection.outputs import Closed
from driftloop.messages import RetrainRequested
from driftloop.settings import CycleWindow, Profile
from driftloop.settings.base import milliseconds

EARLIER = 20
"""Earlier window means that a stream is compared with, at most."""

FEWEST = 5
"""Earlier window means below which a stream's own spread is not known."""

MAD = 1.4826
"""Median absolute deviation to standard deviation, for normal values."""

LARGEST_Z = 1e6
"""Bound of a standardised loss, which a constant history would make infinite."""


class FleetObservation(NamedTuple):
    """A closed window of losses as the fleet sees it.

    Attributes:
        stream: Stream id.
        at: Event time at which it could close, ms: what puts it into a tick.
        span_ms: Event time that it spans.
        z: Mean loss, standardised by the stream's own earlier windows; nan while they are few.
        p_value: P-value of the policy's criterion; nan where it has none, or where nothing would
            follow from it (the stream is pinned, snoozed or has too few records).
        e_value: E-value likewise.
        request: What follows when the fleet agrees, or None.
    """

    stream: str
    at: int
    span_ms: float
    z: float = math.nan
    p_value: float = math.nan
    e_value: float = math.nan
    request: RetrainRequested | None = None


class FleetNote(NamedTuple):
    """What else the fleet has to know of a stream.

    Attributes:
        stream: Stream id.
        kind: ``sent`` (a request went out past the fleet), ``initial`` (a stream's first one, which
            the budget does not count), ``settled`` (a request has its
            outcome), ``version`` (a new model version), ``withdrawn`` (an operator stopped what
            waits), ``gone``, or ``clock`` (how far the stream's event time is).
        at: Event time, ms.
        request_id: The request that was sent or settled.
    """

    stream: str
    kind: Literal["sent", "initial", "settled", "version", "withdrawn", "gone", "clock"]
    at: int
    request_id: str = ""


FleetItem = FleetObservation | FleetNote


class WindowMeans:
    """The newest window means of a stream, for standardising the next one.

    Means stay across model versions: what a retrain mends must not look like calm, nor a better
    version like a shift.
    """

    def __init__(self) -> None:
        self._means: list[float] = []

    def standardise(self, mean: float) -> float:
        """Distance of a mean from the earlier ones, in robust standard deviations; then keep it.

        z = (mean - median) / (1.4826 MAD sqrt(1 + pi / 2m)); the root adds the variance of a
        median of m values (normal theory). Positive: a larger loss than before.

        Args:
            mean: Mean loss of a window, or nan.

        Returns:
            z in [-1e6, 1e6]; nan for a mean that is not finite, or fewer than 5 earlier ones.
        """
        if not math.isfinite(mean):
            return math.nan
        earlier = self._means
        self._means = [*earlier, mean][-EARLIER:]
        if len(earlier) < FEWEST:
            return math.nan
        centre = _median(earlier)
        scale = MAD * _median([abs(value - centre) for value in earlier])
        distance = mean - centre
        if distance == 0.0:
            return 0.0
        if scale == 0.0:
            return math.copysign(LARGEST_Z, distance)
        z = distance / (scale * math.sqrt(1.0 + math.pi / (2 * len(earlier))))
        return max(-LARGEST_Z, min(LARGEST_Z, z))


def _median(values: list[float]) -> float:
    # On at most 20 values ten times as fast as numpy's.
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return 0.5 * ordered[middle - 1] + 0.5 * ordered[middle]


def closes_at(window: Closed, profile: Profile) -> int:
    """Event time at which a window can close, ms: the same for all streams of a cycle."""
    cut = profile.window
    if not isinstance(cut, CycleWindow):
        return window.closed_at
    end = (window.index + 1) * milliseconds(cut.length) + milliseconds(cut.lateness)
    return max(window.closed_at, end - 1)
