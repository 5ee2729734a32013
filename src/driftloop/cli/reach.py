"""Whether Kafka answers, asked for a few seconds, before a command waits for long."""

from __future__ import annotations

from typing import NoReturn

import typer

from driftloop.cli.settings import tell
from driftloop.kafka.broker_probe import ask
from driftloop.settings import Settings

ANSWER_SECONDS = 3.0


def missing(settings: Settings) -> str:
    """That no Kafka answers, in words; empty where one does."""
    servers = settings.kafka.bootstrap_servers
    if ask(servers, ANSWER_SECONDS, settings.kafka.client()) is not None:
        return ""
    return f"no Kafka answers at {servers} within {ANSWER_SECONDS:g} s"


def need_kafka(settings: Settings) -> None:
    """End with status 1, and say what to do, where no Kafka answers."""
    found = missing(settings)
    if found:
        refuse(found)


def refuse(found: str) -> NoReturn:
    """End with status 1, and say what to do about `missing`."""
    tell(f"{found}; start one with 'driftloop kafka up', or see --config")
    raise typer.Exit(1)
