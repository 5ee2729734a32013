"""What the commands that only look share: the read model, brought up to date; and their words."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from driftloop.cli import reach
from driftloop.cli.output import ago
from driftloop.cli.settings import load, tell
from driftloop.errors import Fault, KafkaError
from driftloop.readmodel import Feed, Queries, ReadModel, open_model, refresh
from driftloop.settings import Settings

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

Config = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_WHOLE = 1000.0
"""Numbers from which on no decimals are shown."""

_MANY = 20_000
"""Messages to read from which on progress is shown."""


class View:
    """The read model, and what is not known for certain of it.

    Attributes:
        settings: The configuration.
        queries: Answers.
        note: Why it is not up to date; empty where it is.
    """

    def __init__(self, settings: Settings, model: ReadModel) -> None:
        self.settings = settings
        self.queries = Queries(model, settings)
        self.note = ""
        self._model = model
        self._feed: Feed | None = None

    def update(self) -> None:
        """Take in what came since, over one connection; where that fails, `note` says why.

        Raises:
            KafkaError: Nothing is known at all.
        """
        try:
            if self._feed is None:
                self._feed = Feed(self.settings, self._model)
            with _progress() as told:
                self.note = refresh(self.settings, self._model, told, self._feed)
        except KafkaError as error:
            self.close()
            if not self._model.ready:
                raise
            self.note = f"{error}; this is what was known before"

    def close(self) -> None:
        """End the connection."""
        if self._feed is not None:
            self._feed.close()
            self._feed = None


@contextlib.contextmanager
def view(config: Path | None) -> Iterator[View]:
    """The read model of a configuration, up to date.

    Raises:
        KafkaError: No broker answers, and nothing is known from before.
    """
    settings = load(config)
    model = open_model(settings)
    found = View(settings, model)
    try:
        silent = reach.missing(settings)
        if silent:
            if not model.ready:
                reach.refuse(silent)
            found.note = f"{silent}; this is what was known before"
        else:
            found.update()
        if found.note:
            errors.print(f"Note: {found.note}", soft_wrap=True, markup=False)
        yield found
    finally:
        found.close()
        model.close()


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    bar = Progress(
        TextColumn("Reading events"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
    )
    with bar:
        task = None

        def told(done: int, total: int) -> None:
            nonlocal task
            if total < _MANY:
                return
            if task is None:
                task = bar.add_task("", total=total)
            bar.update(task, completed=done)

        yield told


def refuse(found: View, stream: str) -> NoReturn:
    """Say that a stream is not known, and what was probably meant; exit status 2."""
    near = found.queries.near(stream)
    known = found.queries.fleet().streams
    otherwise = (
        "driftloop streams lists all" if known else "no stream is known yet: is a monitor running?"
    )
    hint = f"did you mean {' or '.join(near)}?" if near else otherwise
    tell(Fault("STREAM", stream, "a stream that Driftloop knows", hint))
    raise typer.Exit(2)


def moment(ms: int | None) -> str:
    """A time for people, UTC; a hyphen for none.

    >>> moment(1_767_225_600_000), moment(None)
    ('2026-01-01 00:00', '-')
    """
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def age(ms: int | None, now_ms: int | None = None) -> str:
    """How long ago that was.

    >>> age(1000, 4000), age(0, 7_300_000), age(None)
    ('3 s', '2 h', '-')
    """
    if ms is None:
        return "-"
    now = round(time.time() * 1000) if now_ms is None else now_ms
    return ago((now - ms) / 1000)


def figure(value: float | None) -> str:
    """A number for people; a hyphen for none.

    >>> figure(10_916.4), figure(0.25), figure(None)
    ('10,916', '0.25', '-')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:,.4g}"


STATES = {
    "monitoring": "green",
    "watched": "yellow",
    "awaiting-approval": "magenta",
    "silent": "red",
    "refused": "red",
    "retired": "dim",
    "snoozed": "dim",
    "pinned": "cyan",
    "warming-up": "blue",
}
"""Colour of each state; its name stands beside it."""
