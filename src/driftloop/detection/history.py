"""Which records a model would be trained on now: the newest ones, as offset ranges."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from driftloop.detection.windows import Extent, Part, Spans, merge_spans, to_ranges, widen
from driftloop.settings import Training
from driftloop.settings.base import milliseconds

PARTS = 32
"""A training window is remembered in about so many chunks: ranges overshoot by at most one."""


@dataclass(slots=True)
class _Chunk:
    first_ts: float = float("inf")
    last_ts: float = float("-inf")
    rows: int = 0
    spans: Spans = field(default_factory=dict)


class TrainingHistory:
    """Labelled records of a stream in chunks, old ones forgotten.

    Chunks end where windows close, so that they do not depend on batches.
    """

    def __init__(self, training: Training) -> None:
        self._span = milliseconds(training.window) if training.window else 0
        self._rows = training.records or 0
        self._chunks: deque[_Chunk] = deque()
        self._open = _Chunk()

    @property
    def rows(self) -> int:
        """Labelled records that are remembered."""
        return self._open.rows + sum(chunk.rows for chunk in self._chunks)

    def add(self, where: Extent) -> None:
        """Take labelled rows that lie there, in the order of their completion."""
        chunk = self._open
        chunk.first_ts = min(chunk.first_ts, where.first_ts)
        chunk.last_ts = max(chunk.last_ts, where.last_ts)
        chunk.rows += where.rows
        widen(chunk.spans, where.spans)

    def window_closed(self) -> None:
        """End the chunk when it is long enough, and forget what no training needs."""
        chunk = self._open
        long = chunk.last_ts - chunk.first_ts >= self._span / PARTS
        many = chunk.rows >= self._rows / PARTS
        if chunk.rows and long and many:
            self._chunks.append(chunk)
            self._open = _Chunk()
        while self._chunks and self._enough_without_oldest():
            self._chunks.popleft()

    def _enough_without_oldest(self) -> bool:
        rest = list(self._chunks)[1:]
        if not rest:
            return False
        newest = max(chunk.last_ts for chunk in (*rest, self._open))
        spans = newest - min(chunk.first_ts for chunk in rest) >= self._span
        rows = sum(chunk.rows for chunk in rest) + self._open.rows
        return spans and rows >= self._rows

    def parts(self) -> list[Part]:
        """The same records in the chunks that are remembered, oldest first."""
        chunks = [*self._chunks, self._open]
        return [Part(chunk.rows, dict(chunk.spans)) for chunk in chunks if chunk.rows]

    def ranges(self, topic: str) -> list[str]:
        """Offset ranges of the newest records, enough for one training; empty if none are known."""
        chunks = [*self._chunks, self._open]
        return to_ranges(topic, merge_spans([chunk.spans for chunk in chunks]))


def newest(parts: Sequence[Part], rows: int) -> Part:
    """The newest parts that hold so many rows together, or all of them, as one."""
    taken: list[Part] = []
    for part in reversed(parts):
        taken.append(part)
        rows -= part.rows
        if rows <= 0:
            break
    return Part(sum(one.rows for one in taken), merge_spans([one.spans for one in taken]))
