"""The words around the table of ``driftloop trainer --dry-run``."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from driftloop.cli.queue import advice, show
from driftloop.settings import Settings, TrainerSettings
from driftloop.trainer.preview import Preview, Row

_SETTINGS = Settings(trainer=TrainerSettings(queue=3, group="ours"))


def _row(**more: Any) -> Row:
    given: dict[str, Any] = {
        "rank": 1, "stream": "streams.[a]", "profile": "numbers", "request_id": "r",
        "reason": "policy", "age": 90.0, "saving": 4.0, "ratio": 1.0, "seconds": 2.0, "value": 2.0,
        "records": 1200, "state": "served", "pinned": False, "why": "by value",
    }  # fmt: skip
    return Row(**given | more)


def _found(*rows: Row, **more: Any) -> Preview:
    given: dict[str, Any] = {
        "batch": 1,
        "orders": 0,
        "unreadable": 0,
        "budgets": [],
        "resets_ms": 86_400_000,
    }
    return Preview(rows=list(rows), **given | more)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (_found(), "Nothing waits in group ours"),
        (_found(_row(), _row()), "trains 1 of 2 together"),
        (_found(_row(state="superseded")), "1 superseded"),
        (_found(_row(state="withdrawn")), "1 withdrawn"),
        (_found(orders=2), "2 orders to switch a version"),
        (_found(_row(state="budget")), "wait until 1970-01-02T00:00:00Z"),
        (_found(_row(pinned=True)), "driftloop stream unpin STREAM"),
        (_found(unreadable=2), "2 messages are no requests: they go to driftloop.dlq"),
        (_found(*[_row()] * 4), "chooses from 3 requests at a time: raise trainer.queue"),
    ],
)
def test_each_state_says_what_to_do(found: Preview, told: str) -> None:
    assert told in "\n".join(advice(found, _SETTINGS))


def test_the_table_shows_figures_and_takes_names_as_they_are() -> None:
    """Rich would read a name in brackets as a style; a superseded request has no figures."""
    console = Console(file=StringIO(), width=160)
    show(_found(_row(), _row(state="superseded", rank=None, why="gone")), _SETTINGS, console)
    assert isinstance(console.file, StringIO)
    served, gone = console.file.getvalue().splitlines()[1:3]
    assert " ".join(served.split()) == "1 streams.[a] policy 1m 4 2 2 1,200 by value"
    assert " ".join(gone.split()) == "streams.[a] policy 1m - - - - gone"
