"""Where records stand: which row completed which record, and ranges that take more records in."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from driftloop.detection.windows import extent, merge_spans, to_ranges
from driftloop.messages import OffsetRange
from driftloop.records import Columns


def arrivals(rows: Columns, complete: Columns) -> npt.NDArray[np.intp]:
    """The row with which each complete record became so, ascending."""
    if complete is rows:
        return np.arange(len(rows))
    ordered = bool((np.diff(rows.offsets) > 0).all())  # not where partitions were merged
    if ordered and (rows.partitions == rows.partitions[0]).all():
        return np.searchsorted(rows.offsets, complete.offsets)
    places = zip(rows.partitions.tolist(), rows.offsets.tolist(), strict=True)
    index = {place: i for i, place in enumerate(places)}
    found = zip(complete.partitions.tolist(), complete.offsets.tolist(), strict=True)
    return np.array([index[place] for place in found], np.intp)


def widened(topic: str, ranges: Iterable[str], rows: Columns) -> list[str]:
    """Offset ranges that cover records beside their own."""
    spans = {}
    for text in ranges:
        known = OffsetRange.parse(text)
        spans[known.partition] = (known.first, known.last)
    return to_ranges(topic, merge_spans([spans, extent(rows).spans]))
