"""Several partitions as one stream, whatever order they are read in."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.detection.merge import PartitionMerger
from driftloop.records import Columns
from tests.streams import make_columns, make_profile

PROFILE = make_profile()


def part(partition: int, *ts: float, first: int = 0) -> Columns:
    return make_columns(PROFILE, ts, partition=partition, first=first)


def test_records_wait_until_every_partition_has_passed_them() -> None:
    merger = PartitionMerger(lateness_ms=2)
    assert merger.add(part(0, 1, 5, 9), 0, 2) is None
    out = merger.add(part(1, 4, 8), 1, 2)
    assert out is not None
    assert out.ts.tolist() == [1, 4, 5]
    assert merger.held == 2
    out = merger.add(part(1, 20, first=2), 1, 2)
    assert out is None  # partition 0 has not passed 8 by more than 2
    out = merger.add(part(0, 20, first=3), 0, 2)
    assert out is not None
    assert out.ts.tolist() == [8, 9]


def test_ties_are_ordered_by_partition_and_offset() -> None:
    merger = PartitionMerger(lateness_ms=0)
    merger.add(part(1, 3, 3, 9), 1, 2)
    out = merger.add(part(0, 3, 3, 9), 0, 2)
    assert out is not None
    assert list(zip(out.partitions.tolist(), out.offsets.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]


def test_lateness_is_judged_within_the_own_partition_alone() -> None:
    merger = PartitionMerger(lateness_ms=2)
    merger.add(part(0, 100), 0, 2)
    out = merger.add(part(1, 10, 8, 7.5, 11, 100), 1, 2)
    assert merger.late == 1  # 7.5 came after 10; 8 is just within
    assert out is not None
    assert out.ts.tolist() == [8, 10, 11]


def test_a_partition_without_records_holds_the_stream_back() -> None:
    merger = PartitionMerger(lateness_ms=0)
    assert merger.add(part(0, *range(50)), 0, 2) is None
    assert merger.held == 50


partitions = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=15), min_size=2, max_size=3)


def merged(parts: list[list[int]], batches: list[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Rows in the order in which they come out, as (partition, offset), and how many were late."""
    merger = PartitionMerger(lateness_ms=5)
    out = []
    for p, start, end in batches:
        rows = merger.add(part(p, *parts[p][start:end], first=start), p, len(parts))
        if rows is not None:
            out += list(zip(rows.partitions.tolist(), rows.offsets.tolist(), strict=True))
    return out, merger.late


@settings(max_examples=150, deadline=None)
@given(parts=partitions, picks=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6))))
def test_the_order_does_not_depend_on_how_partitions_interleave(
    parts: list[list[int]], picks: list[tuple[int, int]]
) -> None:
    parts = [[*ts, 1000] for ts in parts]
    whole = [(p, 0, len(ts)) for p, ts in enumerate(parts)]
    place = [0] * len(parts)
    batches = []
    for p, size in [*picks, *((p, 99) for p in range(len(parts)))]:
        if p < len(parts) and place[p] < len(parts[p]):
            end = min(place[p] + size, len(parts[p]))
            batches.append((p, place[p], end))
            place[p] = end
    expected = merged(parts, whole)
    assert merged(parts, batches) == expected
    on_time = []
    for p, ts in enumerate(parts):
        newest = np.maximum.accumulate([-np.inf, *ts[:-1]])
        on_time += [(t, p, o) for o, t in enumerate(ts) if t >= newest[o] - 5 and t < 995]
    assert expected[0] == [(p, o) for _, p, o in sorted(on_time)]
