"""Join of predictions and labels that come in records of their own.

Symmetric: either may come first. What waits is bounded; what is given up is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from driftloop.records.columns import Columns


class _Row(NamedTuple):
    """One record in plain values, which are small in a snapshot and quick to handle singly."""

    partition: int
    offset: int
    origin_partition: int
    origin_offset: int
    ts: float
    identity: str | None
    x: list[float]
    categories: tuple[str | None, ...]
    y_pred: float | list[float]
    y: float
    loss: float
    version: str | None
    feature_ts: float


class Joiner:
    """Waiting predictions and labels of one stream.

    A record is *complete* when it carries its own loss, or a label together with a prediction or
    features. A completed record stands where its later half came: its offset is the later
    half's, its origin the earlier half's, its event time the later of the two; when its features
    were known is told beside it.

    Args:
        capacity: How many predictions, and how many labels, may wait; the oldest is given up.
        deduplicate: How many ids of completed records are remembered to drop repeats.

    Attributes:
        evicted: Predictions and labels given up for lack of room.
        duplicates: Records dropped because their id waits or was completed already.
        unjoinable: Halves without an id, which no other half can find.
    """

    def __init__(self, capacity: int, deduplicate: int = 0) -> None:
        self.capacity = capacity
        self.deduplicate = deduplicate
        self.evicted = 0
        self.duplicates = 0
        self.unjoinable = 0
        self._predictions: dict[str, _Row] = {}
        self._labels: dict[str, _Row] = {}
        self._seen: dict[str, None] = {}

    @property
    def pending(self) -> int:
        """How many predictions and labels wait."""
        return len(self._predictions) + len(self._labels)

    def add(self, columns: Columns) -> Columns:
        """Take records in order.

        Returns:
            Those that are complete now, in the order of their completion.
        """
        has_y = ~np.isnan(columns.y)
        has_loss = ~np.isnan(columns.loss)
        has_front = columns.has_prediction
        if not (has_front & has_y | has_loss).all():
            has_front = has_front | columns.has_features
        complete = has_loss | (has_y & has_front)
        if not self.deduplicate and complete.all():
            return columns
        waits_label = has_y.tolist()
        out: list[_Row] = []
        for i, (row, whole, front) in enumerate(
            zip(_rows(columns), complete.tolist(), has_front.tolist(), strict=True)
        ):
            identity = row.identity
            if whole:
                if identity is None or not self._repeated(identity):
                    out.append(row)
            elif identity is None or not (waits_label[i] or front):
                self.unjoinable += 1
            elif self.deduplicate and identity in self._seen:
                self.duplicates += 1
            else:
                joined = self._half(row, identity, label=waits_label[i])
                if joined is not None:
                    out.append(joined)
        return _columns(out, columns) if out else columns.select([])

    def _repeated(self, identity: str) -> bool:
        if not self.deduplicate:
            return False
        if identity in self._seen:
            self.duplicates += 1
            return True
        self._remember(identity)
        return False

    def _remember(self, identity: str) -> None:
        self._seen[identity] = None
        if len(self._seen) > self.deduplicate:
            del self._seen[next(iter(self._seen))]

    def _half(self, row: _Row, identity: str, *, label: bool) -> _Row | None:
        own, other = (
            (self._labels, self._predictions) if label else (self._predictions, self._labels)
        )
        waiting = other.pop(identity, None)
        if waiting is None:
            if identity in own:
                self.duplicates += 1
                return None
            own[identity] = row
            if len(own) > self.capacity:
                del own[next(iter(own))]
                self.evicted += 1
            return None
        if self.deduplicate:
            self._remember(identity)
        front, back = (waiting, row) if label else (row, waiting)
        return front._replace(
            partition=row.partition,
            offset=row.offset,
            origin_partition=waiting.partition,
            origin_offset=waiting.offset,
            ts=max(front.ts, back.ts),
            y=back.y,
        )


def _rows(columns: Columns) -> Iterator[_Row]:
    """The records one by one."""
    n = len(columns)
    categories = zip(*columns.categories, strict=True) if columns.categories else repeat((), n)
    return map(
        _Row._make,
        zip(
            columns.partitions.tolist(),
            columns.offsets.tolist(),
            columns.origin_partitions.tolist(),
            columns.origin_offsets.tolist(),
            columns.ts.tolist(),
            columns.ids,
            columns.x.tolist(),
            categories,
            columns.y_pred.tolist(),
            columns.y.tolist(),
            columns.loss.tolist(),
            columns.versions,
            columns.feature_times.tolist(),
            strict=True,
        ),
    )


def _columns(rows: list[_Row], like: Columns) -> Columns:
    """At least one record as columns, with the shapes of `like`."""
    parts: list[Any] = list(zip(*rows, strict=True))
    whole = [np.array(part, dtype=np.int64) for part in parts[:4]]
    return Columns(
        partitions=whole[0],
        offsets=whole[1],
        origin_partitions=whole[2],
        origin_offsets=whole[3],
        ts=np.array(parts[4]),
        ids=list(parts[5]),
        x=np.array(parts[6], dtype=np.float64).reshape(len(rows), like.x.shape[1]),
        categories=[list(column) for column in zip(*parts[7], strict=True)],
        y_pred=np.array(parts[8], dtype=np.float64),
        y=np.array(parts[9]),
        loss=np.array(parts[10]),
        versions=list(parts[11]),
        feature_ts=np.array(parts[12]),
    )


def join(columns: Columns) -> Columns:
    """Labelled records of a finished set, ordered by completion; the rest is left out."""
    joiner = Joiner(capacity=max(1, len(columns)))
    complete = joiner.add(columns)
    return complete.select(~np.isnan(complete.y))
