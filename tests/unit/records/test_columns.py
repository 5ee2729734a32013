"""Columns: choosing, joining together, and what a record carries."""

from __future__ import annotations

import numpy as np

from driftloop.records import Columns
from tests.streams import frozen, make_profile, make_stream

PROFILE = make_profile()
MULTICLASS = make_profile(task="multiclass", loss="log_loss", classes=["a", "b", "c"])


def test_pieces_put_together_again_are_the_whole() -> None:
    for profile in (PROFILE, MULTICLASS):
        rows = make_stream(profile, 0, 40, missing=0.2, late=0.3, versions=(0, 20))
        pieces = [rows.select(slice(i, i + 7)) for i in range(0, len(rows), 7)]
        assert frozen(Columns.concatenate(pieces)) == frozen(rows)


def test_masks_indices_and_slices_choose_alike() -> None:
    rows = make_stream(PROFILE, 1, 30, missing=0.2)
    mask = np.zeros(30, dtype=bool)
    mask[5:12] = True
    expected = frozen(rows.select(slice(5, 12)))
    assert frozen(rows.select(mask)) == expected
    assert frozen(rows.select(range(5, 12))) == expected
    assert rows.select([3, 1]).offsets.tolist() == [3, 1]


def test_times_of_features_go_with_their_records_joined_or_not() -> None:
    whole = make_stream(PROFILE, 5, 4)
    joined = make_stream(PROFILE, 6, 4)
    joined.feature_ts = joined.ts - 5.0
    both = Columns.concatenate([whole, joined])
    assert both.feature_times.tolist() == [*whole.ts, *(joined.ts - 5.0)]
    assert both.select([5, 0]).feature_times.tolist() == [joined.ts[1] - 5.0, whole.ts[0]]
    assert both.select(slice(4, 6)).feature_times.tolist() == [*(joined.ts[:2] - 5.0)]
    assert Columns.concatenate([whole, whole]).feature_ts is None


def test_nothing_chosen_keeps_the_shapes() -> None:
    for profile in (PROFILE, MULTICLASS):
        empty = make_stream(profile, 2, 5).select([])
        assert len(empty) == 0
        assert frozen(empty) == frozen(Columns.empty(profile))


def test_a_record_has_features_when_any_number_or_category_is_there() -> None:
    rows = make_stream(PROFILE, 3, 4)
    rows.x = np.array([[np.nan, np.nan], [1.0, np.nan], [np.nan, np.nan], [np.nan, 2.0]])
    rows.categories = [[None, None, "red", None]]
    assert rows.has_features.tolist() == [False, True, True, True]
    rows.y_pred = np.array([1.0, np.nan, 0.0, np.nan])
    assert rows.has_prediction.tolist() == [True, False, True, False]
