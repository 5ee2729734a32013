"""``driftloop health``: the probe of containers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from driftloop.errors import SettingsError
from driftloop.heartbeat import PARTS, check_heartbeat
from driftloop.settings import load_settings
from driftloop.settings.base import parse_duration

app = typer.Typer(add_completion=False)


@app.command()
def health(
    part: Annotated[str, typer.Argument(help=f"One of {', '.join(PARTS)}.")],
    max_age: Annotated[str, typer.Option(help="Oldest heartbeat that counts as alive.")] = "60s",
    config: Annotated[
        Path | None, typer.Option(help="Configuration file; default driftloop.toml.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Exit 0 when a part of Driftloop on this machine is alive, else 1 and say why."""
    if part not in PARTS:
        typer.echo(f"part is one of {', '.join(PARTS)}, got {part!r}", err=True)
        raise typer.Exit(2)
    try:
        seconds = parse_duration(max_age).total_seconds()
    except ValueError as error:
        typer.echo(f"--max-age: {error}, got {max_age!r}", err=True)
        raise typer.Exit(2) from error
    try:
        home = load_settings(config).home
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    found = check_heartbeat(home, part, seconds)
    if as_json:
        typer.echo(json.dumps({"part": part, "alive": found.alive, "detail": found.detail}))
    else:
        typer.echo(found.detail, err=not found.alive)
    raise typer.Exit(0 if found.alive else 1)
