"""What `driftloop monitor` and `driftloop scorer` share: options and the run of a flow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driftloop.criteria import check_criteria
from driftloop.errors import Fault, KafkaUnavailableError, SettingsError
from driftloop.kafka.topics import driftloop_topics, ensure_topics, partition_counts
from driftloop.settings import Settings, load_settings
from driftloop.settings.load import FILE_VARIABLE

_ANSWER_SECONDS = 15.0

console = Console(stderr=True, highlight=False)

Config = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
]
Processes = Annotated[
    int, typer.Option(min=1, max=64, help="Processes of the Bytewax cluster on this machine.")
]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Worker threads of each process.")]
ProcessId = Annotated[
    int | None,
    typer.Option(min=0, help="This process's number in a cluster that is started elsewhere."),
]
Addresses = Annotated[
    str | None,
    typer.Option(help="host:port of all processes of that cluster, ';' between them."),
]
Metrics = Annotated[
    str, typer.Option(help="HOST:PORT on which Prometheus metrics are served; off by default.")
]


def load(config: Path | None) -> Settings:
    """Read the configuration; every fault is shown, and the command ends with status 2.

    Processes that the command starts read the same file.
    """
    try:
        settings = load_settings(config)
        settings.kafka.client()
        check_criteria(settings.chosen_policies)
    except SettingsError as error:
        console.print(f"[bold red]Error:[/] {error}", soft_wrap=True)
        raise typer.Exit(2) from error
    if config is not None:
        os.environ[FILE_VARIABLE] = str(config.resolve())
    return settings


def make_topics(settings: Settings) -> None:
    """Make Driftloop's own topics where they are missing, unless the settings say otherwise.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: A topic cannot be made.
    """
    if not settings.topics.create:
        return
    client, specs = settings.kafka.client(), driftloop_topics(settings.topics)
    try:
        partition_counts(client, [spec.name for spec in specs], timeout=_ANSWER_SECONDS)
    except KafkaUnavailableError as error:
        raise KafkaUnavailableError(
            f"no Kafka answers at {settings.kafka.bootstrap_servers} within {_ANSWER_SECONDS:g} s; "
            "start one with 'driftloop kafka up', or set kafka.bootstrap_servers"
        ) from error
    ensure_topics(client, specs)


def split_addresses(addresses: str | None) -> list[str] | None:
    """Addresses as a list, or None where there are none."""
    return [part for part in addresses.split(";") if part] if addresses else None


def serve_metrics(where: str) -> None:
    """Serve this process's metrics at ``HOST:PORT``, or nowhere for an empty text.

    Raises:
        SettingsError: The text has another form, or nothing can listen there.
    """
    if not where:
        return
    from prometheus_client import start_http_server  # noqa: PLC0415  # only where asked for

    host, _, port = where.rpartition(":")
    if not port.isdigit():
        raise SettingsError([Fault("--metrics", repr(where), "HOST:PORT, as 127.0.0.1:9464")])
    try:
        start_http_server(int(port), addr=host or "127.0.0.1")
    except (OSError, OverflowError) as error:
        rule = f"free to listen on ({error})"
        raise SettingsError([Fault("--metrics", repr(where), rule)]) from error
