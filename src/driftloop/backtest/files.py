"""Streams in files: a folder of one file a stream, or one file with a stream column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from driftloop.backtest.cells import BadCellError, coded, is_number, rescaled
from driftloop.backtest.jsonlines import JsonFile
from driftloop.backtest.rows import find_columns, missing, to_columns
from driftloop.backtest.source import PREVIEW_STREAMS, Source, StreamData, in_order
from driftloop.backtest.tables import (
    ACCEPTED,
    SUFFIXES,
    CsvFile,
    ParquetFile,
    stem_of,
    suffix_of,
)
from driftloop.errors import DataError
from driftloop.records import Columns
from driftloop.records.columns import Integers
from driftloop.settings import Profile

STREAM_NAMES = (
    *("stream", "topic", "series", "unique_id", "series_id", "stream_id", "item_id"),
    *("entity", "group", "station", "zone", "route"),
)
"""Columns that tell streams apart, by name; the first that is there counts."""

Reader = CsvFile | ParquetFile | JsonFile


def reader_of(path: Path) -> Reader:
    """The reader of a file, by its ending.

    Raises:
        DataError: The ending is unknown, or the file has no records.
    """
    kind = SUFFIXES.get(suffix_of(path))
    if kind is None:
        rule = f"a file ends in {ACCEPTED}; got '{path.suffix or path.name}'"
        raise DataError(rule, file=str(path))
    if kind == "csv":
        return CsvFile(path)
    return ParquetFile(path) if kind == "parquet" else JsonFile(path)


class FolderSource(Source):
    """A folder of one file a stream; the file's name is the stream's."""

    def __init__(self, path: Path, profile: Profile | None = None) -> None:
        super().__init__(str(path), profile)
        self._paths: dict[str, Path] = {}
        left_out = []
        for file in sorted(path.iterdir()):
            if file.name.startswith(".") or not file.is_file():
                continue
            if not suffix_of(file):
                left_out.append(file.name)
                continue
            other = self._paths.setdefault(stem_of(file), file)
            if other is not file:
                rule = f"stream '{stem_of(file)}' has two files: {other.name} and {file.name}"
                raise DataError(rule, file=str(path))
        if not self._paths:
            rule = f"a folder of one file a stream, each {ACCEPTED}, is needed; got none"
            raise DataError(rule, file=str(path))
        if left_out:
            self.notes.append(f"left out, for their endings: {', '.join(left_out)}")
        self.streams = sorted(self._paths)

    def read(self, stream: str) -> StreamData:
        """Read the stream's file; see `Source.read`."""
        path = self._paths.get(stream)
        if path is None:
            raise DataError(f"there is no stream '{stream}'", file=self.text)
        return _stream(stream, reader_of(path), self.profile)

    def preview(self) -> list[pa.Table]:
        """The first records of some files; see `Source.preview`."""
        return _those_that_read(
            [self._paths[name] for name in _some(self.streams)],
            lambda path: reader_of(path).head(),
        )

    def distinct(self, column: str, limit: int) -> set[str]:
        """See `Source.distinct`; files that cannot be read are passed over."""
        found: set[str] = set()
        for path in self._paths.values():
            try:
                found |= _distinct(reader_of(path), column)
            except DataError:
                continue  # told when the stream is read
            if len(found) >= limit:
                break
        return found


class FileSource(Source):
    """One file of many streams, told apart by a column; or of one.

    Args:
        path: The file.
        profile: What the records mean; None to guess.
        column: The stream column; None for the first of `STREAM_NAMES` that has repeated values
            and that the profile does not use, an empty text for one stream.
    """

    def __init__(
        self, path: Path, profile: Profile | None = None, column: str | None = None
    ) -> None:
        super().__init__(str(path), profile)
        self._reader = reader_of(path)
        names = self._reader.names
        if column and column not in names:
            raise missing(column, names, str(path), "it was named as the stream's")
        guessed = column is None
        self._column = self._guess(names, profile) if column is None else column
        self._table: pa.Table | None = None
        self._rows: dict[str, Integers] | None = None
        if not self._column:
            self.streams = [stem_of(path)]
            self.notes.append(f"one stream: no column named {', '.join(STREAM_NAMES[:4])} or alike")
        else:
            self.streams = sorted(self._groups())
            how = "guessed by its name" if guessed else "as named"
            many = len(self.streams)
            self.notes.append(f"{many} streams by column '{self._column}' ({how})")

    def __getstate__(self) -> dict[str, Any]:
        """Without the contents, which each process reads by itself."""
        return {**self.__dict__, "_table": None, "_rows": None}

    def _guess(self, names: Sequence[str], profile: Profile | None) -> str:
        used = set()
        if profile is not None:
            features = profile.features
            used = {profile.fields.y, profile.fields.y_pred, *features.numeric}
            used |= set(features.categorical)
        folded = {name.lower(): name for name in names if name not in used}
        for name in STREAM_NAMES:
            if name in folded:
                head = self._reader.head()
                values = head[folded[name]]
                if values.null_count == 0 and len(values.unique()) <= max(1, len(values) // 2):
                    return folded[name]
        return ""

    @property
    def stream_column(self) -> str:
        """See `Source.stream_column`."""
        return self._column

    def _groups(self) -> dict[str, Integers]:
        """Rows of each stream, in their order."""
        if isinstance(self._reader, JsonFile):
            return self._reader.groups(self._column)
        if self._rows is None:
            column = self._whole()[self._column]
            try:
                names, codes = coded(column, canonical=False)
            except BadCellError as error:
                error.column = self._column
                raise self._reader.fault(error) from None
            if len(codes) and codes.min() < 0:
                row = int((codes < 0).argmax())
                fault = BadCellError(row, "each record names its stream", None, self._column)
                raise self._reader.fault(fault)
            order = np.argsort(codes, kind="stable")
            cuts = np.searchsorted(codes[order], np.arange(1, len(names)))
            parts = np.split(order, cuts)
            self._rows = {str(name): rows for name, rows in zip(names, parts, strict=True)}
        return self._rows

    def _whole(self) -> pa.Table:
        assert not isinstance(self._reader, JsonFile)  # noqa: S101  # for the type checker
        if self._table is None:
            self._table = self._reader.read()
        return self._table

    def read(self, stream: str) -> StreamData:
        """Take the stream's rows of the file, which is read once; see `Source.read`."""
        if not self._column:
            if stream not in self.streams:
                raise DataError(f"there is no stream '{stream}'", file=self.text)
            return _stream(stream, self._reader, self.profile)
        rows = self._groups().get(stream)
        if rows is None:
            raise DataError(f"there is no stream '{stream}'", file=self.text)
        if isinstance(self._reader, JsonFile):
            return _stream(stream, self._reader, self.profile, rows)
        return _stream(stream, self._reader, self.profile, rows, self._whole())

    def preview(self) -> list[pa.Table]:
        """The file's first records; see `Source.preview`."""
        return [self._reader.head()]

    def distinct(self, column: str, limit: int) -> set[str]:  # noqa: ARG002  # one file is read whole
        """See `Source.distinct`."""
        return _distinct(self._reader, column)


def _some(streams: list[str]) -> list[str]:
    """Some streams, from everywhere in the list."""
    step = max(1, len(streams) // PREVIEW_STREAMS)
    return streams[::step][:PREVIEW_STREAMS]


def _those_that_read(paths: Sequence[Path], read: Callable[[Path], pa.Table]) -> list[pa.Table]:
    """What can be read; the first fault if nothing can."""
    found, faults = [], []
    for path in paths:
        try:
            found.append(read(path))
        except DataError as error:
            faults.append(error)
    if not found:
        raise faults[0]
    return found


def _distinct(reader: Reader, column: str) -> set[str]:
    if column not in reader.names:
        return set()
    if isinstance(reader, JsonFile):
        return {value for value in reader.texts(column) if value is not None}
    try:
        names, _ = coded(reader.read([column])[column])
    except BadCellError:
        return set()
    return {name for name in names if name is not None}


def _stream(
    name: str,
    reader: Reader,
    profile: Profile,
    rows: Integers | None = None,
    table: pa.Table | None = None,
) -> StreamData:
    notes = []
    if isinstance(reader, JsonFile):
        columns = reader.columns(profile, rows)
        written = reader.first(profile.fields.ts, rows)
    else:
        found = find_columns(reader.names, profile, str(reader.path))
        columns, written = _of_table(reader, profile, found, rows, table)
    if written is None:
        why = f"no column '{profile.fields.ts}'" if profile.fields.ts else "no event time"
        notes.append(f"{why}: records count as one a minute")
    seconds = False
    if is_number(written):
        columns.ts, seconds = rescaled(columns.ts)
    if seconds:
        notes.append(f"'{profile.fields.ts}' is in seconds; on Kafka, numbers must be milliseconds")
    columns, mixed = in_order(columns)
    if mixed:
        notes.append(f"sorted by '{profile.fields.ts}'")
    return StreamData(name, columns, notes=tuple(notes))


def _of_table(
    reader: CsvFile | ParquetFile,
    profile: Profile,
    found: dict[str, str],
    rows: Integers | None,
    table: pa.Table | None,
) -> tuple[Columns, Any]:
    """Records, and the first event time as it is written; None where there is none."""
    wanted = list(dict.fromkeys(found.values()))
    table = reader.read(wanted) if table is None else table.select(wanted)
    if rows is not None:
        table = table.take(pa.array(rows))
    try:
        columns = {name: table[name] for name in wanted}
        made = to_columns(columns, len(table), found, profile)
    except BadCellError as error:
        raise reader.fault(error, rows) from None  # type: ignore[arg-type]
    return made, columns[found["ts"]][0].as_py() if "ts" in found else None
