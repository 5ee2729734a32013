"""``driftloop doctor``: look at all that has to fit before anything runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftloop.cli.completion import complete_part
from driftloop.cli.settings import load_checked
from driftloop.doctor.examine import examine
from driftloop.doctor.finding import Finding
from driftloop.kafka.rights import PARTS
from driftloop.settings.load import configuration_file

app = typer.Typer(add_completion=False)
_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}
_PIPE_COLUMNS = 120


@app.command()
def doctor(
    *,
    part: Annotated[
        str | None,
        typer.Option(
            help=f"Whose needs to look at: {', '.join(PARTS)}.", autocompletion=complete_part
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
    ] = None,
) -> None:
    """Check broker, rights, topics, retention, store, clock and this machine; say what to do.

    Run it with a part's configuration on its machine. Exit status: 0 nothing fails; 1 something
    does; 2 the configuration or an option is at fault.
    """
    if part is not None and part not in PARTS:
        raise typer.BadParameter(f"one of {', '.join(PARTS)}, got {part!r}", param_hint="--part")
    settings = load_checked(config, models=False)
    file = configuration_file(config)
    known = Finding("configuration", "ok", f"{file or 'built-in defaults'}: no faults")
    findings = [known]
    chosen = next((one for one in PARTS if one == part), None)
    if as_json:
        findings += examine(settings, chosen)
        failed = sum(one.state == "fail" for one in findings)
        typer.echo(json.dumps({"ok": not failed, "findings": [one._asdict() for one in findings]}))
        raise typer.Exit(1 if failed else 0)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    with Console(stderr=True).status("Looking"):
        for one in examine(settings, chosen):
            findings.append(one)
    console.print(_table(findings))
    counts = {state: sum(one.state == state for one in findings) for state in _MARKS}
    console.print(
        Text.assemble(
            *(f"\n{counts['ok']} ok, {counts['warn']} to look at, ",),
            (f"{counts['fail']} failed", "bold red" if counts["fail"] else ""),
        )
    )
    raise typer.Exit(1 if counts["fail"] else 0)


def _table(findings: list[Finding]) -> Table:
    """A line each; what to do stands below what was found."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in findings:
        mark, style = _MARKS[one.state]
        told = Text(one.found)
        if one.advice:
            told.append(f"\n→ {one.advice}", style="cyan")
        table.add_row(Text(mark, style=style), Text(one.check), told)
    return table
