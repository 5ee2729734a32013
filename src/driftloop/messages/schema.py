"""JSON Schema files of every event, generated from the types.

``python -m driftloop.messages.schema`` writes them; a test fails when they are stale.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from driftloop.messages.events import EVENT_TYPES

FOLDER = Path(__file__).parent / "schemas"


def schemas() -> dict[str, dict[str, Any]]:
    """One self-contained JSON Schema (2020-12) a file name."""
    found: dict[str, dict[str, Any]] = {}
    for name, kind in EVENT_TYPES.items():
        schema = msgspec.json.schema(kind)
        found[f"{name}.json"] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": name,
            **schema,
        }
    return found


def render(schema: dict[str, Any]) -> str:
    """Text of a schema file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> list[Path]:
    """Write all schema files and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in schemas().items():
        path = folder / name
        path.write_text(render(schema), encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":
    for written in write():
        print(written)  # noqa: T201  # a command's output
