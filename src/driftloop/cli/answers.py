"""Commands and what came of them, as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from driftloop.operator import Told, in_words


def as_json(told: Iterable[Told], *, waited: bool = True) -> str:
    """A list: of each the command, its answer, its outcome, and all of it in words.

    Args:
        told: Commands, with what came of each.
        waited: Whether answers were waited for; where not, all that is known is that it was sent.
    """
    return json.dumps([_row(one, waited=waited) for one in told], indent=2)


def _row(told: Told, *, waited: bool) -> dict[str, Any]:
    return {
        "command": msgspec.to_builtins(told.command),
        "answer": msgspec.to_builtins(told.answer),
        "finished": msgspec.to_builtins(told.finished),
        "dead_letter": told.dead_letter,
        "told": in_words(told) if waited else "sent",
    }
