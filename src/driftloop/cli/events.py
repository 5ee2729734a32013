"""``driftloop events``: what Driftloop said, newest last, and on until Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from driftloop.cli.completion import complete_stream, complete_type
from driftloop.cli.reach import need_kafka
from driftloop.cli.settings import load, tell
from driftloop.cli.view import Config, moment
from driftloop.errors import MessageError
from driftloop.kafka.tail import Tail
from driftloop.messages import EVENT_TYPES, Event, decode
from driftloop.messages.envelope import header
from driftloop.messages.sentences import told

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Follow Driftloop's events.")
console = Console(highlight=False)

SHORT = {kind.removeprefix("driftloop.").removesuffix(".v1"): kind for kind in EVENT_TYPES}
"""Types by their short names."""

USUAL = tuple(name for name in SHORT if name not in {"evidence", "stream.status", "part.reported"})
"""Followed unless others are named: what is said of every window would drown the rest."""


@app.callback()
def _root() -> None:
    """Follow Driftloop's events."""


@app.command()
def follow(
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            help=f"Part of a type, may be repeated: {', '.join(SHORT)}.",
            autocompletion=complete_type,
        ),
    ] = None,
    *,
    stream: Annotated[
        str, typer.Option(help="Events of that stream alone.", autocompletion=complete_stream)
    ] = "",
    last: Annotated[
        int, typer.Option(min=0, help="Of each partition, so many earlier messages first.")
    ] = 10,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Go on until Ctrl-C, or end at the newest.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: Config = None,
) -> None:
    """Print events as they come; all but evidence and status, unless --type names them."""
    kinds = _kinds(types or [])
    settings = load(config)
    need_kafka(settings)
    topics = list(settings.topics.names.values())
    topics.remove(settings.topics.dlq)
    put = _as_json if json else _as_line
    with Tail(settings.kafka.client(), topics, last=last) as tail:
        try:
            for event, told_at in _events(tail, wait=wait):
                if type(event).type in kinds and stream in {"", event.stream}:
                    put(event, told_at)
        except KeyboardInterrupt:
            return


def _kinds(parts: list[str]) -> set[str]:
    """Types that are meant; exit status 2 where a part fits none."""
    if not parts:
        return {SHORT[name] for name in USUAL}
    found: set[str] = set()
    for part in parts:
        named = {kind for name, kind in SHORT.items() if part in name or part == kind}
        if not named:
            tell(f"--type: part of one of {', '.join(SHORT)}, got {part!r}")
            raise typer.Exit(2)
        found |= named
    return found


def _events(tail: Tail, *, wait: bool) -> Iterator[tuple[Event, int]]:
    """Events, each with the Kafka timestamp of its message, ms."""
    for message in tail.messages(wait=wait):
        if message.value() is None:
            continue
        headers: Any = message.headers() or []
        try:
            event = decode(headers, message.value())
        except MessageError as error:
            kind = header(headers, "ce_type")
            tell(f"{message.topic()}[{message.partition()}]@{message.offset()} {kind}: {error}")
            continue
        yield event, int(message.timestamp()[1])


def _as_json(event: Event, told_at: int) -> None:
    body = {"type": event.type, "told_at": told_at, **msgspec.to_builtins(event)}
    sys.stdout.write(msgspec.json.encode(body).decode() + "\n")
    sys.stdout.flush()


def _as_line(event: Event, told_at: int) -> None:
    at, kind, text = told(event)
    name = Text(f"{kind:<9}", style=_COLOURS.get(kind, ""))
    about = event.stream or (f"fleet {event.profile}" if event.profile else event.subject)
    when, id_ = (f"{moment(told_at)}  ", "dim"), (f"  {event.id[:8]}", "dim")
    line = Text.assemble(when, name, " ", (about, "bold"), f"  {text}", id_)
    if at is not None:
        line.append(f"  at {moment(at)}", style="dim")
    console.print(line, soft_wrap=True)


_COLOURS = {
    "retrain": "yellow",
    "model": "green",
    "training": "cyan",
    "order": "magenta",
    "judged": "blue",
    "incident": "red",
    "command": "bold",
}
