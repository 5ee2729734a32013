"""Records as columns, and records that could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from driftloop.settings import Profile

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice

MULTICLASS = "multiclass"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be read: it goes to the dead-letter topic unchanged.

    Attributes:
        topic: Where it came from.
        partition: Its partition.
        offset: Its offset.
        timestamp_ms: Its Kafka timestamp.
        key: Its key, unchanged.
        value: Its value, unchanged.
        reason: Short code: ``empty``, ``not-json``, ``wrong-type``, ``bad-timestamp``,
            ``bad-label``, ``bad-prediction``, ``bad-features`` or ``bad-event``.
        detail: Rule, value and place within the record.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    reason: str
    detail: str


@dataclass(slots=True)
class Columns:
    """n records, column by column, in the order in which they were read.

    Attributes:
        partitions: Partition of each record, int64 (n,).
        offsets: Offset of each record, int64 (n,); of a joined record, of what completed it.
        origin_partitions: Partition of the record that a joined one began with, int64 (n,).
        origin_offsets: Its offset, int64 (n,); equal to `offsets` for records not joined, and the
            same array where none is.
        ts: Event time in milliseconds since the epoch, float64 (n,), always finite.
        ids: Ids; None where absent.
        x: Numeric features, float64 (n, features); nan = missing.
        categories: One list of n texts for each categorical feature; None = missing.
        y_pred: Prediction, float64: (n,), or (n, classes) for multiclass; nan = absent.
        y: Label, float64 (n,), class index for classification; nan = absent.
        loss: The record's own loss, float64 (n,); nan = absent.
        versions: Model version that predicted; None where absent.
        feature_ts: Event time of the record that brought the features, float64 (n,), where some
            records were joined; else None, for it is `ts`.
    """

    partitions: Integers
    offsets: Integers
    origin_partitions: Integers
    origin_offsets: Integers
    ts: Floats
    ids: list[str | None]
    x: Floats
    categories: list[list[str | None]]
    y_pred: Floats
    y: Floats
    loss: Floats
    versions: list[str | None]
    feature_ts: Floats | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls, profile: Profile) -> Columns:
        """No records, with the shapes of a profile."""
        whole = np.empty(0, np.int64)
        width = len(profile.classes)
        return cls(
            partitions=whole,
            offsets=whole,
            origin_partitions=whole,
            origin_offsets=whole,
            ts=np.empty(0),
            ids=[],
            x=np.empty((0, len(profile.features.numeric))),
            categories=[[] for _ in profile.features.categorical],
            y_pred=np.empty((0, width) if profile.task == MULTICLASS else 0),
            y=np.empty(0),
            loss=np.empty(0),
            versions=[],
        )

    def select(self, indices: Indices | Sequence[int]) -> Columns:
        """The records at `indices` (integers, a mask or a slice), in that order."""
        if isinstance(indices, slice):
            return self._cut(indices)
        index = np.asarray(indices)
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        places = index.tolist()
        chosen: dict[str, Any] = {}
        for name, column in _items(self):
            if column is None:
                continue
            if name == "categories":
                chosen[name] = [[part[i] for i in places] for part in column]
            elif isinstance(column, list):
                chosen[name] = [column[i] for i in places]
            else:
                chosen[name] = column[index] if places else column[:0]
        return Columns(**chosen)

    def _cut(self, part: slice) -> Columns:
        offsets, partitions = self.offsets[part], self.partitions[part]
        joined = self.origin_offsets is not self.offsets
        return Columns(
            partitions=partitions,
            offsets=offsets,
            origin_partitions=self.origin_partitions[part] if joined else partitions,
            origin_offsets=self.origin_offsets[part] if joined else offsets,
            ts=self.ts[part],
            ids=self.ids[part],
            x=self.x[part],
            categories=[column[part] for column in self.categories],
            y_pred=self.y_pred[part],
            y=self.y[part],
            loss=self.loss[part],
            versions=self.versions[part],
            feature_ts=None if self.feature_ts is None else self.feature_ts[part],
        )

    @staticmethod
    def concatenate(parts: Sequence[Columns]) -> Columns:
        """All records of `parts` (at least one), one after the other."""
        if len(parts) == 1:
            return parts[0]
        joined: dict[str, Any] = {}
        for name, column in _items(parts[0]):
            if name == "feature_ts":
                if any(part.feature_ts is not None for part in parts):
                    joined[name] = np.concatenate([part.feature_times for part in parts])
                continue
            columns = [getattr(part, name) for part in parts]
            if name == "categories":
                joined[name] = [
                    [value for one in columns for value in one[k]] for k in range(len(column))
                ]
            elif isinstance(column, list):
                joined[name] = [value for one in columns for value in one]
            else:
                joined[name] = np.concatenate(columns)
        return Columns(**joined)

    @property
    def feature_times(self) -> Floats:
        """Event time at which each record's features were known, (n,): what a model predicts by."""
        return self.ts if self.feature_ts is None else self.feature_ts

    @property
    def has_prediction(self) -> npt.NDArray[np.bool_]:
        """Which records carry a prediction, (n,)."""
        first = self.y_pred if self.y_pred.ndim == 1 else self.y_pred[:, 0]
        return ~np.isnan(first)

    @property
    def has_features(self) -> npt.NDArray[np.bool_]:
        """Which records carry at least one feature, (n,)."""
        found = np.asarray((~np.isnan(self.x)).any(axis=1), dtype=np.bool_)
        for column in self.categories:
            found |= np.fromiter((value is not None for value in column), bool, len(column))
        return found


def _items(columns: Columns) -> list[tuple[str, Any]]:
    return [(name, getattr(columns, name)) for name in Columns.__slots__]
