"""``driftloop config``: check, show and start a configuration."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from driftloop.cli.settings import load, load_checked
from driftloop.messages.signing import make_keys
from driftloop.policy.promise import promise
from driftloop.settings import DEFAULT_FILE
from driftloop.settings.base import format_duration
from driftloop.settings.commands import KEY_ID
from driftloop.settings.load import configuration_file
from driftloop.settings.policy import Policy
from driftloop.settings.profile import CycleWindow, Profile
from driftloop.settings.render import render, tables

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Check, show and start a configuration."
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
]


@app.command()
def check(
    config: ConfigOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say every fault of the configuration and exit 2, or say what will be monitored."""
    settings = load_checked(config)
    file = configuration_file(config)
    if as_json:
        profiles = [
            {"name": name, "hash": one.hash, "told": _describe(one)}
            for name, one in settings.profiles.items()
        ]
        servers, store = settings.kafka.bootstrap_servers, settings.store.uri
        told = {"file": file and str(file), "kafka": servers, "store": store, "profiles": profiles}
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"{file or 'Built-in defaults (no driftloop.toml here)'}: no faults.")
    typer.echo(f"Kafka: {settings.kafka.bootstrap_servers}; models: {settings.store.uri}")
    for name, profile in settings.profiles.items():
        typer.echo(f"Profile {name} (hash {profile.hash}):")
        for line in _describe(profile):
            typer.echo(f"  {line}")


def _describe(profile: Profile) -> list[str]:
    streams = "each partition a stream" if profile.partitions == "each" else "a stream each"
    names = [*profile.features.numeric, *profile.features.categorical]
    window = profile.window
    if isinstance(window, CycleWindow):
        length, late = format_duration(window.length), format_duration(window.lateness)
        windows = f"windows of {length} of event time, closed {late} after their end"
    else:
        windows = f"windows of {window.records} records"
    policy = profile.policy
    usual = Policy().model_dump(mode="json")
    chosen = policy.model_dump(mode="json", exclude={"kind"})
    options = "".join(
        f", {name} {_shown(value)}"
        for name, value in chosen.items()
        if value != usual[name] or (name == "mode" and policy.kind == "reducible")
    )
    return [
        f"topics that match {profile.topics} in full, {streams}",
        f"{profile.task}, {profile.loss} loss, {windows}",
        f"features: {', '.join(names) or 'none'}",
        f"policy {policy.kind}{options}; model {profile.model.kind}",
        promise(profile.policy, profile.fleet),
    ]


def _shown(value: Any) -> str:
    """A value of a policy in short; of a criterion or detector its name."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, dict):
        return str(value["name"]) if "name" in value else str(value)
    return str(value)


@app.command()
def show(config: ConfigOption = None) -> None:
    """Print the effective configuration as TOML, with each value's source; secrets hidden."""
    typer.echo(render(load(config), config), nl=False)


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Who gives commands with it, as in their 'who'.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="File for the secret; default NAME.key, for its owner only.")
    ] = None,
    hmac: Annotated[
        bool, typer.Option("--hmac", help="A shared secret instead of an Ed25519 key pair.")
    ] = False,
) -> None:
    """Make a key that signs commands; its secret goes to a file, what verifies it is printed."""
    if not KEY_ID.fullmatch(name):
        raise typer.BadParameter("a name without ':' and blanks", param_hint="NAME")
    secret, public = make_keys("hmac" if hmac else "ed25519")
    path = Path(f"{name.replace('/', '_')}.key") if out is None else out
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{secret}\n")
    except FileExistsError as error:
        typer.echo(f"{path} is there already; it was left as it is", err=True)
        raise typer.Exit(1) from error
    shown = f"hmac:file:{path}" if hmac else public
    typer.echo(f"Wrote {path}, which is secret. Where commands are given:\n")
    lines = tables({"commands": {"key_id": name, "secret": {"file": str(path)}}})
    typer.echo("\n".join(lines).strip())
    typer.echo("\nWhere the monitor runs, and the trainer:\n")
    lines = tables({"commands": {"require_signature": True, "keys": {name: shown}}})
    typer.echo("\n".join(lines).strip())


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path(DEFAULT_FILE),
) -> None:
    """Write a commented configuration to start from; a file that is there stays as it is."""
    text = files("driftloop.settings").joinpath("example.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        typer.echo(f"{path} is there already; it was left as it is", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        typer.echo(f"{path} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"Wrote {path}. Next: edit it, then run: driftloop config check --config {path}")
