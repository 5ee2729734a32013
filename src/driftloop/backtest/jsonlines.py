"""JSON-lines files, decoded by the monitor's own decoder."""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from driftloop.backtest.cells import NUMBER, TEXT
from driftloop.backtest.rows import STEP_MS, find_columns
from driftloop.backtest.source import PREVIEW_ROWS
from driftloop.errors import DataError
from driftloop.records import Columns, DeadLetter, RecordDecoder
from driftloop.records.columns import Integers
from driftloop.records.decode import LAST_MS, as_text
from driftloop.settings import Profile

_KEYS_OF = 1000  # records whose keys are looked at first
_WHERE = re.compile(r"(?P<rule>.*) - at `\$\.(?P<path>[^`]+)`", re.DOTALL)
_NAMED = re.compile(r"^(?P<path>\S+) (?=is )")


def table_of(values: Iterable[bytes | None]) -> pa.Table:
    """JSON objects as a table, nested fields as dotted columns; what is no object is left out.

    A column of mixed types is one of texts.

    >>> table_of([b'{"a": 1, "x": {"b": "c"}}']).to_pydict()
    {'a': [1], 'x.b': ['c']}
    """
    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    for value in values:
        row: dict[str, Any] = {}
        _flatten(_load(value), "", row)
        if row:
            rows.append(row)
            names.update(dict.fromkeys(row))
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _load(value: bytes | None) -> Any:
    try:
        return orjson.loads(value or b"null")
    except ValueError:
        return None


def _dig(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _flatten(value: Any, prefix: str, row: dict[str, Any]) -> None:
    if not isinstance(value, dict):
        return
    for key, below in value.items():
        if isinstance(below, dict):
            _flatten(below, f"{prefix}{key}.", row)
        else:
            row[prefix + key] = below


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([as_text(value) for value in values])


class JsonFile:
    """A file with one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._grouped: tuple[str, dict[str, Integers]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the contents, which each process reads by itself."""
        return {"path": self.path, "_grouped": None}

    @cached_property
    def _numbered(self) -> tuple[list[bytes], Integers]:
        """Lines that are not blank, and the number of each, from 1."""
        raw = self.path.read_bytes
        try:
            whole = gzip.decompress(raw()) if self.path.name.endswith(".gz") else raw()
        except (OSError, EOFError) as error:
            raise DataError(f"cannot be read: {error}", file=str(self.path)) from error
        lines = whole.removeprefix(b"\xef\xbb\xbf").splitlines()
        numbers = [i for i, line in enumerate(lines, 1) if line.strip()]
        if not numbers:
            rule = "the file is empty; one JSON object a line is needed"
            raise DataError(rule, file=str(self.path))
        if lines[numbers[0] - 1].lstrip().startswith(b"["):
            rule = "one JSON object a line is needed; got an array"
            raise DataError(rule, file=str(self.path), line=numbers[0])
        if len(numbers) != len(lines):
            lines = [lines[i - 1] for i in numbers]
        return lines, np.array(numbers, np.int64)

    @property
    def names(self) -> list[str]:
        """Fields of the first records, as dotted paths."""
        names: list[str] = table_of(self._numbered[0][:_KEYS_OF]).column_names
        return names

    def head(self) -> pa.Table:
        """The first records."""
        return table_of(self._numbered[0][:PREVIEW_ROWS])

    def first(self, name: str, rows: Integers | None) -> Any:
        """A field of the first record; None where it is absent."""
        return _dig(_load(self._numbered[0][0 if rows is None else int(rows[0])]), name)

    def texts(self, name: str) -> list[str | None]:
        """A field of all records; None where it is absent or no text or number."""
        found: list[str | None] = []
        for line in self._numbered[0]:
            value = _dig(_load(line), name)
            found.append(None if isinstance(value, dict | list) else as_text(value))
        return found

    def groups(self, name: str) -> dict[str, Integers]:
        """Rows of each value of a field, in their order."""
        if self._grouped is None or self._grouped[0] != name:
            rows: dict[str, list[int]] = defaultdict(list)
            for row, value in enumerate(self.texts(name)):
                if value is None:
                    line = int(self._numbered[1][row])
                    rule = "each record names its stream; got nothing"
                    raise DataError(rule, file=str(self.path), line=line, column=name)
                rows[value].append(row)
            self._grouped = name, {value: np.array(found) for value, found in rows.items()}
        return self._grouped[1]

    def columns(self, profile: Profile, rows: Sequence[int] | Integers | None = None) -> Columns:
        """Decode records.

        Args:
            profile: What they mean.
            rows: Which; all by default.

        Raises:
            DataError: At the first record that the monitor would refuse.
        """
        lines, numbers = self._numbered
        if rows is not None:
            lines, numbers = [lines[row] for row in rows], numbers[rows]
        profile = self._fitting(profile, lines)
        # The last moment of all stands for a record without an event time.
        none = np.full(len(lines), LAST_MS)
        decoder = RecordDecoder(profile)
        columns, dead = decoder.decode("", 0, lines, range(len(lines)), none)
        if dead:
            raise self._refused(dead[0], int(numbers[dead[0].offset]))
        without = columns.ts == LAST_MS
        if without.all():
            columns.ts = np.arange(len(lines), dtype=np.float64) * STEP_MS
        elif without.any():
            line = int(numbers[int(without.argmax())])
            rule = "each record has an event time, or none has one; got nothing"
            raise DataError(rule, file=str(self.path), line=line, column=profile.fields.ts)
        return columns

    def _fitting(self, profile: Profile, lines: list[bytes]) -> Profile:
        """The profile with its features where the file has them: under ``fields.x``, or on top."""
        names = set(table_of(lines[:_KEYS_OF]).column_names)
        for more in (False, True):
            if more:  # a field may appear late
                names |= {name for line in lines for name in _names(line)}
            try:
                found = find_columns(names, profile, str(self.path))
            except DataError:
                if more:
                    raise
            else:
                break
        if "x" in found:
            return profile
        columns = {name: found[f"x.{name}"] for name in _features(profile)}
        for prefix in (profile.fields.x, "", "x"):
            above = f"{prefix}." if prefix else ""
            if all(column == above + name for name, column in columns.items()):
                break
        else:
            rule = f"features stand together; found {', '.join(sorted(columns.values()))}"
            raise DataError(rule, file=str(self.path), column=profile.fields.x)
        fields = profile.fields.model_copy(update={"x": prefix})
        features = profile.features.model_copy(update={"array": False})
        return profile.model_copy(update={"fields": fields, "features": features})

    def _refused(self, letter: DeadLetter, line: int) -> DataError:
        rule = letter.detail.partition(": ")[2]
        column = ""
        found = _WHERE.fullmatch(rule)
        named = _NAMED.match(rule)
        if found:
            column, rule = found["path"], _in_words(found["rule"])
        elif named and letter.reason.startswith("bad-"):
            column = named["path"]
        value = _dig(_load(letter.value), column)
        if found and value is not None:
            rule += f"; got {value!r}"
        return DataError(rule, file=str(self.path), line=line, column=column)


def _in_words(rule: str) -> str:
    """What the decoder expected, as people say it."""
    expected = rule.partition("`")[2].partition("`")[0].split(" | ")
    if "array" in expected and "str" not in expected:
        return "an array of numbers is needed"
    return TEXT if "str" in expected else NUMBER


def _features(profile: Profile) -> list[str]:
    return [*profile.features.numeric, *profile.features.categorical]


def _names(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {}
    _flatten(_load(line), "", row)
    return row
