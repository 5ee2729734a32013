"""``driftloop audit``: who ordered what, and what came of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftloop.cli.answers import as_json
from driftloop.cli.completion import complete_stream
from driftloop.cli.reach import need_kafka
from driftloop.cli.settings import load
from driftloop.operator import Told, audit, exit_status, in_words, to_ms
from driftloop.settings.base import parse_duration

app = typer.Typer(add_completion=False)


@app.command(name="audit")
def show(
    *,
    stream: Annotated[
        str, typer.Option(help="Only commands for this stream.", autocompletion=complete_stream)
    ] = "",
    who: Annotated[str, typer.Option(help="Only commands of this person or service.")] = "",
    since: Annotated[
        str, typer.Option(help="Only from then on: RFC 3339, ms since the epoch, or as 7d ago.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
    ] = None,
) -> None:
    """List who ordered what, why, and what came of it, oldest first; also what was refused.

    As far back as the topics of commands and of trainings reach: a year, as Driftloop makes them.
    """
    settings = load(config)
    since_ms = _since(since)
    need_kafka(settings)
    found = [
        one
        for one in audit(settings, since_ms=since_ms)
        if (not stream or one.command.stream == stream) and (not who or one.command.who == who)
    ]
    if json:
        typer.echo(as_json(found))
        return
    console = Console(highlight=False)
    if not found:
        console.print("No command was given.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("when (UTC)", "who", "action", "stream", "why", "what came of it"):
        table.add_column(name, overflow="fold")
    for one in found:
        table.add_row(*_cells(one), style="red" if _wrong(one) else None)
    console.print(table)


def _cells(told: Told) -> list[Text]:
    command = told.command
    issued = datetime.fromtimestamp(command.issued_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    named: list[str] = [command.action]
    if command.version:
        named.append(command.version)
    stream = f"{command.stream} ({command.scope})" if command.scope else command.stream
    return [
        Text(one)
        for one in (issued, command.who, " ".join(named), stream, command.why, in_words(told))
    ]


def _wrong(told: Told) -> bool:
    return told.complete and exit_status([told]) != 0


def _since(text: str) -> int | None:
    if not text:
        return None
    try:
        return to_ms(text)
    except (ValueError, OverflowError):
        pass
    try:
        ago = parse_duration(text.removesuffix("ago").strip())
    except ValueError as error:
        rule = f"RFC 3339, ms since the epoch, or a duration as 7d, got {text!r}"
        raise typer.BadParameter(rule, param_hint="--since") from error
    return round((time.time() - ago.total_seconds()) * 1000)
