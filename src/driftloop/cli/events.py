"""``driftloop events``: what Driftloop said, newest last, and on until Ctrl-C."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec
import typer
from confluent_kafka import Message
from rich.console import Console
from rich.text import Text

from driftloop.cli.completion import complete_stream, complete_type
from driftloop.cli.reach import need_kafka
from driftloop.cli.settings import load, tell
from driftloop.cli.view import Config, moment
from driftloop.errors import MessageError
from driftloop.kafka.tail import Tail
from driftloop.messages import EVENT_TYPES, Event, Evidence, PartReported, StreamStatus, decode
from driftloop.messages.envelope import header
from driftloop.messages.sentences import told
from driftloop.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Follow Driftloop's events.")
console = Console(highlight=False)

SHORT = {kind.removeprefix("driftloop.").removesuffix(".v1"): kind for kind in EVENT_TYPES}
"""Types by their short names."""

USUAL = tuple(name for name in SHORT if name not in {"evidence", "stream.status", "part.reported"})
"""Followed unless others are named: what is said of every window would drown the rest."""
_USUAL = {SHORT[name] for name in USUAL}
FURTHEST = 5_000
"""Messages of each partition, from its end, among which earlier events are looked for."""


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
        int,
        typer.Option(
            min=0,
            help="So many earlier events first, of those that are asked for; of each partition "
            f"the newest {FURTHEST:,} messages are looked through.",
        ),
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
    put = _as_json if json else _as_line
    topics, back = _topics(settings, kinds), _back(last, narrow=bool(types or stream))
    with Tail(settings.kafka.client(), topics, last=back) as tail:
        try:
            earlier = deque(_events(tail.messages(wait=False), kinds, stream), maxlen=last)
            for event, told_at in earlier:
                put(event, told_at)
            if wait:
                for event, told_at in _events(tail.messages(wait=True), kinds, stream):
                    put(event, told_at)
        except KeyboardInterrupt:
            return


def _back(last: int, *, narrow: bool) -> int:
    """Messages of each partition that are read for the last events; ends of transactions count."""
    if not last:
        return 0
    return max(last, FURTHEST) if narrow else 10 * last


def _topics(settings: Settings, kinds: set[str]) -> list[str]:
    """Topics that events of these types may be on; most messages are evidence and status."""
    names = settings.topics.names
    left_out = {"dlq"}
    if Evidence.type not in kinds:
        left_out.add("evidence")
    if not kinds & {StreamStatus.type, PartReported.type}:
        left_out.add("status")
    return [name for role, name in names.items() if role not in left_out]


def _kinds(parts: list[str]) -> set[str]:
    """Types that are meant; exit status 2 where a part fits none."""
    if not parts:
        return set(_USUAL)
    found: set[str] = set()
    for part in parts:
        named = {kind for name, kind in SHORT.items() if part in name or part == kind}
        if not named:
            tell(f"--type: part of one of {', '.join(SHORT)}, got {part!r}")
            raise typer.Exit(2)
        found |= named
    return found


def _events(
    messages: Iterable[Message], kinds: set[str], stream: str
) -> Iterator[tuple[Event, int]]:
    """Events of these types and that stream, each with the Kafka timestamp of its message, ms.

    One that cannot be read is told of where its header names one of them; of an unknown type only
    where none was chosen.
    """
    for message in messages:
        headers: Any = message.headers() or []
        kind, value = header(headers, "ce_type"), message.value()
        others = kind not in kinds and (kind in EVENT_TYPES or kinds != _USUAL)
        if value is None or others:
            continue
        try:
            event = decode(headers, value)
        except MessageError as error:
            if not stream or message.key() == stream.encode():
                place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
                tell(f"{place} {kind}: {error}")
            continue
        if stream in {"", event.stream}:
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
