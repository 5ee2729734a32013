"""``driftloop kafka up | down | status | topic``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from driftloop.kafka.broker import (
    BrokerStatus,
    broker_status,
    default_home,
    ensure_broker,
    stop_broker,
)
from driftloop.kafka.topics import TopicSpec, ensure_topics

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Start, stop and look at a local Kafka."
)
_console = Console(highlight=False)

_HOW = {
    "environment": "named by KAFKA_BOOTSTRAP_SERVERS",
    "java": "local, a Java process",
    "docker": "local, a Docker container",
}


@app.command()
def up(
    *,
    port: int | None = typer.Option(
        None, min=1024, max=65535, help="Loopback port; by default one that is free."
    ),
    heap: str | None = typer.Option(
        None, envvar="DRIFTLOOP_KAFKA_HEAP", help="Java's largest heap; by default 512m."
    ),
) -> None:
    """Start a local Kafka, unless one answers already, and wait until it does.

    Uses what KAFKA_BOOTSTRAP_SERVERS names; else the one started before; else Docker; else Java
    17+ and Maven. Its data stays under .driftloop (DRIFTLOOP_HOME names another folder).
    """
    with _console.status("Looking for a Kafka") as status:

        def report(step: str) -> None:
            _console.print(f"[dim]·[/] {step}", soft_wrap=True)
            status.update(step)

        handle = ensure_broker(port=port, heap=heap, report=report)
    verb = "Started" if handle.started else "Already there"
    _console.print(
        f"[bold green]{verb}:[/] Kafka at [bold]{handle.bootstrap_servers}[/] ({_HOW[handle.how]})",
        soft_wrap=True,
    )
    if handle.how != "environment":
        _console.print("\nFor monitor, trainer, scorer and programs of yours in this shell:")
        _console.print(f"\n  export KAFKA_BOOTSTRAP_SERVERS={handle.bootstrap_servers}\n")
        _console.print("  driftloop kafka topic NAME   make a topic: it makes none by itself")
        _console.print("  driftloop kafka status       what it holds")
        _console.print("  driftloop kafka down         stop it; its data stays")


@app.command()
def down(
    *,
    purge: bool = typer.Option(False, "--purge", help="Remove its data too."),
) -> None:
    """Stop the local Kafka that was started here, and no other process."""
    with _console.status("Stopping Kafka"):
        ran = stop_broker(purge=purge)
    folder = default_home() / "kafka"
    if ran:
        _console.print("[bold green]Stopped[/] the local Kafka.")
    else:
        _console.print("No local Kafka was running here.")
    if purge:
        _console.print(f"Its data in {folder} is removed.", soft_wrap=True)
    elif folder.is_dir():
        _console.print(f"Its data stays in {folder}", soft_wrap=True)
        _console.print("\n  driftloop kafka up             start it again")
        _console.print("  driftloop kafka down --purge   remove its data")


@app.command()
def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show the Kafka that Driftloop would use; exit status 1 when none answers."""
    found = broker_status()
    if as_json:
        _console.print_json(data=_facts(found))
        raise typer.Exit(0 if found.answers else 1)
    if found.how == "none":
        _console.print("No Kafka: none was started here and KAFKA_BOOTSTRAP_SERVERS is not set.")
        _console.print("\n  driftloop kafka up   start one")
        raise typer.Exit(1)
    _console.print(_table(found))
    if not found.answers:
        _console.print(f"\n{_advice(found)}", soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def topic(
    names: Annotated[list[str], typer.Argument(help="Names of the topics.")],
    *,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each.")] = 1,
) -> None:
    """Make topics on the Kafka that `driftloop kafka status` shows; those that exist stay.

    A stream is a topic of one partition, unless its profile says otherwise. The local Kafka makes
    none by itself when somebody writes, so that a misspelt name is an error.
    """
    found = broker_status()
    if not found.answers:
        _console.print("No Kafka answers.\n\n  driftloop kafka up   start one")
        raise typer.Exit(1)
    client = {"bootstrap.servers": found.bootstrap_servers}
    made = set(ensure_topics(client, [TopicSpec(name, partitions) for name in names]))
    for name in names:
        _console.print(f"{name}: {'made' if name in made else 'is there already'}")


def _facts(found: BrokerStatus) -> dict[str, object]:
    return {
        "how": found.how,
        "answers": found.answers,
        "running": found.running,
        "bootstrap_servers": found.bootstrap_servers,
        "process": found.process,
        "topics": found.topics,
        "folder": None if found.folder is None else str(found.folder),
    }


def _table(found: BrokerStatus) -> Table:
    table = Table.grid(padding=(0, 2))
    if found.answers:
        state = "[bold green]answers[/]"
    elif found.running:
        state = "[bold yellow]runs, but does not answer[/]"
    else:
        state = "[bold red]does not run[/]" if found.folder else "[bold red]does not answer[/]"
    table.add_row("state", state)
    table.add_row("address", found.bootstrap_servers)
    table.add_row("which", _HOW[found.how])
    if found.process and found.running:
        table.add_row("process", found.process)
    if found.topics is not None:
        table.add_row("topics", str(found.topics))
    if found.folder is not None:
        table.add_row("files", str(found.folder))
    return table


def _advice(found: BrokerStatus) -> str:
    if found.folder is None:
        return "Start it, or correct or unset KAFKA_BOOTSTRAP_SERVERS."
    if found.running:
        return "It may still be starting. To stop it: driftloop kafka down"
    return "Start it again, on its data: driftloop kafka up"
