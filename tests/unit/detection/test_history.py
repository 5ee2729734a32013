"""Training ranges: the newest records, enough of them, and not many more."""

from __future__ import annotations

import numpy as np
import pytest

from driftloop.detection.history import PARTS, TrainingHistory
from driftloop.detection.windows import extent
from driftloop.messages import OffsetRange
from driftloop.settings import Training
from tests.streams import MINUTE, START, make_columns, make_profile

PROFILE = make_profile()


def fill(history: TrainingHistory, windows: int, size: int, step: int = MINUTE) -> list[int]:
    """Fill it window by window; the number of records of its ranges after each."""
    sizes = []
    for k in range(windows):
        place = np.arange(k * size, (k + 1) * size)
        history.add(extent(make_columns(PROFILE, START + step * place, first=k * size)))
        history.window_closed()
        (found,) = map(OffsetRange.parse, history.ranges("t"))
        assert found.last == (k + 1) * size - 1
        sizes.append(found.size)
        assert history.rows == found.size
    return sizes


@pytest.mark.parametrize(("records", "size"), [(2000, 30), (2000, 300), (500, 700), (100, 20)])
def test_ranges_hold_at_least_the_records_of_a_training_and_few_more(
    records: int, size: int
) -> None:
    sizes = fill(
        TrainingHistory(Training(records=records)), windows=4 * records // size + 5, size=size
    )
    known = [min(records, size * (k + 1)) for k in range(len(sizes))]
    assert all(found >= least for found, least in zip(sizes, known, strict=True))
    assert max(sizes) <= records + records / PARTS + size


def test_ranges_span_at_least_the_event_time_of_a_training_and_little_more() -> None:
    day = 24 * 60
    size = 6 * 60
    sizes = fill(TrainingHistory(Training(window="7d")), windows=100, size=size)
    assert all(found >= min(7 * day, size * (k + 1)) for k, found in enumerate(sizes))
    assert max(sizes) <= 7 * day * (1 + 1 / PARTS) + size + 1


def test_the_larger_of_both_bounds_counts() -> None:
    few = fill(TrainingHistory(Training(window="1h", records=500)), 60, 20)
    assert min(few[-10:]) >= 500
    long = fill(TrainingHistory(Training(window="1d", records=20)), 200, 20)
    assert min(long[-10:]) >= 24 * 60


def test_it_knows_nothing_before_the_first_record() -> None:
    history = TrainingHistory(Training(records=100))
    history.window_closed()
    assert history.ranges("t") == []
    assert history.rows == 0


def test_what_is_remembered_stays_small_over_a_long_stream() -> None:
    history = TrainingHistory(Training(records=2000))
    fill(history, 400, 30)
    assert len(history._chunks) <= PARTS + 2
