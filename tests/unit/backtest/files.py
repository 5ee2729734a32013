"""Small files in the three formats, of the same records."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

Row = dict[str, Any]


def flat(row: Row, prefix: str = "") -> Row:
    """A record with its nested fields as dotted columns."""
    out: Row = {}
    for name, value in row.items():
        if isinstance(value, dict):
            out |= flat(value, f"{prefix}{name}.")
        else:
            out[prefix + name] = value
    return out


def write(path: Path, rows: list[Row]) -> Path:
    """Write records in the format of the path's ending."""
    if path.suffix == ".csv":
        plain = [flat(row) for row in rows]
        names = list(dict.fromkeys(name for row in plain for name in row))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            for row in plain:
                writer.writerow(_cell(row.get(name)) for name in names)
    elif path.suffix == ".parquet":
        top = list(dict.fromkeys(name for row in rows for name in row))
        pyarrow.parquet.write_table(pa.table({k: [row.get(k) for row in rows] for k in top}), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return json.dumps(value)
    return "" if value is None else value


def text(path: Path, *lines: str) -> Path:
    """Write lines."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
