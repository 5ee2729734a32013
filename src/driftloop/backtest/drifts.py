"""Known drifts, from a CSV file: where they are, so that a backtest can tell hits from misses."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from driftloop.backtest.cells import TIME, BadCellError, texts, times
from driftloop.backtest.tables import CsvFile
from driftloop.errors import DataError
from driftloop.records.columns import Floats

_STREAM, _TS, _RECORD, _KIND = "stream", "ts", "record", "kind"
_FORM = "the columns are stream, ts (a time) or record (its number, from 0), and kind, if known"


@dataclass(frozen=True, slots=True)
class Drift:
    """A known drift of one stream.

    Attributes:
        kind: What the file calls it; may be empty.
        ts: Event time of its first record, ms, or seconds if its stream's are; None where the file
            names the record.
        record: Number of its first record in the stream, from 0; None where it names the time.
    """

    kind: str = ""
    ts: float | None = None
    record: int | None = None

    def place(self, ts: Floats) -> int:
        """Index of its first record in a stream with event times `ts`, (n,); n if it is later.

        >>> Drift(ts=150.0).place(np.array([0.0, 100.0, 200.0]))
        2
        """
        if self.record is not None:
            return min(self.record, len(ts))
        if not len(ts) or self.ts is None:
            return len(ts)
        first, last = ts.min(), ts.max()
        # In seconds, it lies long before the stream; in milliseconds, within it.
        seconds = self.ts < first <= 1000.0 * self.ts <= last
        reached = np.maximum.accumulate(ts) >= (1000.0 * self.ts if seconds else self.ts)
        return int(reached.argmax()) if reached.any() else len(ts)


def read_drifts(path: str | Path, streams: Collection[str]) -> dict[str, list[Drift]]:
    """Read a file of known drifts.

    Args:
        path: CSV with the columns ``stream``, ``ts`` or ``record``, and perhaps ``kind``.
        streams: The streams that are there.

    Returns:
        Drifts by stream, each in order; streams without one are left out.

    Raises:
        DataError: With line and column.
    """
    file = CsvFile(_existing(path))
    places = [name for name in (_TS, _RECORD) if name in file.names]
    if _STREAM not in file.names or len(places) != 1:
        rule = f"{_FORM}; got {', '.join(file.names)}"
        raise DataError(rule, file=str(path), line=1)
    table = file.read()
    try:
        names = _streams(table, streams)
        kinds = texts(table[_KIND], canonical=False) if _KIND in file.names else [None] * len(table)
        found: dict[str, list[Drift]] = {}
        if places == [_TS]:
            ts = _read(table, _TS)
            drifts = [Drift(k or "", ts=at) for k, at in zip(kinds, ts.tolist(), strict=True)]
        else:
            records = _records(table)
            drifts = [Drift(k or "", record=at) for k, at in zip(kinds, records, strict=True)]
    except BadCellError as error:
        raise file.fault(error) from None
    for name, drift in zip(names, drifts, strict=True):
        found.setdefault(name, []).append(drift)
    for many in found.values():
        many.sort(key=lambda one: one.ts if one.ts is not None else one.record or 0)
    return found


def _existing(path: str | Path) -> Path:
    found = Path(path)
    if not found.is_file():
        raise DataError(f"no such file; {_FORM}", file=str(path))
    return found


def _streams(table: pa.Table, streams: Collection[str]) -> list[str]:
    names = texts(table[_STREAM], canonical=False)
    known = set(streams)
    for row, name in enumerate(names):
        if name not in known:
            close = difflib.get_close_matches(name or "", sorted(known), n=1, cutoff=0.5)
            hint = f", did you mean '{close[0]}'?" if close else ""
            raise BadCellError(row, f"one of the {len(known)} streams{hint}", name, _STREAM)
    return [str(name) for name in names]


def _read(table: pa.Table, column: str) -> Floats:
    try:
        return times(table[column])
    except BadCellError as error:
        raise BadCellError(error.row, TIME, table[column][error.row].as_py(), column) from None


def _records(table: pa.Table) -> list[int]:
    found = []
    for row, value in enumerate(table[_RECORD].to_pylist()):
        text = (value or "").strip()
        if not (text.isascii() and text.isdecimal()) or len(text) > 15:
            raise BadCellError(row, "a record's number, 0 or more, is needed", value, _RECORD)
        found.append(int(text))
    return found


__all__ = ["Drift", "read_drifts"]
