"""What `driftloop monitor` and `driftloop scorer` share: options and the run of a flow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal, NoReturn, cast

import structlog
import typer
from rich.console import Console

from driftloop import __version__, logs
from driftloop.cli.reporting import start_reporting
from driftloop.cli.settings import load_checked
from driftloop.engine import stop
from driftloop.errors import DriftloopError, KafkaUnavailableError
from driftloop.heartbeat import Heartbeat
from driftloop.kafka.rights import Part, require, roles_of
from driftloop.kafka.topics import driftloop_topics, ensure_topics, partition_counts
from driftloop.kafka.waiting import wait_for_kafka
from driftloop.messages.parts import PartName
from driftloop.settings import Settings, load_settings
from driftloop.settings.base import is_address
from driftloop.settings.kinds import unknown_kinds
from driftloop.settings.load import FILE_VARIABLE
from driftloop.telemetry.tracing import configure as configure_tracing

LOOPBACK = "127.0.0.1"
_ANSWER_SECONDS = 15.0
_LAST_PORT = 65535
_SERVE_VARIABLE = "DRIFTLOOP_SERVE"
_PART_VARIABLE = "DRIFTLOOP_PART"

_log = structlog.get_logger(__name__)
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
    str,
    typer.Option(help="HOST:PORT of /metrics, /healthz and /readyz; default telemetry.metrics."),
]


def load(config: Path | None, *, models: bool = True) -> Settings:
    """Read the configuration; every fault is shown, and the command ends with status 2.

    Processes that the command starts read the same file. Without `models`, kinds that nobody
    registered here are told and no fault.
    """
    settings = load_checked(config, models=models)
    kinds = {name: profile.model.kind for name, profile in settings.profiles.items()}
    for fault in () if models else unknown_kinds(kinds):
        _log.warning("settings.unknown_model_kind", fault=str(fault))
    if config is not None:
        os.environ[FILE_VARIABLE] = str(config.resolve())
    return settings


def ready(part: Literal["monitor", "scorer"], settings: Settings) -> None:
    """Wait for Kafka and make the topics that a part uses; a signal ends the command with status 0.

    Raises:
        KafkaError: A topic cannot be made, or a right is missing.
    """
    beat = Heartbeat(settings.home, part).beat
    with stop.handling():
        if not wait_for_kafka(settings.kafka.client(), stop.requested, beat):
            raise typer.Exit
        make_topics(settings, part)
        require(settings.kafka.client(), part, settings)
        if stop.requested():
            raise typer.Exit


def started(event: str, settings: Settings) -> None:
    """Log that a part begins: where, which version, and on what."""
    _log.info(
        event,
        version=__version__,
        kafka=settings.kafka.bootstrap_servers,
        profiles={name: profile.topics for name, profile in settings.profiles.items()},
    )


def make_topics(settings: Settings, part: Part | None = None) -> None:
    """Make Driftloop's own topics where they are missing, unless the settings say otherwise.

    Args:
        settings: The whole configuration.
        part: Only the topics that this part uses, and may have rights on; all by default.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: A topic cannot be made.
    """
    if not settings.topics.create:
        return
    roles = None if part is None else roles_of(part, settings)
    client, specs = settings.kafka.client(), driftloop_topics(settings.topics, roles)
    try:
        partition_counts(client, [spec.name for spec in specs], timeout=_ANSWER_SECONDS)
    except KafkaUnavailableError as error:
        raise KafkaUnavailableError(
            f"no Kafka answers at {settings.kafka.bootstrap_servers} within {_ANSWER_SECONDS:g} s; "
            "start one with 'driftloop kafka up', or set kafka.bootstrap_servers"
        ) from error
    ensure_topics(client, specs)


def cluster(processes: int, process_id: int | None, addresses: str | None) -> list[str] | None:
    """Addresses of a cluster that is started elsewhere, or None where there is none.

    Raises:
        typer.BadParameter: The options do not fit together; exit status 2.
    """
    if addresses is None:
        if process_id is not None:
            _refuse("--addresses", "--process-id needs the addresses of all processes")
        return None
    if processes > 1:
        _refuse("--processes", "either --processes, or --process-id with --addresses")
    found = [part.strip() for part in addresses.split(";") if part.strip()]
    for one in found:
        if not is_address(one):
            _refuse("--addresses", f"host:port with ';' between them, got {one!r}")
    if len(set(found)) < len(found) or not found:
        _refuse("--addresses", f"one address for each process, got {addresses!r}")
    if process_id is None:
        _refuse("--process-id", f"--addresses need this process's number, 0 to {len(found) - 1}")
    elif process_id >= len(found):
        _refuse(
            "--process-id",
            f"0 to {len(found) - 1}, as --addresses names {len(found)}; got {process_id}",
        )
    return found


def _refuse(option: str, rule: str) -> NoReturn:
    raise typer.BadParameter(rule, param_hint=option)


def serve(where: str, part: PartName, settings: Settings, processes: int = 1) -> None:
    """Let this process tell of itself: reports, traces, and metrics and probes at ``HOST:PORT``.

    Args:
        where: As ``--metrics`` gives it; empty for what the settings say.
        part: The part.
        settings: The configuration.
        processes: Of several on this machine, none of which is this one, each serves at a port of
            its own: see `begin`.

    Raises:
        typer.BadParameter: The text has another form, or nothing can listen there.
        DriftloopError: Traces are wanted, and OpenTelemetry is not installed.
    """
    where = where or settings.telemetry.metrics
    if processes > 1:
        os.environ[_PART_VARIABLE] = part
    else:
        start_reporting(part, settings)
        configure_tracing(settings.telemetry.otlp_endpoint, part)
    if not where:
        return
    if not is_address(where if where.rpartition(":")[0] else f"localhost{where}"):
        _refuse("--metrics", f"HOST:PORT, as 127.0.0.1:9464, got {where!r}")
    host, _, text = where.rpartition(":")
    host, port = host.strip("[]") or LOOPBACK, int(text)
    if processes > 1:
        if port + processes - 1 > _LAST_PORT:
            _refuse("--metrics", f"a port that leaves room for {processes} processes, got {port}")
        os.environ[_SERVE_VARIABLE] = json.dumps([host, port, part])
        return
    try:
        _listen(host, port, part, settings)
    except OSError as error:
        _refuse("--metrics", f"an address that is free to listen on, got {where!r} ({error})")


def begin(number: int) -> None:
    """First of all in process `number` of several that a command has started.

    Raises:
        DriftloopError: Nothing can listen at the process's port.
    """
    logs.configure()
    if (part := os.environ.get(_PART_VARIABLE)) in {"monitor", "scorer"}:
        settings = load_settings()
        start_reporting(cast("PartName", part), settings, number)
        configure_tracing(settings.telemetry.otlp_endpoint, part)
    text = os.environ.get(_SERVE_VARIABLE)
    if text is None:
        return
    host, port, part = json.loads(text)
    try:
        _listen(host, port + number, part, load_settings())
    except OSError as error:
        place = f"{host}:{port + number}"
        _log.error("metrics.address_in_use", process=number, address=place, error=str(error))
        raise DriftloopError(
            f"process {number} cannot serve metrics at {place}: {error}"
        ) from error


def _listen(host: str, port: int, part: Part, settings: Settings) -> None:
    from driftloop.telemetry.server import Probes, Server  # noqa: PLC0415  # only where asked for

    Server(host, port, Probes(part, settings.telemetry.ready_lag), part)
