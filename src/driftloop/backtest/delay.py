"""Labels that come later: each record as the prediction and the label that Kafka would bring."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError
from driftloop.records import Columns
from driftloop.records.columns import Floats, Integers

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Records in the order of their arrival: m of them.

    Attributes:
        columns: Predictions and labels, (m,); offsets count from 0, the partition is 0.
        row: Row of the undelayed record that each comes from, int64 (m,).
        waiting: The most predictions that wait for their labels at a time: a `Joiner` of less
            capacity gives some up.
    """

    columns: Columns
    row: Integers
    waiting: int


def delayed(columns: Columns, delay_ms: float) -> Arrivals:
    """Let labels arrive a fixed time after their predictions, in records of their own.

    A record with a label becomes two that share an id: features and prediction at its event time,
    the label at that time and `delay_ms`. `StreamTracker` joins them, and the joined record's
    event time is the label's. At equal times, what belongs to the earlier record comes first, and
    a prediction before its label. A record without a label stays one. One that carries its own
    loss stays one too, and arrives when its loss is known.

    Args:
        columns: n records with labels, ordered by event time. Ids that are absent or repeat are
            replaced by the record's number: two that wait under one id would be taken for one.
        delay_ms: Time until a label is known, >= 0, ms.

    Returns:
        The arrivals; m = n + the number of records with a label and without a loss.

    Raises:
        SettingsError: `delay_ms` is negative or not finite.
    """
    if not 0 <= delay_ms < np.inf:
        raise SettingsError([Fault("delay", f"{delay_ms} ms", "a time of 0 or more")])
    n = len(columns)
    has_loss = ~np.isnan(columns.loss)
    has_label = ~np.isnan(columns.y) & ~has_loss
    rows = np.arange(n, dtype=np.int64)
    row = np.concatenate([rows, rows[has_label]])
    is_label = np.concatenate([np.zeros(n, np.bool_), np.ones(int(has_label.sum()), np.bool_)])
    late = is_label | has_loss[row]
    ts = columns.ts[row] + np.where(late, delay_ms, 0.0)
    order = np.lexsort((is_label, row, ts))
    row, is_label, ts = row[order], is_label[order], ts[order]
    waiting = _most_waiting(is_label, has_label[row])
    return Arrivals(_arrived(columns, row, is_label, has_label[row] & ~is_label, ts), row, waiting)


def _most_waiting(is_label: Booleans, splits: Booleans) -> int:
    change = np.where(is_label, -1, np.where(splits, 1, 0))
    return int(np.cumsum(change).max(initial=0))


def _arrived(
    columns: Columns,
    row: Integers,
    is_label: Booleans,
    is_front: Booleans,
    ts: Floats,
) -> Columns:
    """Predictions without labels, labels without all else, and whole records."""
    out = columns.select(row)
    offsets = np.arange(len(row), dtype=np.int64)
    partitions = np.zeros(len(row), np.int64)
    ids = _identified(columns.ids)
    labels = np.flatnonzero(is_label).tolist()
    out.ids = [ids[i] for i in row.tolist()]
    out.partitions = out.origin_partitions = partitions
    out.offsets = out.origin_offsets = offsets
    out.ts, out.feature_ts = ts, columns.feature_times[row]
    out.x[is_label] = np.nan
    out.y_pred[is_label] = np.nan
    out.y[is_front] = np.nan
    for column in (*out.categories, out.versions):
        for i in labels:
            column[i] = None
    return out


def _identified(ids: list[str | None]) -> list[str]:
    """Ids that tell all records apart."""
    counts = Counter(ids)
    if None not in counts and len(counts) == len(ids):
        return [str(name) for name in ids]
    kept = {name for name, many in counts.items() if many == 1 and name is not None}
    return [
        name if name is not None and name in kept else _free(str(i), kept)
        for i, name in enumerate(ids)
    ]


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"#{name}"
    return name
