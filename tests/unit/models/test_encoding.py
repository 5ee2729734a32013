"""Features to numbers."""

from __future__ import annotations

import numpy as np
import pytest

from driftloop.errors import SettingsError
from driftloop.models import Encoding

NAN = float("nan")


def _fit(x: list[list[float]], categories: list[list[str | None]] | None = None) -> Encoding:
    categories = categories or []
    return Encoding.fit(
        np.array(x, dtype=float).reshape(len(x), -1),
        categories,
        numeric=[f"n{i}" for i in range(len(x[0]))],
        categorical=[f"c{i}" for i in range(len(categories))],
        max_categories=2,
    )


def test_numbers_are_standardised_and_missing_ones_become_the_mean() -> None:
    encoding = _fit([[1.0, NAN], [3.0, 5.0], [NAN, 5.0]])
    assert encoding.mean.tolist() == [2.0, 5.0]
    assert encoding.scale.tolist() == [1.0, 1.0]
    got = encoding.encode(np.array([[4.0, 7.0], [NAN, np.inf]]), [])
    assert got.tolist() == [[2.0, 2.0], [0.0, 0.0]]


def test_a_constant_or_absent_feature_is_not_blown_up() -> None:
    encoding = _fit([[0.1, NAN], [0.1, NAN], [0.1, NAN]])
    assert np.abs(encoding.encode(np.array([[0.1, 3.0]]), [])).max() <= 3.0


def test_the_most_frequent_categories_get_a_column_and_all_others_share_one() -> None:
    encoding = _fit([[0.0]] * 6, [["b", "b", "a", "a", "c", None]])
    assert encoding.vocabulary == (("a", "b"),)
    assert encoding.width == 4
    got = encoding.encode(np.zeros((4, 1)), [["a", "b", "c", None]])
    assert got[:, 1:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_equally_frequent_categories_are_taken_by_name() -> None:
    assert _fit([[0.0]] * 3, [["z", "y", "x"]]).vocabulary == (("x", "y"),)


@pytest.mark.parametrize(("width", "categories"), [(1, []), (2, [["a"]]), (2, [["a"], ["b", "c"]])])
def test_another_number_of_features_is_refused(width: int, categories: list[list[str]]) -> None:
    encoding = _fit([[1.0, 2.0]], [["a"], ["b"]])
    with pytest.raises(SettingsError, match="features"):
        encoding.encode(np.zeros((1, width)), categories)


def _sequence(x: list[list[float]], *, anchored: bool, calendar: tuple[str, ...] = ()) -> Encoding:
    """Of the columns other, older, newer."""
    return Encoding.fit(
        np.array(x),
        [],
        numeric=["other", "older", "newer"],
        categorical=[],
        max_categories=2,
        sequence=["older", "newer"],
        calendar=calendar,
        anchored=anchored,
    )


def test_lags_come_first_and_share_mean_and_deviation() -> None:
    x = [[5.0, 1.0, 2.0], [7.0, 3.0, 10.0]]
    encoding = _sequence(x, anchored=False)
    lags = np.array([1.0, 2.0, 3.0, 10.0])
    got = encoding.encode(np.array(x), [])
    assert got[:, :2].ravel() == pytest.approx((lags - lags.mean()) / lags.std())
    assert got[:, 2].tolist() == [-1.0, 1.0]
    assert encoding.levels(np.array(x)).tolist() == [0.0, 0.0]


def test_an_anchored_series_that_moved_as_a_whole_gives_the_same_inputs() -> None:
    x = np.array([[5.0, 1.0, 2.0], [7.0, 3.0, 10.0], [1.0, 8.0, NAN]])
    encoding = _sequence(x.tolist(), anchored=True)
    moved = x + np.array([0.0, 64.0, 64.0])
    assert encoding.encode(moved, []).tolist() == encoding.encode(x, []).tolist()
    assert encoding.levels(x).tolist() == [2.0, 10.0, 8.0]
    assert encoding.levels(moved).tolist() == [66.0, 74.0, 72.0]


def test_a_missing_lag_takes_its_neighbour_and_no_lag_at_all_the_mean() -> None:
    x = [[5.0, 1.0, 2.0], [7.0, 3.0, 10.0]]
    for anchored in (False, True):
        encoding = _sequence(x, anchored=anchored)
        got = encoding.encode(np.array([[5.0, NAN, 4.0], [5.0, 4.0, np.inf], [5.0, 4.0, 4.0]]), [])
        assert got[0].tolist() == got[1].tolist() == got[2].tolist()
        nothing = np.array([[5.0, NAN, NAN]])
        assert encoding.encode(nothing, [])[0, :2].tolist() == [0.0, 0.0]
    assert encoding.levels(nothing).tolist() == [6.0]


def test_a_calendar_needs_the_time_of_each_record() -> None:
    encoding = _sequence([[5.0, 1.0, 2.0]], anchored=False, calendar=("hour-of-day",))
    x = np.array([[5.0, 1.0, 2.0]])
    assert encoding.encode(x, [], np.array([6 * 3_600_000.0]))[0, 3:].round(9).tolist() == [1, 0]
    for ts in (None, np.zeros(2)):
        with pytest.raises(SettingsError, match="event time of each record"):
            encoding.encode(x, [], ts)
