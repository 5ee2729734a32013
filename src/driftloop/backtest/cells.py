"""Arrow columns as the numbers, texts and times of records, by the rules of `RecordDecoder`.

A CSV file holds texts alone, so that texts are read as numbers here where numbers are wanted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from driftloop.records.columns import Floats, Integers
from driftloop.records.decode import LAST_MS, as_text, rfc3339_ms

NUMBER = "a number, as 12.5, is needed (a decimal point, nothing between thousands)"
TIME = "a time is needed: ISO 8601, as 2024-05-01T12:30:00Z, or milliseconds since the epoch"
TEXT = "a text or a number is needed"

_ABSENT = frozenset(
    (
        *("", "nan", "-nan", "na", "n/a", "#n/a", "null", "none", "?"),
        *("inf", "+inf", "-inf", "infinity", "-infinity"),
    )
)
_TRUTH = {"true": 1.0, "false": 0.0}
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SHOWN = 60
# From 1990 to 2106 in seconds; as milliseconds these would be some days of early 1970.
_SECONDS = (6.3e8, 4.3e9)


class BadCellError(Exception):
    """A value that is not what its column needs.

    Attributes:
        row: Its row, from 0.
        rule: What is accepted, and the value.
        column: Its column; set where that is known.
    """

    def __init__(self, row: int, accepted: str, value: Any, column: str = "") -> None:
        self.row = row
        self.rule = f"{accepted}; got {shown(value)}"
        self.column = column
        super().__init__(self.rule)


def shown(value: Any) -> str:
    """A value as a message shows it."""
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def numbers(column: pa.ChunkedArray) -> Floats:
    """A column as numbers, (n,); what is absent or not finite is nan.

    Raises:
        BadCellError: The first value that is none.

    >>> numbers(pa.chunked_array([["1", " 2.5", None, "NA", "true"]])).tolist()
    [1.0, 2.5, nan, nan, 1.0]
    """
    array = _plain(column)
    kind = array.type
    if _is_text(kind):
        found = _parsed(array)
    elif pa.types.is_null(kind):
        found = np.full(len(array), np.nan)
    elif pa.types.is_boolean(kind) or _is_number(kind):
        found = _filled(array.cast(pa.float64(), safe=False))
    else:
        raise _first(array, NUMBER)
    found[~np.isfinite(found)] = np.nan
    return found


def texts(column: pa.ChunkedArray, *, canonical: bool = True) -> list[str | None]:
    """A column as texts; None = missing.

    Args:
        column: The column.
        canonical: Whether texts that all are numbers, or truth values, are written as numbers
            and truth values of JSON would be: ``3.0`` as ``3``, ``True`` as ``true``.

    Raises:
        BadCellError: The first value that is none.

    >>> texts(pa.chunked_array([[3.0, None, 2.5]]))
    ['3', None, '2.5']
    """
    names, codes = coded(column, canonical=canonical)
    names.append(None)  # code -1
    return [names[code] for code in codes.tolist()]


def coded(column: pa.ChunkedArray, *, canonical: bool = True) -> tuple[list[str | None], Integers]:
    """As `texts`: the different texts, and the index of each row's, (n,); -1 = missing."""
    array = _plain(column)
    if pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
        raise _first(array, TEXT)
    if pa.types.is_null(array.type):
        return [], np.full(len(array), -1)
    coded_ = array.dictionary_encode()
    values = coded_.dictionary.to_pylist()
    names: list[str | None]
    if _is_text(array.type):
        names = _canonical(values) if canonical else list(values)
    else:
        names = [as_text(value) for value in values]
    codes = coded_.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return names, codes


def times(column: pa.ChunkedArray) -> Floats:
    """A column as event times in ms since the epoch, (n,).

    Raises:
        BadCellError: The first value that is none, or absent.

    >>> times(pa.chunked_array([["1970-01-01 00:00:01", "1970-01-01 00:00:02.5"]])).tolist()
    [1000.0, 2500.0]
    """
    array = _plain(column)
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        found = _stamps(array)
    elif _is_number(kind):
        found = _filled(array.cast(pa.float64(), safe=False))
    elif _is_text(kind):
        found = _moments(array)
    else:
        raise _first(array, TIME)
    wrong = np.flatnonzero(~((found >= 0) & (found <= LAST_MS)))
    if len(wrong):
        raise BadCellError(int(wrong[0]), TIME, column[int(wrong[0])].as_py())
    return found


def rescaled(ts: Floats) -> tuple[Floats, bool]:
    """Event times in ms, (n,), and whether they were written in seconds.

    They were if all lie between 1990 and 2106 when they are read as seconds.
    """
    low, high = _SECONDS
    if len(ts) and bool(((ts >= low) & (ts <= high)).all()):
        return ts * 1000.0, True
    return ts, False


def _plain(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # what is too large for one array stays in several
        array = pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return array


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _first(array: pa.Array, accepted: str) -> BadCellError:
    """The fault of a column of which no value fits."""
    for row, value in enumerate(array):
        if value.is_valid:
            return BadCellError(row, accepted, value.as_py())
    return BadCellError(0, accepted, None)


def _filled(array: pa.Array) -> Floats:
    """Numbers in memory of their own, nan where null."""
    return np.array(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _parsed(array: pa.Array) -> Floats:
    try:
        return _filled(pc.cast(pc.utf8_trim_whitespace(array), pa.float64()))
    except pa.ArrowInvalid:  # at least one is no plain number
        return _by_value(array, number, NUMBER)


def number(text: str) -> float | None:
    """The number that a text holds, nan for what stands for none; None where it is no number."""
    text = text.strip()
    low = text.lower()
    if low in _ABSENT:
        return math.nan
    if low in _TRUTH:
        return _TRUTH[low]
    return float(text) if _NUMBER.fullmatch(text) else None


def is_number(value: Any) -> bool:
    """Whether a value is a number, or a text that holds one."""
    if isinstance(value, str):
        return _NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by_value(array: pa.Array, read: Callable[[str], float | None], accepted: str) -> Floats:
    """Read each different text once."""
    found = array.dictionary_encode()
    values = [read(text) for text in found.dictionary.to_pylist()]
    codes: Integers = found.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    bad = np.array([value is None for value in values] + [False])
    rows = np.flatnonzero(bad[codes])
    if len(rows):
        raise BadCellError(int(rows[0]), accepted, array[int(rows[0])].as_py())
    return np.array([*values, math.nan], dtype=np.float64)[codes]


def _stamps(array: pa.Array) -> Floats:
    stamps = array.cast(pa.timestamp("us", getattr(array.type, "tz", None)), safe=False)
    whole = stamps.cast(pa.int64())
    ms = np.array(whole.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.float64)
    ms /= 1000.0
    ms[whole.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return ms


def _moments(array: pa.Array) -> Floats:
    trimmed = pc.utf8_trim_whitespace(array)
    for kind in (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            found = pc.cast(trimmed, kind)
        except pa.ArrowInvalid:
            continue
        return _filled(found) if kind == pa.float64() else _stamps(found)
    return _by_value(trimmed, _moment, TIME)


def _moment(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else rfc3339_ms(text)


def _canonical(values: list[str]) -> list[str | None]:
    """Texts that all are numbers or truth values, as JSON's would be written."""
    if all(value.lower() in _TRUTH for value in values):
        return [value.lower() for value in values]
    if any("." in value for value in values) and all(map(_NUMBER.fullmatch, values)):
        return [as_text(float(value)) for value in values]
    return list(values)
