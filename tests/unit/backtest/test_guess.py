"""What is guessed without a configuration, on files of several shapes, and how it is told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from driftloop.backtest import tables
from driftloop.backtest.data import Source, open_source
from driftloop.backtest.facts import facts_of
from driftloop.errors import DataError
from driftloop.settings import Profile
from tests.unit.backtest.files import Row, text, write

KNOWN = "ts, timestamp, time, datetime, date_time"
LAST = (
    "the last column, for none is named y, label, target, class or alike; "
    "if another is, say so by fields.y"
)
RANDOM = np.random.default_rng(5)


def guess(path: Path, rows: list[Row]) -> tuple[Source, Profile]:
    source = open_source(str(write(path, rows)))
    assert len(source.read(source.streams[0]).columns)
    return source, source.profile


def test_a_set_like_elec2_is_binary_without_times(tmp_path: Path) -> None:
    rows = [
        {"period": i % 48 / 47, "nswprice": RANDOM.random(), "transfer": 0.4, "class": i % 2}
        for i in range(200)
    ]
    source, profile = guess(tmp_path / "elec2.csv", rows)
    assert (profile.task, profile.loss, profile.classes) == ("binary", "log_loss", [])
    assert profile.features.numeric == ["period", "nswprice", "transfer"]
    assert source.notes == [
        "one stream: no column named stream, topic, series, unique_id or alike",
        f"event time: none of {KNOWN} or alike; records count as one a minute",
        "label: 'class', by its name",
        "task: binary, for 'class' has the values 0, 1",
        "loss: log_loss",
        "prediction: none; models are trained here",
        "features, numbers: period, nswprice, transfer",
    ]


def test_a_column_that_some_files_lack_is_not_taken_for_the_label(tmp_path: Path) -> None:
    (tmp_path / "shops").mkdir()
    for shop in ("a", "b"):
        rows: list[Row] = [
            {"ts": 1_700_000_000_000 + 60_000 * i, "price": i % 9 / 2, "sales": 100.5 - i % 9}
            for i in range(50)
        ]
        if shop == "b":
            rows = [{**row, "note": i % 7 + 0.5} for i, row in enumerate(rows)]
        write(tmp_path / "shops" / f"{shop}.csv", rows)
    assert open_source(str(tmp_path / "shops")).profile.fields.y == "sales"


def test_a_folder_like_flights_is_a_regression_with_times_and_categories(tmp_path: Path) -> None:
    (tmp_path / "routes").mkdir()
    for route in ("ATL", "BOS"):
        rows = [
            {
                "id": f"{route}-{i}",
                "time": f"2013-01-{i // 10 + 1:02d} {i % 10 + 8:02d}:15:00",
                "carrier": ["UA", "DL", "B6"][i % 3],
                "tailnum": f"N{i}",
                "hour": i % 10 + 8,
                "dep_delay": RANDOM.normal(),
                "air_time": None if i == 3 else 100 + RANDOM.normal(),
            }
            for i in range(150)
        ]
        write(tmp_path / "routes" / f"{route}.csv", rows)
    source = open_source(str(tmp_path / "routes"))
    profile = source.profile
    assert source.streams == ["ATL", "BOS"]
    assert (profile.task, profile.loss, profile.fields.y) == ("regression", "absolute", "air_time")
    assert (profile.fields.id, profile.fields.ts, profile.fields.x) == ("id", "time", "")
    assert profile.features.numeric == ["hour", "dep_delay"]
    assert profile.features.categorical == ["carrier"]
    assert source.notes == [
        "event time: 'time'",
        f"label: 'air_time', {LAST}",
        "task: regression, for 'air_time' is a quantity",
        "loss: absolute",
        "id: 'id'",
        "prediction: none; models are trained here",
        "features, numbers: hour, dep_delay",
        "features, categories: carrier",
        "left out: 'tailnum' (150 different texts)",
    ]
    columns = source.read("ATL").columns
    assert columns.ts[0] == 1_357_028_100_000.0
    assert np.isnan(columns.y).sum() == 1


def test_one_long_file_of_series_with_predictions(tmp_path: Path) -> None:
    rows = [
        {"unique_id": f"z{i % 4}", "ds": 1_700_000_000 + 3600 * i, "y": i / 7, "yhat": i / 8}
        for i in range(120)
    ]
    source, profile = guess(tmp_path / "long.parquet", rows)
    assert source.streams == ["z0", "z1", "z2", "z3"]
    assert source.notes[0] == "4 streams by column 'unique_id' (guessed by its name)"
    assert (profile.fields.ts, profile.fields.y, profile.fields.y_pred) == ("ds", "y", "yhat")
    assert profile.features.numeric == profile.features.categorical == []
    data = source.read("z1")
    assert data.has_predictions
    assert data.columns.ts[0] == 1_700_003_600_000.0
    assert "prediction: 'yhat'" in source.notes


def test_records_as_on_kafka_keep_their_paths(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"r{i}",
            "ts": 1_700_000_000_000 + i,
            "x": {"a": i / 3, "c": "kl"[i % 2]},
            "y_pred": [0.1, 0.9],
            "y": ["up", "down"][i % 2],
            "model_version": "v1",
        }
        for i in range(100)
    ]
    source, profile = guess(tmp_path / "s.jsonl", rows)
    assert (profile.fields.x, profile.features.numeric) == ("x", ["a"])
    assert profile.features.categorical == ["c"]
    assert (profile.task, profile.classes, profile.loss) == ("binary", ["down", "up"], "log_loss")
    assert profile.fields.model_version == "model_version"
    columns = source.read("s").columns
    assert columns.versions[0] == "v1"
    assert columns.y_pred.tolist() == [0.9] * 100


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        (["a", "b", "c"], "multiclass", ["a", "b", "c"]),
        (["1", "2", "3", "10"], "multiclass", ["1", "2", "3", "10"]),
        (["-1", "1"], "binary", ["-1", "1"]),
        (["0.0", "1.0"], "binary", []),
        (["False", "True"], "binary", []),
        (["1.5", "2.5", "3.5"], "regression", []),
        ([str(i) for i in range(11)], "regression", []),
        (["7"], "regression", []),
    ],
)
def test_the_labels_decide_the_task(
    tmp_path: Path, labels: list[str], task: str, classes: list[str]
) -> None:
    lines = [f"{i},{labels[i % len(labels)]}" for i in range(110)]
    source = open_source(str(text(tmp_path / "s.csv", "a,y", *lines)))
    assert (source.profile.task, source.profile.classes) == (task, classes)
    assert not np.isnan(source.read("s").columns.y).any()


def test_all_labels_of_all_files_are_classes(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for k in range(30):
        rows = [{"a": i, "label": f"c{k}" if i > 90 else "c0"} for i in range(100)]
        write(tmp_path / "f" / f"s{k}.csv", rows)
    source = open_source(str(tmp_path / "f"))
    assert sorted(source.profile.classes) == sorted(f"c{k}" for k in range(30))
    assert all(len(source.read(name).columns) == 100 for name in source.streams)


def test_classes_as_predictions_are_scored_as_right_or_wrong(tmp_path: Path) -> None:
    rows = [{"a": i, "y_pred": i % 3 % 2, "y": i % 2} for i in range(60)]
    assert guess(tmp_path / "s.csv", rows)[1].loss == "zero_one"
    rows = [{"a": i, "pred": "pqr"[i % 3], "y": "pqr"[i % 2]} for i in range(60)]
    rows[5]["y"] = "r"
    assert guess(tmp_path / "t.csv", rows)[1].loss == "zero_one"


def test_an_id_is_unique_and_other_predictions_are_no_features(tmp_path: Path) -> None:
    rows = [
        {
            "": i,
            "id": i % 5,
            "prediction": i / 9,
            "forecast": i / 8,
            "day": f"2024-01-{i % 9 + 1:02d}",
            "empty": None,
            "b": i,
            "y": i / 7,
        }
        for i in range(60)
    ]
    source, profile = guess(tmp_path / "s.csv", rows)
    assert profile.fields.id == ""
    assert profile.features.numeric == ["id", "b"]
    assert profile.fields.ts == "day"
    assert "event time: 'day', the first column of times" in source.notes
    assert "left out: 'forecast' (another prediction), 'empty' (empty)" in source.notes


def test_where_no_column_may_be_the_label_it_is_told(tmp_path: Path) -> None:
    lines = [f"2024-01-{i + 1:02d},name {i}" for i in range(9)]
    path = text(
        tmp_path / "s.csv", "ts,who", *(lines + [f"2024-02-01,other {i}" for i in range(90)])
    )
    with pytest.raises(DataError, match=r"no column may be the label.*; there is ts, who"):
        open_source(str(path))
    rows = [{"a": i, "y": f"text {i}"} for i in range(60)]
    with pytest.raises(DataError, match="column 'y': a label is a number, or a text of at most 50"):
        open_source(str(write(tmp_path / "t.csv", rows)))
    rows = [{"a": i, "y": "always"} for i in range(60)]
    with pytest.raises(DataError, match="column 'y': a label of classes has two or more values"):
        open_source(str(write(tmp_path / "u.csv", rows)))
    with pytest.raises(DataError, match="the file has a header, but no records"):
        open_source(str(text(tmp_path / "v.csv", "a,y")))


def test_facts_of_odd_columns() -> None:
    kinds = {
        name: facts_of(pa.chunked_array([pa.array(values)])).kind
        for name, values in {
            "empty": [None, None],
            "words": ["NA", "?"],
            "list": [[1.0], None],
            "bools": [True, None],
            "text": ["a", "b"],
            "date": [date(2024, 1, 1)],
        }.items()
    }
    assert kinds == {
        "empty": "empty",
        "words": "empty",
        "list": "other",
        "bools": "number",
        "text": "text",
        "date": "time",
    }


def test_a_look_at_the_first_lines_may_end_within_a_quoted_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PREVIEW_ROWS", 3)
    lines = [f'{i},"two\nlines",{i / 3}' for i in range(20)]
    source = open_source(str(text(tmp_path / "s.csv", "a,c,y", *lines)))
    assert source.profile.features.categorical == ["c"]
    assert source.read("s").columns.categories == [["two\nlines"] * 20]
