"""Windows over rows of a stream: by count, or by event-time cycles.

A window closes on a record, never on the wall clock, and what it holds does not depend on how the
records were cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from driftloop.messages import OffsetRange
from driftloop.records.columns import Columns, Floats, Integers
from driftloop.settings import CountWindow, CycleWindow
from driftloop.settings.base import milliseconds

Spans = dict[int, tuple[int, int]]
"""First and last offset of each partition."""


class Extent(NamedTuple):
    """Where rows lie: how many, smallest and largest event time (ms), and what they came from."""

    rows: int
    first_ts: float
    last_ts: float
    spans: Spans


class Part(NamedTuple):
    """A part of the records that a model would be trained on: labelled rows, and where they lie."""

    rows: int
    spans: Spans


def extent(rows: Columns) -> Extent:
    """Where at least one row lies."""
    spans: Spans = {}
    _widen(spans, rows.partitions, rows.offsets)
    if rows.origin_offsets is not rows.offsets:
        _widen(spans, rows.origin_partitions, rows.origin_offsets)
    return Extent(len(rows), float(rows.ts.min()), float(rows.ts.max()), spans)


def widen(spans: Spans, by: Spans) -> None:
    """Make `spans` cover `by` too."""
    for partition, (low, high) in by.items():
        _cover(spans, partition, low, high)


def _widen(spans: Spans, partitions: Integers, offsets: Integers) -> None:
    if not len(offsets):
        return
    first = int(partitions[0])
    if (partitions == first).all():
        _cover(spans, first, int(offsets.min()), int(offsets.max()))
        return
    for partition in np.unique(partitions).tolist():
        own = offsets[partitions == partition]
        _cover(spans, partition, int(own.min()), int(own.max()))


def _cover(spans: Spans, partition: int, low: int, high: int) -> None:
    known = spans.get(partition)
    spans[partition] = (low, high) if known is None else (min(known[0], low), max(known[1], high))


def merge_spans(many: list[Spans]) -> Spans:
    """The spans that cover all of `many`."""
    merged: Spans = {}
    for spans in many:
        widen(merged, spans)
    return merged


def to_ranges(topic: str, spans: Spans) -> list[str]:
    """Spans as an event carries them, ordered by partition."""
    return [str(OffsetRange(topic, p, *spans[p])) for p in sorted(spans)]


@dataclass(slots=True)
class Window:
    """A window and its rows.

    Attributes:
        index: Its number: a running count, or the cycle since the epoch.
        first_ts: Smallest event time of its rows, ms.
        last_ts: Largest event time of its rows, ms.
        spans: What it was made from.
        parts: Its rows' values, in pieces of (rows, width).
    """

    index: int
    first_ts: float = np.inf
    last_ts: float = -np.inf
    spans: Spans = field(default_factory=dict)
    parts: list[Floats] = field(default_factory=list)
    rows: int = 0

    def add(self, where: Extent, values: Floats) -> None:
        """Take rows that lie there, and their values, (rows, width)."""
        self.first_ts = min(self.first_ts, where.first_ts)
        self.last_ts = max(self.last_ts, where.last_ts)
        self.rows += where.rows
        self.parts.append(values)
        widen(self.spans, where.spans)

    @property
    def values(self) -> Floats:
        """All its rows' values, (rows, width)."""
        if len(self.parts) > 1:
            self.parts = [np.concatenate(self.parts)]
        return self.parts[0]


class CountWindower:
    """Windows of a fixed number of rows."""

    def __init__(self, window: CountWindow) -> None:
        self.records = window.records
        self._open = Window(0)

    @property
    def room(self) -> int:
        """Rows until the open window is full, > 0."""
        return self.records - self._open.rows

    def add(self, where: Extent, values: Floats) -> None:
        """Take at most `room` rows that lie there."""
        self._open.add(where, values)

    def close(self) -> Window | None:
        """The open window when it is full, and begin the next."""
        if self.room > 0:
            return None
        closed, self._open = self._open, Window(self._open.index + 1)
        return closed

    def restart(self) -> None:
        """Drop the open window's rows."""
        self._open = Window(self._open.index)


class CycleWindower:
    """Windows ``[k·length, (k+1)·length)`` of event time; several may be open."""

    def __init__(self, window: CycleWindow) -> None:
        self.length = milliseconds(window.length)
        self._open: dict[int, Window] = {}

    def add(self, rows: Columns, where: Extent, values: Floats, earliest: int) -> None:
        """Take rows that lie there.

        What belongs before window `earliest` goes there: a late label is news now. Rows are few
        windows wide, so that the loop is short.
        """
        index = np.maximum(rows.ts // self.length, earliest).astype(np.int64)
        first = int(index[0])
        if (index == first).all():
            self._window(first).add(where, values)
            return
        for k in np.unique(index).tolist():
            own = index == k
            self._window(k).add(extent(rows.select(own)), values[own])

    def _window(self, index: int) -> Window:
        found = self._open.get(index)
        if found is None:
            found = self._open[index] = Window(index)
        return found

    def close(self, before: int) -> list[Window]:
        """All windows with an index below `before`, oldest first."""
        return [self._open.pop(k) for k in sorted(self._open) if k < before]

    def restart(self) -> None:
        """Drop the open windows' rows."""
        self._open.clear()
