"""Bad input: file, line, column, value, what is accepted; one bad file spares the others."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from driftloop.backtest.data import open_source
from driftloop.errors import DataError
from driftloop.settings import Features, Fields, Profile
from tests.unit.backtest.files import text, write

NUMBERS = Profile(features=Features(numeric=["a"]))
CLASSES = Profile(
    task="binary", loss="log_loss", classes=["no", "yes"], features=Features(numeric=["a"])
)
PLAIN = Profile(task="binary", loss="log_loss", features=Features(numeric=["a"]))
MANY = Profile(
    task="multiclass",
    loss="log_loss",
    classes=["p", "q", "r"],
    features=Features(numeric=["a"]),
)
NUMBER = "a number, as 12.5, is needed (a decimal point, nothing between thousands)"
TIME = "a time is needed: ISO 8601, as 2024-05-01T12:30:00Z, or milliseconds since the epoch"


def fault(path: Path, profile: Profile | None = NUMBERS, stream: str = "") -> DataError:
    """Why a file cannot be read."""
    with pytest.raises(DataError) as found:
        open_source(str(path), profile).read(stream or path.name.split(".")[0])
    error = found.value
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(again), again.line, again.column) == (str(error), error.line, error.column)
    return error


def rule(path: Path, profile: Profile | None = NUMBERS, place: str = "") -> str:
    """The message, without the file; `place` is what stands between."""
    message = str(fault(path, profile))
    head = f"{path}{place}: "
    assert message.startswith(head), message
    return message.removeprefix(head)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("abc", "'abc'"),
        ("1,5", "'1,5'"),
        ("1_000", "'1_000'"),
        ("0x10", "'0x10'"),
        ("1 2", "'1 2'"),
    ],
)
def test_what_is_no_number_is_named_with_line_and_column(
    tmp_path: Path, cell: str, shown: str
) -> None:
    lines = [f"{1000 * i},1.5,{i}" for i in range(30)]
    lines[15] = f'15000,1.5,"{cell}"'
    path = text(tmp_path / "s.csv", "ts,a,y", *lines)
    assert rule(path, place=", line 17, column 'y'") == f"{NUMBER}; got {shown}"
    error = fault(path)
    assert (error.file, error.line, error.column) == (str(path), 17, "y")


def test_lines_are_those_of_an_editor_with_blank_ones_and_quoted_breaks(tmp_path: Path) -> None:
    lines = ["", "ts,c,a,y", "", '0,"x', 'y",1,2', "", "", "1,z,q,2"]
    found = fault(text(tmp_path / "s.csv", *lines))
    assert (found.line, found.column) == (8, "a")


def test_the_line_in_a_file_of_many_streams_is_that_of_the_file(tmp_path: Path) -> None:
    lines = [f"{'uv'[i % 2]},{i},1,{'x' if i == 7 else i}" for i in range(10)]
    path = text(tmp_path / "all.csv", "stream,ts,a,y", *lines)
    source = open_source(str(path), NUMBERS)
    assert len(source.read("u").columns) == 5
    with pytest.raises(DataError, match=r"line 9, column 'y': .*; got 'x'"):
        source.read("v")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_missing_column_is_named_with_what_was_meant(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"s{suffix}", [{"ts": 0, "aa": 1, "Y": 2}])
    assert rule(path, place=", column 'a'") == (
        "no such column, and features of the profile name it; did you mean 'aa'?"
    )
    label = Profile(features=Features(numeric=["aa"]))
    assert rule(path, label, place=", column 'y'") == (
        "no such column, and fields.y of the profile names the label; did you mean 'Y'?"
    )


def test_a_missing_column_without_a_likeness_is_told_with_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", [{"ts": 0, "temperature": 1, "y": 2}])
    assert rule(path, place=", column 'a'") == (
        "no such column, and features of the profile name it; there is temperature, ts, y"
    )


def test_empty_files_are_told(tmp_path: Path) -> None:
    assert rule(text(tmp_path / "s.csv")) == ("the file is empty; a line of column names is needed")
    assert rule(text(tmp_path / "t.csv", "ts,a,y")) == "the file has a header, but no records"
    assert rule(text(tmp_path / "u.jsonl", "", " ")) == (
        "the file is empty; one JSON object a line is needed"
    )
    pyarrow.parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "v.parquet")
    assert rule(tmp_path / "v.parquet") == "the file has no records"


def test_a_file_without_a_header_is_told(tmp_path: Path) -> None:
    path = text(tmp_path / "s.csv", "55,123,207", "18,35,68")
    assert rule(path, place=", line 1") == ("the first line names the columns; got '55,123,207'")


def test_a_column_named_twice_is_told(tmp_path: Path) -> None:
    path = text(tmp_path / "s.csv", "ts,a,a,y", "1,2,3,4")
    assert rule(path, place=", line 1, column 'a'") == "a column's name stands once"


def test_a_line_with_too_few_cells_is_told(tmp_path: Path) -> None:
    path = text(tmp_path / "s.csv", "ts,a,y", "1,2,3", "", "1,2", "1,2,3")
    assert rule(path, place=", line 4") == "a line has 3 cells, as the header; got 2"


def test_what_is_not_the_format_of_its_ending_is_told(tmp_path: Path) -> None:
    path = text(tmp_path / "s.parquet", "ts,a,y")
    assert rule(path).startswith("cannot be read as Parquet: ")
    (tmp_path / "l.csv").write_bytes("ts,a,y\n1,2,ü\n".encode("latin-1"))
    assert "UTF" in str(fault(tmp_path / "l.csv"))
    (tmp_path / "z.csv.gz").write_bytes(b"ts,a,y\n")
    assert "cannot be read: Not a gzipped file" in str(fault(tmp_path / "z.csv.gz"))
    array = text(tmp_path / "a.json", '[{"ts": 1}]')
    assert rule(array, place=", line 1") == "one JSON object a line is needed; got an array"


def test_an_unknown_ending_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    accepted = ".csv, .csv.gz, .tsv, .parquet, .pq, .jsonl, .jsonl.gz, .ndjson or .json"
    path = text(tmp_path / "s.xlsx", "")
    assert rule(path) == f"a file ends in {accepted}; got '.xlsx'"
    assert rule(tmp_path / "no") == (
        "no such file or folder; data are a folder of one file a stream, one file "
        f"({accepted}), or kafka://topic-pattern"
    )
    (tmp_path / "folder").mkdir()
    text(tmp_path / "folder" / "README.md", "")
    assert rule(tmp_path / "folder") == (
        f"a folder of one file a stream, each {accepted}, is needed; got none"
    )
    write(tmp_path / "folder" / "s.csv", [{"ts": 0, "a": 1, "y": 2}])
    source = open_source(str(tmp_path / "folder"), NUMBERS)
    assert source.notes == ["left out, for their endings: README.md"]
    write(tmp_path / "folder" / "s.jsonl", [{"ts": 0, "a": 1, "y": 2}])
    assert rule(tmp_path / "folder") == "stream 's' has two files: s.csv and s.jsonl"


@pytest.mark.parametrize("cell", ["yesterday", "05/01/2024", "-1", "1e300", ""])
def test_what_is_no_time_is_told(tmp_path: Path, cell: str) -> None:
    path = text(tmp_path / "s.csv", "ts,a,y", "2024-05-01,1,2", f"{cell},1,2")
    got = repr(cell) if cell else "nothing"
    assert rule(path, place=", line 3, column 'ts'") == f"{TIME}; got {got}"


def test_a_record_without_a_time_among_others_is_told(tmp_path: Path) -> None:
    lines = ['{"ts": 1, "a": 1, "y": 2}', "", '{"a": 1, "y": 2}']
    path = text(tmp_path / "s.jsonl", *lines)
    assert rule(path, place=", line 3, column 'ts'") == (
        "each record has an event time, or none has one; got nothing"
    )


@pytest.mark.parametrize(
    ("profile", "accepted"),
    [(CLASSES, "one of no, yes"), (PLAIN, "0, 1, false or true"), (MANY, "one of p, q, r")],
)
def test_what_is_no_class_is_told(tmp_path: Path, profile: Profile, accepted: str) -> None:
    good = profile.classes[0] if profile.classes else "1"
    path = text(tmp_path / "s.csv", "ts,a,y", f"1,2,{good}", "1,2,maybe")
    assert rule(path, profile, ", line 3, column 'y'") == f"a label is {accepted}; got 'maybe'"
    rows = [{"ts": 1, "a": 2, "y": good}, {"ts": 1, "a": 2, "y": "maybe"}]
    if profile is PLAIN:
        rows[0]["y"] = 1
    path = write(tmp_path / "t.jsonl", rows)
    assert rule(path, profile, ", line 2, column 'y'") == f"y is {accepted}; got 'maybe'"


@pytest.mark.parametrize(
    ("profile", "good", "bad", "accepted"),
    [
        (PLAIN, "0.5", "1.5", "0, 1, false or true, or 2 probabilities, or the probability of "),
        (CLASSES, "yes", "maybe", "one of no, yes, or 2 probabilities, or the probability of "),
        (MANY, "p", "s", "one of p, q, r, or 3 probabilities"),
        (MANY, '"[0,1,0]"', '"[1, 0]"', "one of p, q, r, or 3 probabilities"),
        (MANY, '"[0,1,0]"', '"[2,0,0]"', "one of p, q, r, or 3 probabilities"),
        (MANY, '"[0,1,0]"', '"[2,0"', "one of p, q, r, or 3 probabilities"),
    ],
)
def test_what_is_no_prediction_is_told(
    tmp_path: Path, profile: Profile, good: str, bad: str, accepted: str
) -> None:
    label = profile.classes[0] if profile.classes else "1"
    lines = ["ts,a,y_pred,y", f"1,2,{good},{label}", f"1,2,{bad},{label}"]
    more = "class 1" if profile is not MANY else ""
    value = bad.strip('"')
    assert rule(text(tmp_path / "s.csv", *lines), profile, ", line 3, column 'y_pred'") == (
        f"a prediction is {accepted}{more}; got {value!r}"
    )


def test_mixed_types_are_told(tmp_path: Path) -> None:
    lines = ['{"ts": 1, "a": 1, "y": 2}', '{"ts": 1, "a": "x", "y": 2}']
    path = text(tmp_path / "s.jsonl", *lines)
    assert rule(path, place=", line 2, column 'a'") == (f"{NUMBER}; got 'x'")
    path = text(tmp_path / "t.jsonl", lines[0], "", '{"ts": 1')
    assert rule(path, place=", line 3").startswith("a record is a JSON object: ")
    path = tmp_path / "v.parquet"
    pyarrow.parquet.write_table(pa.table({"ts": [1, 2], "a": [None, [1]], "y": [1, 2]}), path)
    assert rule(path, place=", record 2, column 'a'") == f"{NUMBER}; got [1]"
    pyarrow.parquet.write_table(pa.table({"ts": [1, 2], "a": ["1", "z"], "y": [1, 2]}), path)
    assert rule(path, place=", record 2, column 'a'") == f"{NUMBER}; got 'z'"
    array = Profile(features=Features(numeric=["a", "b"], array=True))
    table = pa.table({"ts": [1, 2], "x": [[1.0, 2.0], [1.0]], "y": [1, 2]})
    pyarrow.parquet.write_table(table, path)
    assert rule(path, array, ", record 2, column 'x'") == (
        "an array of 2 numbers is needed; got [1.0]"
    )
    categories = Profile(features=Features(categorical=["x"]), fields=Fields(x=""))
    assert rule(path, categories, ", record 1, column 'x'") == (
        "a text or a number is needed; got [1.0, 2.0]"
    )


def test_features_that_do_not_stand_together_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", [{"ts": 1, "x": {"a": 1}, "b": 2, "y": 3}])
    profile = Profile(features=Features(numeric=["a", "b"]))
    assert rule(path, profile, ", column 'x'") == "features stand together; found b, x.a"


def test_a_record_of_no_stream_is_told(tmp_path: Path) -> None:
    path = text(tmp_path / "s.csv", "stream,ts,a,y", "u,1,2,3", "u,1,2,3", ",1,2,3")
    with pytest.raises(DataError, match="line 4, column 'stream': each record names its stream"):
        open_source(str(path), NUMBERS, stream_column="stream")
    lines = [{"stream": "u", "ts": 1, "a": 2, "y": 3}, {"ts": 1, "a": 2, "y": 3}]
    path = write(tmp_path / "s.jsonl", lines)
    with pytest.raises(DataError, match="line 2, column 'stream': each record names its stream"):
        open_source(str(path), NUMBERS, stream_column="stream")
    with pytest.raises(DataError, match=r"column 'steam': no such column.* mean 'stream'"):
        open_source(str(path), NUMBERS, stream_column="steam")


def test_one_bad_file_does_not_end_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    write(folder / "good.csv", [{"ts": i, "a": i, "y": i} for i in range(5)])
    text(folder / "bad.csv", "ts,a,y", "1,2,x")
    text(folder / "empty.csv")
    for profile in (NUMBERS, None):
        source = open_source(str(folder), profile)
        assert source.streams == ["bad", "empty", "good"]
        assert len(source.read("good").columns) == 5
        for name in ("bad", "empty"):
            with pytest.raises(DataError):
                source.read(name)
    with pytest.raises(DataError, match="there is no stream 'other'"):
        source.read("other")


def test_one_bad_cell_does_not_change_what_is_guessed(tmp_path: Path) -> None:
    lines = [f"{i},{i / 3}" for i in range(100)]
    lines[70] = "70,oops"
    assert rule(text(tmp_path / "s.csv", "a,y", *lines), None, ", line 72, column 'y'") == (
        f"{NUMBER}; got 'oops'"
    )
