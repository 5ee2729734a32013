"""CSV, Parquet and JSON lines give the columns that the monitor's decoder would give."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.backtest.data import open_source
from driftloop.records import Columns, RecordDecoder
from driftloop.settings import Features, Fields, Profile
from tests.unit.backtest.files import Row, text, write

SUFFIXES = (".csv", ".parquet", ".jsonl")
T0 = 1_700_000_000_000


def same(found: Columns, wanted: Columns) -> None:
    """Every column is equal, missing values too."""
    for name in Columns.__slots__:
        one, other = getattr(found, name), getattr(wanted, name)
        if one is None or isinstance(one, list):
            assert one == other, name
        else:
            assert one.dtype == other.dtype, name
            np.testing.assert_array_equal(one, other, err_msg=name)


def decoded(profile: Profile, rows: list[Row]) -> Columns:
    """What the monitor reads from the same records."""
    values = [json.dumps(row).encode() for row in rows]
    ahead = [row.get("ts", 0) if isinstance(row.get("ts"), int) else 2 * T0 for row in rows]
    columns, dead = RecordDecoder(profile).decode("t", 0, values, range(len(rows)), ahead)
    assert not dead
    return columns


def read(path: Path, profile: Profile | None) -> Columns:
    source = open_source(str(path), profile, stream_column="")
    return source.read(source.streams[0]).columns


NESTED = Features(numeric=["a", "b"], categorical=["c"])

CASES: dict[str, tuple[dict[str, Any], list[Row]]] = {
    "regression, nested": (
        {"features": NESTED},
        [
            {
                "id": f"r{i}",
                "ts": T0 + 1000 * i,
                "x": {
                    "a": i / 3,
                    "b": None if i == 4 else -i,
                    "c": None if i == 5 else "xyz"[i % 3],
                },
                "y_pred": i / 7,
                "y": None if i == 6 else i * 1.5,
                "loss": None if i < 3 else 0.25,
                "model_version": None if i == 2 else "v1",
            }
            for i in range(30)
        ],
    ),
    "binary, 0 and 1, probabilities": (
        {"task": "binary", "loss": "log_loss", "features": NESTED},
        [
            {
                "ts": T0 + i,
                "x": {"a": float(i), "b": i, "c": i % 4},
                "y_pred": None if i == 3 else i / 30,
                "y": None if i == 2 else i % 2,
            }
            for i in range(30)
        ],
    ),
    "binary, truth values": (
        {"task": "binary", "loss": "zero_one", "features": NESTED},
        [
            {"ts": T0 + i, "x": {"a": i, "b": i % 2 == 0, "c": i % 3 == 0}, "y": i % 2 == 1}
            for i in range(10)
        ],
    ),
    "binary, named classes": (
        {"task": "binary", "loss": "log_loss", "classes": ["down", "up"], "features": NESTED},
        [
            {
                "id": i,
                "ts": T0 + i,
                "x": {"a": i, "b": i, "c": "ü,\"'"},
                "y_pred": ["up", "down"][i % 2],
                "y": ["down", "up"][i % 2],
            }
            for i in range(10)
        ],
    ),
    "multiclass, named classes": (
        {"task": "multiclass", "loss": "zero_one", "classes": ["1", "2", "3"], "features": NESTED},
        [
            {
                "ts": T0 + i,
                "x": {"a": i, "b": i, "c": "x"},
                "y_pred": None if i == 4 else "123"[(i + 1) % 3],
                "y": None if i == 5 else i % 3 + 1,
            }
            for i in range(12)
        ],
    ),
    "multiclass, probabilities": (
        {"task": "multiclass", "loss": "log_loss", "classes": ["p", "q", "r"], "features": NESTED},
        [
            {
                "ts": T0 + i,
                "x": {"a": i, "b": i, "c": "x"},
                "y_pred": None if i == 7 else [0.25, 0.5, 0.25],
                "y": "pqr"[i % 3],
            }
            for i in range(12)
        ],
    ),
    "an array of features": (
        {"features": Features(numeric=["a", "b"], array=True)},
        [{"ts": T0 + i, "x": [i, None if i == 2 else 0.5], "y": i / 4} for i in range(6)],
    ),
    "features on top": (
        {"features": NESTED, "fields": Fields(x="")},
        [{"ts": T0 + i, "a": i, "b": 1.5, "c": "k", "y": i} for i in range(5)],
    ),
    "texts as times": (
        {"features": NESTED},
        [
            {
                "ts": f"2024-03-{i + 1:02d}T05:00:00.123456+02:00",
                "x": {"a": i, "b": 1.5, "c": "k"},
                "y": i,
            }
            for i in range(9)
        ],
    ),
    "labels in records of their own": (
        {"features": NESTED},
        [
            *({"id": f"r{i}", "ts": T0 + i, "x": {"a": i, "b": 1, "c": "k"}} for i in range(5)),
            *({"id": f"r{i}", "ts": T0 + 9 + i, "y": i / 2} for i in range(5)),
        ],
    ),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", CASES)
def test_each_format_gives_what_the_decoder_gives(case: str, suffix: str, tmp_path: Path) -> None:
    settings, rows = CASES[case]
    profile = Profile(**settings)
    same(read(write(tmp_path / f"s{suffix}", rows), profile), decoded(profile, rows))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_features_on_top_are_found_where_the_profile_has_them_below_x(
    suffix: str, tmp_path: Path
) -> None:
    """And the other way round: `a` is read from the column ``a`` or ``x.a``."""
    nested = [{"ts": T0 + i, "x": {"a": i, "b": 1.5, "c": "k"}, "y": i} for i in range(5)]
    on_top = [{"ts": row["ts"], **row["x"], "y": row["y"]} for row in nested]
    below = Profile(features=NESTED)
    above = Profile(features=NESTED, fields=Fields(x=""))
    wanted = decoded(below, nested)
    same(read(write(tmp_path / f"nested{suffix}", nested), above), wanted)
    same(read(write(tmp_path / f"flat{suffix}", on_top), below), wanted)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_times_in_seconds_are_told_and_read_as_milliseconds(suffix: str, tmp_path: Path) -> None:
    rows = [{"ts": 1_700_000_000 + 60 * i, "a": i, "y": i} for i in range(5)]
    profile = Profile(features=Features(numeric=["a"]))
    source = open_source(str(write(tmp_path / f"s{suffix}", rows)), profile)
    data = source.read("s")
    assert data.columns.ts.tolist() == [T0 + 60_000 * i for i in range(5)]
    assert data.notes == ("'ts' is in seconds; on Kafka, numbers must be milliseconds",)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_texts_of_early_1970_are_no_seconds(suffix: str, tmp_path: Path) -> None:
    rows = [{"ts": f"1970-01-{20 + i}T00:00:00Z", "a": i, "y": i} for i in range(5)]
    profile = Profile(features=Features(numeric=["a"]))
    data = open_source(str(write(tmp_path / f"s{suffix}", rows)), profile).read("s")
    assert data.columns.ts[0] == 19 * 86_400_000
    assert data.notes == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_times_records_count_as_one_a_minute(suffix: str, tmp_path: Path) -> None:
    rows = [{"a": i, "y": i} for i in range(5)]
    profile = Profile(features=Features(numeric=["a"]))
    data = open_source(str(write(tmp_path / f"s{suffix}", rows)), profile).read("s")
    assert data.columns.ts.tolist() == [0, 60_000, 120_000, 180_000, 240_000]
    assert data.notes == ("no column 'ts': records count as one a minute",)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_records_are_sorted_by_time_and_equal_times_keep_their_order(
    suffix: str, tmp_path: Path
) -> None:
    rows = [{"ts": T0 + at, "a": i, "y": i} for i, at in enumerate([5, 3, 3, 9, 5])]
    profile = Profile(features=Features(numeric=["a"]))
    data = open_source(str(write(tmp_path / f"s{suffix}", rows)), profile).read("s")
    assert data.columns.x[:, 0].tolist() == [1, 2, 0, 4, 3]
    assert data.columns.offsets.tolist() == data.columns.origin_offsets.tolist() == [0, 1, 2, 3, 4]
    assert data.notes == ("sorted by 'ts'",)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_many_streams_gives_each_what_a_file_of_its_own_gives(
    suffix: str, tmp_path: Path
) -> None:
    rows = [
        {"stream": f"s{i % 3}", "ts": T0 + i, "a": i / 3, "c": "kl"[i % 2], "y": i}
        for i in range(60)
    ]
    profile = Profile(features=Features(numeric=["a"], categorical=["c"]))
    one = open_source(str(write(tmp_path / f"all{suffix}", rows)), profile)
    folder = tmp_path / "folder"
    folder.mkdir()
    for k in range(3):
        write(folder / f"s{k}{suffix}", rows[k::3])
    many = open_source(str(folder), profile)
    assert one.streams == many.streams == ["s0", "s1", "s2"]
    assert one.notes == ["3 streams by column 'stream' (guessed by its name)"]
    for name in one.streams:
        same(one.read(name).columns, many.read(name).columns)
    again = pickle.loads(pickle.dumps(one))  # noqa: S301
    same(again.read("s1").columns, many.read("s1").columns)


def test_csv_dialects_compressed_quoted_and_marked_are_read(tmp_path: Path) -> None:
    import gzip  # noqa: PLC0415

    profile = Profile(features=Features(numeric=["a"], categorical=["c"]))
    plain = read(text(tmp_path / "p.csv", "ts,a,c,y", "1000,1.5,k l,2", "2000,-.5,m,3"), profile)
    semicolons = "\ufeffts; a;c ;y\n\n1000;1.5;k l;2\n2000;-.5;m;3\n"
    (tmp_path / "s.csv").write_text(semicolons, encoding="utf-8")
    same(read(tmp_path / "s.csv", profile), plain)
    tabs = b'ts\ta\tc\ty\r\n1000\t 1.5 \t"k l"\t2\r\n2000\t-.5\tm\t3'
    (tmp_path / "t.tsv").write_bytes(tabs)
    same(read(tmp_path / "t.tsv", profile), plain)
    (tmp_path / "z.csv.gz").write_bytes(gzip.compress(semicolons.encode()))
    same(read(tmp_path / "z.csv.gz", profile), plain)
    lines = b'{"ts":1000,"a":1.5,"c":"k l","y":2}\n\n{"ts":2000,"a":-0.5,"c":"m","y":3}'
    (tmp_path / "z.jsonl.gz").write_bytes(gzip.compress(lines))
    same(read(tmp_path / "z.jsonl.gz", profile), plain)


def test_what_stands_for_nothing_in_numbers_is_missing(tmp_path: Path) -> None:
    profile = Profile(features=Features(numeric=["a"], categorical=["c"]))
    words = ["", "NA", "nan", "NULL", "None", "?", "inf", "-Infinity", "#N/A", "1e400"]
    lines = [f"{i},{word},NA,1" for i, word in enumerate(words)]
    found = read(text(tmp_path / "s.csv", "ts,a,c,y", *lines), profile)
    assert np.isnan(found.x).all()
    assert found.categories == [["NA"] * len(words)], "a text may well be NA"


def test_numbers_that_a_csv_writer_made_fractions_are_the_same_categories(tmp_path: Path) -> None:
    """A whole-number column with gaps is written as 3.0; JSON's 3.0 is the category 3 too."""
    profile = Profile(
        task="binary",
        loss="log_loss",
        classes=["1", "2"],
        features=Features(categorical=["c", "d"]),
    )
    found = read(
        text(tmp_path / "s.csv", "ts,c,d,y", "0,3.0,1.10,1.0", "1,,1.x,2.0", "2,4.0,007,+1"),
        profile,
    )
    assert found.categories == [["3", None, "4"], ["1.10", "1.x", "007"]]
    assert found.y.tolist() == [0, 1, 0]
