"""Known drifts from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from driftloop.backtest.drifts import Drift, read_drifts
from driftloop.errors import DataError
from tests.unit.backtest.files import text

STREAMS = ["atlanta", "boston"]


def test_drifts_by_time_are_ordered_and_placed_at_the_first_record_from_then_on(
    tmp_path: Path,
) -> None:
    lines = ["stream,ts,kind", "boston,2024-01-03,sudden", "boston,1704153600000,", "atlanta,0,x"]
    found = read_drifts(text(tmp_path / "d.csv", *lines), STREAMS)
    day = 86_400_000.0
    first = 1_704_067_200_000.0
    assert found == {
        "boston": [Drift("", ts=first + day), Drift("sudden", ts=first + 2 * day)],
        "atlanta": [Drift("x", ts=0.0)],
    }
    ts = first + day * np.array([0.0, 0.9, 0.5, 1.0, 0.2, 3.0])
    assert [drift.place(ts) for drift in found["boston"]] == [3, 5]
    assert Drift(ts=first + 9 * day).place(ts) == len(ts)
    assert Drift(ts=0.0).place(ts) == 0
    assert Drift(ts=1.0).place(np.empty(0)) == 0


def test_a_time_in_seconds_is_placed_in_a_stream_of_later_milliseconds() -> None:
    ts = 1_700_000_000_000.0 + 1000.0 * np.arange(100)
    assert Drift(ts=1_700_000_050.0).place(ts) == 50
    assert Drift(ts=1_700_000_050_000.0).place(ts) == 50
    assert Drift(ts=1_600_000_000_000.0).place(ts) == 0
    assert Drift(ts=50_000.0).place(1000.0 * np.arange(100)) == 50


def test_drifts_by_record(tmp_path: Path) -> None:
    found = read_drifts(text(tmp_path / "d.csv", "record,stream", "7,boston", "3,boston"), STREAMS)
    assert found == {"boston": [Drift(record=3), Drift(record=7)]}
    assert [drift.place(np.zeros(5)) for drift in found["boston"]] == [3, 5]


FORM = "the columns are stream, ts (a time) or record (its number, from 0), and kind, if known"
RECORD = "a record's number, 0 or more, is needed"
TIME = "a time is needed: ISO 8601, as 2024-05-01T12:30:00Z, or milliseconds since the epoch"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["stream,when", "boston,1"], f", line 1: {FORM}; got stream, when"),
        (["stream,ts,record", "boston,1,1"], f", line 1: {FORM}; got stream, ts, record"),
        (
            ["stream,record", "boston,1", "", "bosten,2"],
            ", line 4, column 'stream': one of the 2 streams, did you mean 'boston'?; got 'bosten'",
        ),
        (["stream,record", ",1"], ", line 2, column 'stream': one of the 2 streams; got nothing"),
        (["stream,record", "boston,-1"], f", line 2, column 'record': {RECORD}; got '-1'"),
        (["stream,record", "boston,"], f", line 2, column 'record': {RECORD}; got nothing"),
        (["stream,ts", "boston,monday"], f", line 2, column 'ts': {TIME}; got 'monday'"),
        (["stream,ts"], ": the file has a header, but no records"),
    ],
)
def test_faults_are_told_with_their_place(tmp_path: Path, lines: list[str], message: str) -> None:
    path = text(tmp_path / "d.csv", *lines)
    with pytest.raises(DataError) as found:
        read_drifts(path, STREAMS)
    assert str(found.value) == f"{path}{message}"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; the columns are stream, ts"):
        read_drifts(tmp_path / "d.csv", STREAMS)
