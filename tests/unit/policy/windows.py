"""Closed windows for the tests of criteria and decisions."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftloop.detection.outputs import Counters, FeatureWindow, LossWindow
from tests.streams import STREAM

DAY = 86_400_000


def losses(values: Any, corrected: Any = None, index: int = 0, span_ms: float = DAY) -> LossWindow:
    """A closed window of these losses, on day `index`."""
    values = np.asarray(values, np.float64)
    better = np.full(len(values), np.nan) if corrected is None else np.asarray(corrected, float)
    return LossWindow(
        index=index,
        opened_at=index * DAY,
        closed_at=(index + 1) * DAY - 1,
        span_ms=span_ms,
        ranges=[f"{STREAM}:0:{index * 100}:{index * 100 + 99}"],
        version="v1",
        losses=values,
        corrected=better,
        phases=None,
        training=[f"{STREAM}:0:0:{index * 100 + 99}"],
        labelled=100,
        counters=Counters(),
    )


def features(x: np.ndarray | None = None, index: int = 0) -> FeatureWindow:
    """A closed window of these features, on day `index`."""
    return FeatureWindow(
        index=index,
        opened_at=index * DAY,
        closed_at=(index + 1) * DAY - 1,
        span_ms=DAY,
        ranges=[f"{STREAM}:0:{index * 100}:{index * 100 + 99}"],
        version="v1",
        x=np.zeros((1, 2)) if x is None else x,
        counters=Counters(records=100 * (index + 1)),
    )
