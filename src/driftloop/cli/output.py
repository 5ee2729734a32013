"""What commands print alike."""

from __future__ import annotations

import sys
from typing import Any

import msgspec


def print_json(document: Any) -> None:
    """Print a document as JSON."""
    text = msgspec.json.format(msgspec.json.encode(document), indent=1)
    sys.stdout.write(text.decode() + "\n")


def ago(seconds: float) -> str:
    """An age for people.

    >>> ago(3), ago(150), ago(7300), ago(200_000)
    ('3 s', '2 min', '2 h', '2 d')
    """
    for unit, scale in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= scale:
            return f"{int(seconds // scale)} {unit}"
    return f"{max(int(seconds), 0)} s"
