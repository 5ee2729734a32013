"""Delayed labels: two records of one id, joined again by the monitor's own joiner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from driftloop.backtest.delay import delayed
from driftloop.backtest.source import StreamData, in_order
from driftloop.detection.outputs import LossWindow
from driftloop.detection.stream import StreamTracker
from driftloop.errors import SettingsError
from driftloop.records import Columns, Joiner
from driftloop.settings import CountWindow, Features, Profile

PROFILE = Profile(
    features=Features(numeric=["a", "b"], categorical=["c"]),
    window=CountWindow(records=20),
    join_capacity=1000,
)
MINUTE = 60_000.0


def records(n: int, step: float = MINUTE) -> Columns:
    """Complete records with ids."""
    random = np.random.default_rng(n)
    places, where = np.arange(n), np.zeros(n, np.int64)
    return Columns(
        partitions=where,
        offsets=places,
        origin_partitions=where,
        origin_offsets=places,
        ts=step * np.arange(n),
        ids=[f"r{i}" for i in range(n)],
        x=random.normal(size=(n, 2)),
        categories=[["xyz"[i % 3] for i in range(n)]],
        y_pred=random.normal(size=n),
        y=random.normal(size=n),
        loss=np.full(n, np.nan),
        versions=["v1"] * n,
    )


@pytest.mark.parametrize("delay", [0.0, 1.0, MINUTE, 2.5 * MINUTE, 500 * MINUTE])
@pytest.mark.parametrize("step", [0.0, MINUTE])
def test_the_joiner_gives_back_every_record_at_its_labels_time(delay: float, step: float) -> None:
    columns = records(100, step)
    arrivals = delayed(columns, delay)
    assert len(arrivals.columns) == 200
    assert (np.diff(arrivals.columns.ts) >= 0).all()
    joiner = Joiner(arrivals.waiting)
    parts = [joiner.add(arrivals.columns.select(slice(i, i + 7))) for i in range(0, 200, 7)]
    found = Columns.concatenate(parts)
    assert (joiner.evicted, joiner.duplicates, joiner.unjoinable, joiner.pending) == (0, 0, 0, 0)
    assert found.ids == columns.ids
    np.testing.assert_array_equal(found.x, columns.x)
    np.testing.assert_array_equal(found.y, columns.y)
    np.testing.assert_array_equal(found.y_pred, columns.y_pred)
    assert (found.categories, found.versions) == (columns.categories, columns.versions)
    np.testing.assert_array_equal(found.ts, columns.ts + delay)
    np.testing.assert_array_equal(found.feature_times, columns.ts)
    assert arrivals.row[found.origin_offsets].tolist() == list(range(100))
    assert arrivals.row[found.offsets].tolist() == list(range(100))


def test_the_order_is_that_of_time_then_of_the_record_then_prediction_first() -> None:
    arrivals = delayed(records(4), MINUTE)
    has_y = ~np.isnan(arrivals.columns.y)
    order = [f"{'y' if y else 'x'}{i}" for y, i in zip(has_y, arrivals.row, strict=True)]
    assert order == ["x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3"]
    assert delayed(records(4), MINUTE - 1).row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert delayed(records(4), MINUTE + 1).row.tolist() == [0, 1, 0, 2, 1, 3, 2, 3]


def test_what_waits_is_what_a_joiner_needs() -> None:
    arrivals = delayed(records(50), 10 * MINUTE)
    assert arrivals.waiting == 10
    small = Joiner(arrivals.waiting - 1)
    small.add(arrivals.columns)
    assert small.evicted > 0
    assert delayed(records(0), 5.0).waiting == 0


def test_records_without_a_label_or_with_a_loss_of_their_own_stay_whole() -> None:
    columns = records(3)
    columns.y[0] = np.nan
    columns.loss[1] = 0.5
    found = delayed(columns, 10 * MINUTE)
    assert found.row.tolist() == [0, 2, 1, 2]
    assert found.columns.ts.tolist() == [0.0, 2 * MINUTE, 11 * MINUTE, 12 * MINUTE]
    assert np.isnan(found.columns.y).tolist() == [True, True, False, False]
    assert found.waiting == 1
    joined = Joiner(10).add(found.columns)
    assert [joined.ids, joined.loss.tolist()[0]] == [["r1", "r2"], 0.5]


def test_ids_that_repeat_or_are_absent_are_replaced_by_the_records_number() -> None:
    columns = replace(records(6), ids=["a", None, "a", "4", None, "b"])
    arrivals = delayed(columns, 100 * MINUTE)
    assert arrivals.columns.ids[:6] == ["0", "1", "2", "4", "#4", "b"]
    assert len(Joiner(10).add(arrivals.columns)) == 6


def test_the_records_that_were_given_stay_as_they_are() -> None:
    columns, same = records(20), records(20)
    delayed(columns, MINUTE)
    for name in ("x", "y", "y_pred", "ts", "offsets"):
        np.testing.assert_array_equal(getattr(columns, name), getattr(same, name))
    assert (columns.ids, columns.categories, columns.versions) == (
        same.ids,
        same.categories,
        same.versions,
    )


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf")])
def test_a_delay_that_is_none_is_refused(delay: float) -> None:
    with pytest.raises(SettingsError, match="delay: a time of 0 or more, got"):
        delayed(records(3), delay)


def test_the_tracker_sees_the_same_losses_whatever_the_delay_and_the_chunks() -> None:
    columns = records(200)

    def losses(chunk: int, delay: float | None) -> list[list[float]]:
        arrived = columns if delay is None else delayed(columns, delay).columns
        tracker = StreamTracker("s", PROFILE)
        out = [o for c in StreamData("s", arrived).chunks(chunk) for o in tracker.records(c)]
        return [o.losses.tolist() for o in out if isinstance(o, LossWindow)]

    wanted = losses(200, None)
    assert len(wanted) == 10
    for chunk in (1, 13, 1000):
        assert losses(chunk, 30 * MINUTE) == wanted


def test_chunks_are_of_one_partition_each_and_keep_its_order() -> None:
    columns = records(10)
    columns.partitions = columns.origin_partitions = np.arange(10) % 3
    chunks = list(StreamData("s", columns, partitions=3).chunks(5))
    assert [chunk.offsets.tolist() for chunk in chunks] == [
        [0, 3],
        [1, 4],
        [2],
        [6, 9],
        [7],
        [5, 8],
    ]


def test_in_order_leaves_ordered_records_alone() -> None:
    columns = records(5)
    assert in_order(columns) == (columns, False)
