"""What the first records say of each column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from driftloop.backtest.cells import BadCellError, coded, number, numbers, rescaled, times
from driftloop.records.columns import Floats
from driftloop.records.decode import LAST_MS

_NEARLY = 0.98
_FEW = 0.02

Kind = Literal["number", "text", "time", "empty", "other"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the first records say of a column.

    Attributes:
        kind: What it holds.
        rows: Records that were looked at.
        present: Those that hold a value.
        different: Different values, of the stream that has the most.
        unique: Whether nearly all values of each stream are different.
        whole: Whether all are whole numbers.
        unit: Whether all are numbers from 0 to 1.
        moment: Whether all may be event times, in milliseconds or in seconds.
    """

    kind: Kind
    rows: int
    present: int
    different: int
    unique: bool = False
    whole: bool = False
    unit: bool = False
    moment: bool = False


def facts_of(column: pa.ChunkedArray) -> Facts:
    """Look at a column.

    >>> facts_of(pa.chunked_array([["1", "2", ""]])).kind
    'number'
    """
    n = len(column)
    present = n - column.null_count
    if not present:
        return Facts("empty", n, 0, 0)
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return Facts("time", n, present, len(column.unique()))
    values = _mostly_numbers(column)
    if values is not None:
        values = values[~np.isnan(values)]
        if not len(values):
            return Facts("empty", n, 0, 0)
        ms, seconds = rescaled(values)
        return Facts(
            "number",
            n,
            len(values),
            len(np.unique(values)),
            unique=len(np.unique(values)) >= _NEARLY * n,
            whole=bool((values == np.floor(values)).all()),
            unit=bool(((values >= 0) & (values <= 1)).all()),
            moment=seconds or bool(((ms >= 0) & (ms <= LAST_MS)).all()),
        )
    try:
        times(column.drop_null())
    except BadCellError:
        pass
    else:
        return Facts("time", n, present, len(column.unique()))
    try:
        names, _ = coded(column)
    except BadCellError:
        return Facts("other", n, present, 0)
    return Facts("text", n, present, len(names), unique=len(names) >= _NEARLY * n)


def _mostly_numbers(column: pa.ChunkedArray) -> Floats | None:
    """A column's numbers, (n,); None if they are too few.

    Where a few values are none, the column is of numbers all the same: its reader names them.
    """
    try:
        return numbers(column)
    except BadCellError:
        pass
    try:
        names, codes = coded(column, canonical=False)
    except BadCellError:
        return None
    read = [number(name or "") for name in names]
    table = np.array([np.nan if value is None else value for value in read] + [np.nan])
    bad = np.array([value is None for value in read] + [False])
    few = int(bad[codes].sum()) <= _FEW * len(codes)
    return np.asarray(table[codes], np.float64) if few else None


def facts_of_all(tables: Sequence[pa.Table]) -> dict[str, Facts]:
    """Facts of each column, over all tables."""
    found: dict[str, list[Facts]] = {}
    for table in tables:
        for name in table.column_names:
            found.setdefault(name, []).append(facts_of(table[name]))
    return {name: _merged(parts) for name, parts in found.items()}


def _merged(parts: list[Facts]) -> Facts:
    told = [part for part in parts if part.kind != "empty"]
    rows, present = sum(part.rows for part in parts), sum(part.present for part in parts)
    if not told:
        return Facts("empty", rows, 0, 0)
    # What most records hold; the reader of the others names what does not fit.
    held: Counter[Kind] = Counter()
    for part in told:
        held[part.kind] += part.present
    kind = held.most_common(1)[0][0]
    told = [part for part in told if part.kind == kind]
    return Facts(
        kind,
        rows,
        present,
        max(part.different for part in told),
        unique=all(part.unique for part in told),
        whole=all(part.whole for part in told),
        unit=all(part.unit for part in told),
        moment=all(part.moment for part in told),
    )
