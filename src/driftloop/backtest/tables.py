"""CSV and Parquet files as Arrow tables, with the place of every fault."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from driftloop.backtest.cells import BadCellError, number, shown
from driftloop.backtest.source import PREVIEW_ROWS
from driftloop.errors import DataError

SUFFIXES = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".jsonl.gz": "json",
}
ACCEPTED = ".csv, .csv.gz, .tsv, .parquet, .pq, .jsonl, .jsonl.gz, .ndjson or .json"
_BLOCK = 1 << 23
_DELIMITERS = ",;\t|"


def suffix_of(path: Path) -> str:
    """The ending that `SUFFIXES` knows, or an empty text."""
    name = path.name.lower()
    return next((end for end in sorted(SUFFIXES, key=len)[::-1] if name.endswith(end)), "")


def stem_of(path: Path) -> str:
    """A file's name without that ending.

    >>> stem_of(Path("data/trips.csv.gz"))
    'trips'
    """
    return path.name[: len(path.name) - len(suffix_of(path))]


def flattened(table: pa.Table) -> pa.Table:
    """A table whose nested fields are dotted columns."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


class CsvFile:
    """A CSV file: a header line, then records. All cells are texts; an empty one is absent."""

    unit = "line"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._delimiter = ","
        self._skip = 0
        self.names = self._header()

    def _open(self) -> Iterator[str]:
        opened: Any = gzip.open if self.path.name.lower().endswith(".gz") else open
        try:
            with opened(self.path, "rt", encoding="utf-8-sig", newline="") as file:
                yield from file
        except (OSError, EOFError) as error:
            raise DataError(f"cannot be read: {error}", file=str(self.path)) from error
        except UnicodeDecodeError as error:
            raise DataError(f"the text is UTF-8; {error}", file=str(self.path)) from error

    def _header(self) -> list[str]:
        lines = self._open()
        first = next((line for line in lines if line.strip()), "")
        lines.close()  # type: ignore[attr-defined]
        file = str(self.path)
        if not first:
            raise DataError("the file is empty; a line of column names is needed", file=file)
        counts = {mark: first.count(mark) for mark in _DELIMITERS}
        self._delimiter = max(_DELIMITERS, key=lambda mark: counts[mark])
        reader = self._reader()
        header = next(row for row in reader if row)
        self._skip = reader.line_num
        names = [name.strip() for name in header]
        if all(number(name) is not None for name in names):
            rule = f"the first line names the columns; got {shown(first.strip())}"
            raise DataError(rule, file=file, line=self._skip)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError("a column's name stands once", file=file, line=1, column=twice[0])
        return names

    def _reader(self) -> Any:
        return csv.reader(self._open(), delimiter=self._delimiter)

    def _options(self, columns: Sequence[str] | None) -> dict[str, Any]:
        return {
            "read_options": pyarrow.csv.ReadOptions(
                column_names=self.names, skip_rows=self._skip, block_size=_BLOCK
            ),
            "parse_options": pyarrow.csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True
            ),
            "convert_options": pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(self.names, pa.string()),
                include_columns=list(columns) if columns is not None else None,
                null_values=[""],
                strings_can_be_null=True,
            ),
        }

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of some columns."""
        try:
            table = pyarrow.csv.read_csv(self.path, **self._options(columns))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._broken(error) from error
        return self._some(table)

    def _some(self, table: pa.Table) -> pa.Table:
        if not len(table):
            raise DataError("the file has a header, but no records", file=str(self.path))
        return table

    def head(self) -> pa.Table:
        """The first rows."""
        lines = "".join(islice(self._open(), self._skip + PREVIEW_ROWS)).encode()
        try:
            table = pyarrow.csv.read_csv(io.BytesIO(lines), **self._options(None))
        except pa.ArrowException:  # perhaps cut within quotes
            return self.read().slice(0, PREVIEW_ROWS)
        return self._some(table)

    def _broken(self, error: Exception) -> DataError:
        """The fault of a file that is no table: a line with too many or too few cells, mostly."""
        for line, row in self._lines():
            if len(row) != len(self.names):
                rule = f"a line has {len(self.names)} cells, as the header; got {len(row)}"
                return DataError(rule, file=str(self.path), line=line)
        return DataError(f"cannot be read as CSV: {error}", file=str(self.path))

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Records, and the line on which each begins."""
        reader = self._reader()
        before, header = 0, True
        for row in reader:
            if row and header:
                header = False
            elif row:
                yield before + 1, row
            before = reader.line_num

    def fault(self, error: BadCellError, rows: Sequence[int] | None = None) -> DataError:
        """The fault of a cell, with the line where it stands."""
        row = error.row if rows is None else int(rows[error.row])
        line = next((line for line, _ in islice(self._lines(), row, None)), None)
        return DataError(error.rule, file=str(self.path), line=line, column=error.column)


class ParquetFile:
    """A Parquet file; nested fields are dotted columns."""

    unit = "record"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                self.names = flattened(file.schema_arrow.empty_table()).column_names
                rows = file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise self._broken(error) from error
        if not rows:
            raise DataError("the file has no records", file=str(path))

    def _broken(self, error: Exception) -> DataError:
        return DataError(f"cannot be read as Parquet: {error}", file=str(self.path))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of some columns."""
        try:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                wanted = file.schema_arrow.names
                if columns is not None:
                    tops = {name.split(".")[0] for name in columns} | set(columns)
                    wanted = [name for name in wanted if name in tops]
                table = flattened(file.read(columns=wanted))
        except (pa.ArrowException, OSError) as error:
            raise self._broken(error) from error
        return table if columns is None else table.select(list(columns))

    def head(self) -> pa.Table:
        """The first rows."""
        try:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                batch = next(file.iter_batches(PREVIEW_ROWS))
        except (pa.ArrowException, OSError) as error:
            raise self._broken(error) from error
        return flattened(pa.Table.from_batches([batch]))

    def fault(self, error: BadCellError, rows: Sequence[int] | None = None) -> DataError:
        """The fault of a cell, with the record where it stands."""
        row = error.row if rows is None else int(rows[error.row])
        place = {"file": str(self.path), "line": row + 1, "unit": self.unit}
        return DataError(error.rule, column=error.column, **place)  # type: ignore[arg-type]
