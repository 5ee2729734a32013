"""``driftloop command``: order something for a stream, as an event on ``driftloop.commands``."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, get_args

import typer

from driftloop.cli.flows import console, load, make_topics
from driftloop.errors import Fault, SettingsError
from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import partition_counts
from driftloop.messages import Action, Command, encode
from driftloop.settings import Settings

HONOURED: tuple[Action, ...] = get_args(Action)
"""What the monitor does."""

VERSIONED: tuple[Action, ...] = ("pin", "rollback")
"""What a version may be named for."""

app = typer.Typer(add_completion=False)


@app.command()
def command(
    action: Annotated[str, typer.Argument(help=f"One of {', '.join(HONOURED)}.")],
    stream: Annotated[str, typer.Argument(help="The stream: a topic, or topic:partition.")],
    *,
    who: Annotated[str, typer.Option(help="Who orders it.")],
    why: Annotated[str, typer.Option(help="The reason, for the audit.")],
    until: Annotated[
        str | None,
        typer.Option(help="End of a snooze in event time: RFC 3339, or ms since the epoch."),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            help="The model version to pin or to go back to, as v3; by default the current one, "
            "or its parent."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
    ] = None,
) -> None:
    """Order something for a stream: a retrain, a snooze, an earlier version, a pin of one.

    The order is an event like any other. What follows is told on driftloop.status.
    """
    settings = load(config)
    try:
        event = ordered(action, stream, who=who, why=why, until=until, version=version)
        check_stream(settings, stream)
    except SettingsError as error:
        console.print(f"[bold red]Error:[/] {error}", soft_wrap=True)
        raise typer.Exit(2) from error
    send(settings, event)
    typer.echo(f"{action} ordered for {stream}, id {event.id}")
    typer.echo(f"What follows is told on {settings.topics.status}.")


def ordered(
    action: str,
    stream: str,
    *,
    who: str,
    why: str,
    until: str | None = None,
    version: str | None = None,
) -> Command:
    """The event of an order, issued now.

    Raises:
        SettingsError: The action is not honoured, the end of a snooze is no time, or stands
            beside another action.
    """
    known: list[Action] = [one for one in HONOURED if one == action]
    faults = []
    if not known:
        rule = f"one of {', '.join(HONOURED)}"
        faults.append(Fault("ACTION", action, rule))
    if version is not None and known and known[0] not in VERSIONED:
        faults.append(Fault("--version", version, f"given with {' or '.join(VERSIONED)} only"))
    end = None
    if until is not None:
        if action != "snooze":
            faults.append(Fault("--until", until, "given with snooze only"))
        try:
            end = to_ms(until)
        except (ValueError, OverflowError):
            faults.append(Fault("--until", until, "RFC 3339, or ms since the epoch"))
    if faults:
        raise SettingsError(faults)
    return Command(
        id=uuid.uuid4().hex,
        stream=stream,
        action=known[0],
        who=who,
        why=why,
        issued_at=round(time.time() * 1000),
        until=end,
        version=version,
    )


def to_ms(text: str) -> int:
    """A moment as milliseconds since the epoch; one without a zone is in UTC.

    Raises:
        ValueError: It is neither a whole number nor RFC 3339.

    >>> to_ms("2026-01-01T00:00:00Z"), to_ms("2026-01-01"), to_ms("1767225600000")
    (1767225600000, 1767225600000, 1767225600000)
    """
    if text.isdecimal():
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def topic_of(stream: str) -> str:
    """The topic of a stream, which may be one of its partitions.

    >>> topic_of("orders.lyon"), topic_of("orders.lyon:3")
    ('orders.lyon', 'orders.lyon')
    """
    return stream.partition(":")[0]


def check_stream(settings: Settings, stream: str) -> None:
    """See that the configuration watches a stream.

    Raises:
        SettingsError: No profile matches its topic.
    """
    if settings.profile_of(topic_of(stream)) is None:
        raise SettingsError([Fault("STREAM", stream, "a topic that a profile matches")])


def send(settings: Settings, event: Command) -> None:
    """Produce an order; the broker has acknowledged it afterwards.

    Raises:
        SettingsError: The stream's topic does not exist.
        KafkaUnavailableError: No broker answers.
        DeliveryError: The broker refused it.
    """
    make_topics(settings)
    client = settings.kafka.client()
    if not partition_counts(client, [topic_of(event.stream)]):
        rule = f"a topic that exists on {settings.kafka.bootstrap_servers}"
        raise SettingsError([Fault("STREAM", event.stream, rule)])
    with CheckedProducer(client) as producer:
        producer.produce(settings.topics.commands, encode(event))
        producer.flush()
