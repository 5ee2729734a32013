"""Tables as `Columns`: what `RecordDecoder` makes of messages, made of whole columns at once."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from driftloop.backtest.cells import BadCellError, coded, number, numbers, texts, times
from driftloop.errors import DataError
from driftloop.records import Columns
from driftloop.records.columns import MULTICLASS, Floats, Integers
from driftloop.records.decode import as_text
from driftloop.records.schema import RecordSchema
from driftloop.settings import Profile

STEP_MS = 60_000.0
"""Event time between two records of data that have none."""

Tables = Mapping[str, pa.ChunkedArray]


def find_columns(names: Collection[str], profile: Profile, file: str) -> dict[str, str]:
    """The column of each role of a profile: that of its path; a feature f's is also f or x.f.

    Args:
        names: Columns that are there.
        profile: What the records mean.
        file: Where they are, for the message.

    Returns:
        Column by role, for the roles that have one. The features' roles are ``x.<name>``; ``x``
        is an array of them.

    Raises:
        DataError: A feature has no column, or neither the label nor the loss has.
    """
    features = profile.features
    paths = dict(RecordSchema(profile).paths)
    if "x" in paths and paths["x"] not in names:
        prefix = f"{paths.pop('x')}."
        paths |= {f"x.{name}": prefix + name for name in features.numeric}
    found = {}
    for role, path in paths.items():
        options = [path, role[2:], role] if role.startswith("x.") else [path]
        column = next((option for option in options if option in names), None)
        if column is not None:
            found[role] = column
        elif role.startswith("x."):
            raise missing(role[2:], names, file, "features of the profile name it")
    if not {"y", "loss"} & found.keys():
        raise missing(profile.fields.y, names, file, "fields.y of the profile names the label")
    return found


def missing(name: str, names: Collection[str], file: str, why: str) -> DataError:
    """The fault of a column that is not there."""
    close = difflib.get_close_matches(name, [n for n in names if n], n=1, cutoff=0.6)
    folded = [n for n in names if n.lower() == name.lower()]
    hint = (
        f"did you mean '{(folded or close)[0]}'?"
        if folded or close
        else (f"there is {', '.join(sorted(n for n in names if n)) or 'none'}")
    )
    return DataError(f"no such column, and {why}; {hint}", file=file, column=name)


def to_columns(table: Tables, n: int, found: Mapping[str, str], profile: Profile) -> Columns:
    """Make records of a table's columns; offsets are row numbers, the partition is 0.

    Args:
        table: The columns.
        n: Rows.
        found: Column by role, of `find_columns`.
        profile: What the records mean.

    Raises:
        BadCellError: With row and column.
    """
    features = profile.features
    partitions, offsets = np.zeros(n, np.int64), np.arange(n, dtype=np.int64)

    def read(role: str, how: Any, otherwise: Any, *more: Any) -> Any:
        if role not in found:
            return otherwise
        try:
            return how(table[found[role]], *more)
        except BadCellError as error:
            error.column = found[role]
            raise

    x = np.empty((n, len(features.numeric)))
    if "x" in found:
        x[:] = read("x", _array, None, len(features.numeric))
    else:
        for position, name in enumerate(features.numeric):
            x[:, position] = read(f"x.{name}", numbers, None)
    width = (n, len(profile.classes)) if profile.task == MULTICLASS else (n,)
    regression = profile.task == "regression"
    return Columns(
        partitions=partitions,
        offsets=offsets,
        origin_partitions=partitions,
        origin_offsets=offsets,
        ts=read("ts", times, STEP_MS * np.arange(n)),
        ids=read("id", _names, [None] * n),
        x=x,
        categories=[read(f"x.{name}", texts, None) for name in features.categorical],
        y_pred=read("y_pred", numbers, np.full(width, np.nan))
        if regression
        else read("y_pred", _predictions, np.full(width, np.nan), profile),
        y=read("y", numbers, np.full(n, np.nan))
        if regression
        else read("y", _labels, np.full(n, np.nan), profile),
        loss=read("loss", numbers, np.full(n, np.nan)),
        versions=read("model_version", _names, [None] * n),
    )


def _names(column: pa.ChunkedArray) -> list[str | None]:
    return texts(column, canonical=False)


def class_rule(profile: Profile) -> str:
    """What is accepted as a label."""
    if profile.classes:
        return f"one of {', '.join(profile.classes)}"
    return "0, 1, false or true"


def _labels(column: pa.ChunkedArray, profile: Profile) -> Floats:
    """Class indices, (n,); nan = absent."""
    codes = _classes(column, profile)
    names, values = codes
    table = np.array([*names, np.nan])
    bad = np.flatnonzero(table[values] < 0)
    if len(bad):
        row = int(bad[0])
        raise BadCellError(row, f"a label is {class_rule(profile)}", column[row].as_py())
    return np.asarray(table[values], np.float64)


def _classes(column: pa.ChunkedArray, profile: Profile) -> tuple[list[float], Integers]:
    """Class index of each different text (-1 where it is no class), and the code of each row."""
    names, codes = coded(column)
    known: dict[str | None, float] = {None: np.nan}
    if profile.classes:
        known |= {name: float(code) for code, name in enumerate(profile.classes)}
    else:
        known |= {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0}
    for name in names:
        if name not in known:
            known[name] = _class_of_number(name or "", known)
    return [known[name] for name in names], codes


def _class_of_number(name: str, known: Mapping[str | None, float]) -> float:
    """The class that a text names as a number, which may be written in many ways: 1, 1.0, +1."""
    value = number(name)
    if value is None:
        return -1.0
    return np.nan if np.isnan(value) else known.get(as_text(value), -1.0)


def _predictions(column: pa.ChunkedArray, profile: Profile) -> Floats:
    """Probabilities, (n,) of class 1 or (n, classes); nan = absent."""
    multi = profile.task == MULTICLASS
    many = len(profile.classes) if multi else 2
    accepted = f"a prediction is {class_rule(profile)}, or {many} probabilities"
    accepted += "" if multi else ", or the probability of class 1"
    if pa.types.is_list(column.type) or _is_json(column):
        vectors = _vectors(column, many, accepted)
        return vectors if multi else vectors[:, 1].copy()
    if multi or pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        names, codes = _classes(column, profile)
        table = np.array([*names, np.nan])
        bad = np.flatnonzero(table[codes] < 0)
        if not len(bad):
            return _one_hot(table[codes], many) if multi else np.asarray(table[codes])
        if multi:
            raise BadCellError(int(bad[0]), accepted, column[int(bad[0])].as_py())
    else:
        bad = np.arange(len(column))
    try:
        found = numbers(column)
    except BadCellError as error:
        row = error.row
        if len(bad) < len(column):  # neither all classes nor all numbers
            row = next((i for i in bad.tolist() if number(column[i].as_py()) is None), row)
        raise BadCellError(row, accepted, column[row].as_py()) from None
    wrong = np.flatnonzero((found < 0) | (found > 1))
    if len(wrong):
        raise BadCellError(int(wrong[0]), accepted, column[int(wrong[0])].as_py())
    return found


def _one_hot(codes: Floats, many: int) -> Floats:
    found = np.full((len(codes), many), np.nan)
    known = np.flatnonzero(~np.isnan(codes))
    found[known] = 0.0
    found[known, codes[known].astype(np.intp)] = 1.0
    return found


def _is_json(column: pa.ChunkedArray) -> bool:
    """Whether a column of texts holds arrays, as ``[0.2, 0.8]``."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    first = next((value.as_py() for value in column if value.is_valid), "")
    return bool(first.lstrip().startswith("["))


def _vectors(column: pa.ChunkedArray, many: int, accepted: str) -> Floats:
    """Probabilities, (n, many); nan = absent."""
    found = np.full((len(column), many), np.nan)
    for row, value in enumerate(column.to_pylist()):
        vector = _vector(value)
        if vector is None:
            continue
        if len(vector) != many or bool(((vector < 0) | (vector > 1)).any()):
            raise BadCellError(row, accepted, value)
        if np.isfinite(vector).all():
            found[row] = vector
    return found


def _vector(value: Any) -> Floats | None:
    """A list's numbers; an empty array where it is none; None where it is absent."""
    if value is None:
        return None
    try:
        return np.array(orjson.loads(value) if isinstance(value, str) else value, np.float64)
    except (ValueError, TypeError):
        return np.empty(0)


def _array(column: pa.ChunkedArray, many: int) -> Floats:
    """Features that are one array, (n, many); nan = missing."""
    accepted = f"an array of {many} numbers is needed"
    found = np.full((len(column), many), np.nan)
    for row, value in enumerate(column.to_pylist()):
        vector = _vector(value)
        if vector is None:
            continue
        if vector.shape != (many,):
            raise BadCellError(row, accepted, value)
        found[row] = vector
    found[~np.isfinite(found)] = np.nan
    return found
