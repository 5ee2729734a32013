"""``driftloop explain``: why a model was retrained, and whether it comes out the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars

from driftloop.cli.reach import need_kafka
from driftloop.cli.settings import load
from driftloop.errors import DriftloopError

if TYPE_CHECKING:
    from driftloop.explain.records import Progress

app = typer.Typer(add_completion=False)


@app.command()
def explain(
    event_id: Annotated[
        str, typer.Argument(metavar="EVENT-ID", help="Its id, or the first 8 digits or more.")
    ],
    *,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with plots to this file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole structure as JSON.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="driftloop.toml by default; that of then."),
    ] = None,
) -> None:
    """Tell why a model was retrained, what came of it, and whether the decision comes out the same.

    Reads the stream's records from Kafka again and decides on them with the same code. Takes the id
    of a retrain request, or of evidence, a version, an outcome, the ledger's entry, an order, a
    command or an incident. Nothing but Kafka need run.

    Exit status 0: it comes out the same; 1: there is no such event, or it comes out otherwise; 2:
    the configuration is at fault; 3: something that it rests on is missing.
    """
    settings = load(config)
    need_kafka(settings)
    from driftloop import explain as explaining  # noqa: PLC0415  # with SciPy: a second
    from driftloop.explain.page import write_page  # noqa: PLC0415
    from driftloop.explain.terminal import print_explanation  # noqa: PLC0415

    with _progress() as progress:
        told = explaining.explain(settings, event_id, progress=progress)
    if html is not None:
        try:
            write_page(told, html)
        except OSError as error:
            raise DriftloopError(f"--html: {html}: {error.strerror}") from error
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(told), indent=2, allow_nan=False))
    else:
        console = Console(highlight=False)
        print_explanation(console, told)
        if html is not None:
            console.print(f"\nThe page: {html.absolute().as_uri()}", soft_wrap=True, markup=False)
    status = {"different": 1, "partly": 3, "not-possible": 3}.get(told.check.outcome, 0)
    raise typer.Exit(status)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on the terminal while messages are read; nothing where there is none."""
    console = Console(stderr=True)
    bars = Bars(
        TextColumn("reading {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bars:
        tasks: dict[str, object] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield show
