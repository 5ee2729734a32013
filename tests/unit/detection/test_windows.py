"""Windows: exact boundaries by count and by cycle; what they were made from."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from driftloop.detection.windows import (
    CountWindower,
    CycleWindower,
    Window,
    extent,
    merge_spans,
    to_ranges,
    widen,
)
from driftloop.records import Columns
from driftloop.settings import CountWindow, CycleWindow
from tests.streams import make_columns, make_profile

PROFILE = make_profile()
HOUR = 3_600_000


def at(*hours: float, first: int = 0, partition: int = 0) -> Columns:
    """Records at hours since the epoch."""
    return make_columns(PROFILE, [hour * HOUR for hour in hours], first=first, partition=partition)


def values(rows: Columns) -> np.ndarray:
    return rows.offsets.astype(np.float64)[:, None]


def test_a_count_window_closes_on_the_record_that_fills_it() -> None:
    windower = CountWindower(CountWindow(records=20))
    rows = at(*range(45))
    assert windower.room == 20
    windower.add(extent(rows.select(slice(0, 19))), values(rows)[:19])
    assert windower.close() is None
    assert windower.room == 1
    windower.add(extent(rows.select(slice(19, 20))), values(rows)[19:20])
    closed = windower.close()
    assert closed is not None
    assert (closed.index, closed.rows, closed.spans) == (0, 20, {0: (0, 19)})
    assert closed.values[:, 0].tolist() == list(range(20))
    assert (closed.first_ts, closed.last_ts) == (0, 19 * HOUR)
    assert (windower.room, windower.close()) == (20, None)


def test_a_restarted_count_window_drops_its_records_and_keeps_its_number() -> None:
    windower = CountWindower(CountWindow(records=20))
    windower.add(extent(at(*range(7))), values(at(*range(7))))
    windower.restart()
    rows = at(*range(20), first=50)
    windower.add(extent(rows), values(rows))
    closed = windower.close()
    assert closed is not None
    assert (closed.index, closed.spans) == (0, {0: (50, 69)})


def test_cycle_windows_hold_their_beginning_and_not_their_end() -> None:
    windower = CycleWindower(CycleWindow(kind="cycle", length="1d"))
    rows = at(23.999, 24, 47.999, 48, 24.5, 0)
    windower.add(rows, extent(rows), values(rows), earliest=0)
    first, second = windower.close(before=2)
    assert (first.index, first.values[:, 0].tolist()) == (0, [0, 5])
    assert (second.index, second.values[:, 0].tolist()) == (1, [1, 2, 4])
    assert second.spans == {0: (1, 4)}
    assert windower.close(before=2) == []
    (third,) = windower.close(before=3)
    assert third.index == 2


def test_records_of_closed_cycles_go_into_the_earliest_that_is_open() -> None:
    windower = CycleWindower(CycleWindow(kind="cycle", length="1d"))
    rows = at(1, 30, 60)
    windower.add(rows, extent(rows), values(rows), earliest=1)
    assert [(w.index, w.rows) for w in windower.close(before=9)] == [(1, 2), (2, 1)]


def test_cycles_without_records_make_no_window() -> None:
    windower = CycleWindower(CycleWindow(kind="cycle", length="1h"))
    rows = at(0.5, 100.5)
    windower.add(rows, extent(rows), values(rows), earliest=0)
    assert [w.index for w in windower.close(before=101)] == [0, 100]


def test_restarted_cycle_windows_are_gone() -> None:
    windower = CycleWindower(CycleWindow(kind="cycle", length="1h"))
    windower.add(at(0.5), extent(at(0.5)), values(at(0.5)), earliest=0)
    windower.restart()
    assert windower.close(before=10) == []


def test_spans_cover_what_records_and_their_origins_came_from() -> None:
    rows = at(0, 1, 2, first=10, partition=1)
    rows.partitions = np.array([1, 2, 1])
    rows.origin_partitions = np.array([1, 1, 2])
    rows.origin_offsets = np.array([10, 3, 40])
    where = extent(rows)
    spans = where.spans
    assert spans == {1: (3, 12), 2: (11, 40)}
    assert where.rows == 3
    assert (where.first_ts, where.last_ts) == (rows.ts.min(), rows.ts.max())
    widen(spans, {})
    assert to_ranges("t", spans) == ["t:1:3:12", "t:2:11:40"]


def test_merged_spans_cover_all() -> None:
    assert merge_spans([{0: (5, 9)}, {1: (0, 1)}, {0: (2, 6)}]) == {0: (2, 9), 1: (0, 1)}
    assert merge_spans([]) == {}


@pytest.mark.parametrize("cuts", [[3], [1, 2, 5], []])
def test_a_window_holds_the_same_however_it_was_filled(cuts: list[int]) -> None:
    rows = at(*range(8))
    window = Window(0)
    edges = [0, *cuts, 8]
    for a, b in itertools.pairwise(edges):
        window.add(extent(rows.select(slice(a, b))), values(rows)[a:b])
    assert window.values.tolist() == values(rows).tolist()
    assert (window.rows, window.spans) == (8, {0: (0, 7)})
