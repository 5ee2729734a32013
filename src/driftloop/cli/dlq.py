"""``driftloop dlq``: look into dead letters, and send them to their topics again."""

from __future__ import annotations

import getpass
import json
import socket
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftloop.cli.reach import need_kafka
from driftloop.cli.settings import load, tell
from driftloop.errors import ReplayError, SettingsError
from driftloop.operator.dead_letters import (
    Letter,
    Replay,
    letters_at,
    listing,
    parse_place,
    read,
    refusal,
    replay,
)
from driftloop.settings import Settings
from driftloop.settings.base import parse_duration

_PIPE_COLUMNS = 200
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, show and replay dead letters: what could not be read, and why.",
)

Config = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Reason = Annotated[str | None, typer.Option(help="Only those with this code, as not-json.")]
Topic = Annotated[
    str | None, typer.Option("--topic", "--stream", help="Only those that came from this topic.")
]
Since = Annotated[
    str | None,
    typer.Option(help="Only those since: a duration as 2h, RFC 3339, or ms since the epoch."),
]


@app.command("list")
def show_list(
    *,
    reason: Reason = None,
    topic: Topic = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 50,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List dead letters, the newest first: where they came from, and why they are here."""
    settings = load(config)
    since_ms = _since(since)
    need_kafka(settings)
    found = listing(settings, limit=limit, reason=reason, topic=topic, since_ms=since_ms)
    if as_json:
        typer.echo(json.dumps({"topic": settings.topics.dlq, "letters": list(map(_facts, found))}))
        return
    console = _console()
    if not found:
        chosen = " of that choice" if reason or topic or since else ""
        console.print(f"No dead letters{chosen} on {settings.topics.dlq}.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("place", "when", "came from", "reason"):
        table.add_column(name, no_wrap=True)
    table.add_column("")
    for one in found:
        again = Text("sent again", style="green") if one.replayed else Text("")
        where = f"{one.topic}:{one.partition}:{one.offset}"
        table.add_row(str(one.place), _moment(one.at), Text(where), Text(one.reason), again)
    console.print(table)
    if limit and len(found) == limit:
        console.print(f"The newest {limit} are shown: --limit 0 shows all.")
    console.print(f"\n  driftloop dlq show {found[0].place}     its bytes, and why")
    waiting = next((one for one in found if not refusal(settings, one)), None)
    if waiting is not None:
        console.print(f"  driftloop dlq replay {waiting.place} --why '…'     to its topic, once")


@app.command()
def show(
    place: Annotated[str, typer.Argument(help="partition:offset, as the list shows it.")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Its bytes alone, unchanged.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Show one dead letter: its bytes, its coordinates, why it is here, whether it was sent again.

    'driftloop dlq show 0:17 --raw > record.json' is where a mended record begins.
    """
    settings = load(config)
    need_kafka(settings)
    letter = _found(settings, place)
    if raw:
        sys.stdout.buffer.write(letter.value or b"")
        sys.stdout.buffer.flush()
        return
    if as_json:
        typer.echo(json.dumps({**_facts(letter), "headers": letter.headers}))
        return
    console = _console()
    table = Table.grid(padding=(0, 2))
    facts = {
        "reason": letter.reason,
        "why": letter.detail,
        "came from": f"{letter.topic}:{letter.partition}:{letter.offset}",
        "its time": _moment(letter.timestamp) if letter.timestamp >= 0 else "unknown",
        "here since": _moment(letter.at),
        "key": repr(letter.key) if letter.key is not None else "none",
    }
    for name, value in facts.items():
        table.add_row(Text(name, style="dim"), Text(value))
    console.print(table)
    console.print(_pretty(letter.value))
    done, why = letter.replayed, refusal(settings, letter)
    if done is not None:
        console.print(Text(f"\nSent again {_moment(done.at)} by {done.who}: {done.why}", "green"))
    elif why:
        console.print(Text(f"\nNot sent again: {why}", "yellow"))
    else:
        console.print(f"\n  driftloop dlq replay {letter.place} --why '…'     to its topic again")


@app.command("replay")
def replay_letters(
    places: Annotated[
        list[str] | None, typer.Argument(help="partition:offset of each, as the list shows it.")
    ] = None,
    *,
    why: Annotated[str, typer.Option(help="The reason, for those who look later.")],
    who: Annotated[str | None, typer.Option(help="Who does it; by default user@host.")] = None,
    reason: Reason = None,
    topic: Topic = None,
    since: Since = None,
    value: Annotated[
        Path | None, typer.Option(help="File of the bytes to send instead; for one place.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also what would be a dead letter again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Send dead letters to the topics that they came from, each once; all of them, or none.

    Name them, or choose all of a --reason and --topic. Exit status: 0 sent; 1 refused, as one that
    was sent before; 2 an option is at fault. Events, and so commands, are never sent again.
    """
    settings = load(config)
    chosen = list(places or [])
    if bool(chosen) == bool(reason or topic or since):
        _misused("PLACE", "either places, or --reason, --topic or --since")
    if not chosen:
        since_ms = _since(since)
        need_kafka(settings)
        found = listing(settings, limit=0, reason=reason, topic=topic, since_ms=since_ms)
        chosen = [str(one.place) for one in reversed(found) if not refusal(settings, one)]
        if not chosen:
            _misused("--reason", "a choice that holds dead letters which may be sent")
    else:
        _known(settings, chosen)
    try:
        sent = value.read_bytes() if value is not None else None
    except OSError as error:
        _misused("--value", f"a file that can be read ({error.strerror})")
    if not yes:
        if not sys.stdin.isatty():
            _misused("--yes", "given where nobody can be asked")
        count = "one dead letter" if len(chosen) == 1 else f"{len(chosen):,} dead letters"
        typer.confirm(f"Send {count} again?", abort=True)
    by = who or f"{getpass.getuser()}@{socket.gethostname()}"
    try:
        done = replay(settings, chosen, who=by, why=why, value=sent, force=force)
    except SettingsError as error:
        tell(error)
        raise typer.Exit(2) from error
    except ReplayError as error:
        tell(error)
        raise typer.Exit(1) from error
    _tell_sent(done, as_json=as_json)


def _tell_sent(done: list[Replay], *, as_json: bool) -> None:
    if as_json:
        names = Replay.__struct_fields__
        typer.echo(json.dumps([{name: getattr(one, name) for name in names} for one in done]))
        return
    for one in done:
        changed = ", other bytes" if one.changed else ""
        typer.echo(f"{one.place} sent to {one.topic}:{one.partition}:{one.offset}{changed}")


def _found(settings: Settings, place: str) -> Letter:
    try:
        return read(settings, place)
    except SettingsError as error:
        tell(error)
        raise typer.Exit(2) from error


def _known(settings: Settings, places: Sequence[str]) -> None:
    """See that dead letters lie there, before anybody is asked; else exit status 1, or 2."""
    need_kafka(settings)
    try:
        wanted = [parse_place(place, settings.topics.dlq) for place in places]
        letters_at(settings, wanted)
    except SettingsError as error:
        tell(error)
        raise typer.Exit(2) from error
    except ReplayError as error:
        tell(error)
        raise typer.Exit(1) from error


def _facts(letter: Letter) -> dict[str, Any]:
    replayed = letter.replayed
    return {
        "place": str(letter.place),
        "at": letter.at,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": letter.timestamp,
        "reason": letter.reason,
        "detail": letter.detail,
        "key": _text(letter.key),
        "value": _text(letter.value),
        "replayed": None
        if replayed is None
        else {"who": replayed.who, "why": replayed.why, "at": replayed.at},
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _pretty(value: bytes | None) -> Text:
    """Bytes for reading: JSON indented, text as it is, all else escaped."""
    if value is None:
        return Text("\n(a tombstone: no value)", style="dim")
    if not value:
        return Text("\n(no bytes)", style="dim")
    try:
        return Text("\n" + json.dumps(json.loads(value), indent=2, ensure_ascii=False))
    except ValueError:
        return Text("\n" + value.decode(errors="backslashreplace"))


def _since(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return round((time.time() - parse_duration(text).total_seconds()) * 1000)
    except ValueError:
        pass
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _misused("--since", "a duration as 2h, RFC 3339, or ms since the epoch")
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def _misused(option: str, rule: str) -> NoReturn:
    tell(f"{option}: {rule}")
    raise typer.Exit(2)


def _moment(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, tz=UTC)
    return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
