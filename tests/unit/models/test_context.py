"""Lags and calendar, against the standard library and the rule written out."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.models.context import TAPS, calendar_columns, convolutions, filled, span

NAN = float("nan")
PARTS = ("hour-of-day", "day-of-week", "day-of-year")


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_calendar_is_that_of_the_standard_library(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    leap = moment.year % 4 == 0 and (moment.year % 100 != 0 or moment.year % 400 == 0)
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6
    phases = [
        seconds / 86_400,
        moment.weekday() / 7,
        (moment.timetuple().tm_yday - 1) / (366 if leap else 365),
    ]
    expected = [f(2 * math.pi * phase) for phase in phases for f in (math.sin, math.cos)]
    ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000
    got = calendar_columns(PARTS, np.array([round(ms)], np.float64))
    assert got[0] == pytest.approx(expected, abs=1e-9)


def test_parts_come_in_the_order_in_which_they_are_named() -> None:
    ts = np.array([1.7e12, 1.8e12])
    got = calendar_columns(("day-of-year", "hour-of-day"), ts)
    assert got[:, :2].tolist() == calendar_columns(("day-of-year",), ts).tolist()
    assert got[:, 2:].tolist() == calendar_columns(("hour-of-day",), ts).tolist()


@given(st.lists(st.sampled_from([1.0, 2.0, -3.5, NAN, math.inf]), min_size=1, max_size=9))
def test_a_missing_lag_takes_the_nearest_older_one_else_the_nearest_newer(
    lags: list[float],
) -> None:
    got = filled(np.array([lags, lags[::-1]]))
    for row, values in zip(got, (lags, lags[::-1]), strict=True):
        for i, value in enumerate(values):
            older = [one for one in values[i::-1] if math.isfinite(one)]
            newer = [one for one in values[i:] if math.isfinite(one)]
            expected = [*older, *newer, NAN][0] if not math.isfinite(value) else value
            assert row[i] == expected or (math.isnan(row[i]) and math.isnan(expected))


def test_convolutions_see_every_lag_and_none_is_needless() -> None:
    for lags in range(1, 400):
        assert TAPS ** (convolutions(lags) - 1) < max(lags, 2) <= max(span(lags), 2)
