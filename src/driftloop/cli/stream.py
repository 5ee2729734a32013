"""``driftloop stream``: order something for a stream, and see what came of it."""

from __future__ import annotations

import getpass
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from driftloop.cli import stream_show
from driftloop.cli.answers import as_json
from driftloop.cli.completion import complete_stream
from driftloop.cli.settings import load, tell
from driftloop.errors import SettingsError
from driftloop.messages import Command, CommandAnswered
from driftloop.operator import Told, build, exit_status, in_words, send, wait
from driftloop.settings import Settings
from driftloop.settings.base import parse_duration

STATUSES = (
    "Exit status: 0 done, or accepted and what followed was published; 1 refused, or what followed "
    "failed; 2 the order or the configuration is at fault, and nothing was sent; 3 no answer, or "
    "no outcome, in time."
)
SHOWN = 10
"""Streams that are named before a confirmation."""

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Show a stream; or order something for it, for a pattern, or for those of an incident.",
    epilog=STATUSES,
)

app.command("show")(stream_show.show)

Stream = Annotated[
    str,
    typer.Argument(help="The stream: a topic, or topic:partition.", autocompletion=complete_stream),
]
Why = Annotated[str, typer.Option(help="The reason, for the audit.")]
Who = Annotated[
    str, typer.Option(help="Who orders it; by default commands.key_id, else USER@HOST.")
]
Pattern = Annotated[
    str, typer.Option(help="Instead of a stream: all that match, as a shell has it: 'flights.*'.")
]
Incident = Annotated[
    str, typer.Option(help="Instead of a stream: those of an incident, by its id or its beginning.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for what comes of it.")]
Timeout = Annotated[str, typer.Option(help="How long to wait, as 30s or 5m.")]
Yes = Annotated[bool, typer.Option("--yes", help="More than one stream without being asked.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; default driftloop.toml.")
]
Version = Annotated[str | None, typer.Option(help="The model version, as v3.")]
Request = Annotated[
    str | None, typer.Option("--request", help="Id of the retrain request that is meant.")
]
Until = Annotated[
    str | None,
    typer.Option(help="End in event time: RFC 3339, or ms since the epoch; else 'resume' ends it."),
]


def _plain(action: str, help_: str) -> None:
    """A command of an action that takes nothing of its own."""

    def run(
        stream: Stream = "",
        *,
        why: Why,
        who: Who = "",
        pattern: Pattern = "",
        incident: Incident = "",
        no_wait: NoWait = False,
        timeout: Timeout = "30s",
        yes: Yes = False,
        json: Json = False,
        config: Config = None,
    ) -> None:
        _order(action, stream, why, who, pattern, incident, no_wait, timeout, yes, json, config)

    app.command(action, help=help_, epilog=STATUSES)(run)


def _versioned(action: str, help_: str) -> None:
    """A command of an action that may name a version."""

    def run(
        stream: Stream = "",
        *,
        why: Why,
        version: Version = None,
        who: Who = "",
        pattern: Pattern = "",
        incident: Incident = "",
        no_wait: NoWait = False,
        timeout: Timeout = "30s",
        yes: Yes = False,
        json: Json = False,
        config: Config = None,
    ) -> None:
        _order(
            action, stream, why, who, pattern, incident, no_wait, timeout, yes, json, config,
            version=version,
        )  # fmt: skip

    app.command(action, help=help_, epilog=STATUSES)(run)


def _about_a_request(action: str, help_: str) -> None:
    """A command of an action that may name a request."""

    def run(
        stream: Stream = "",
        *,
        why: Why,
        request: Request = None,
        who: Who = "",
        pattern: Pattern = "",
        incident: Incident = "",
        no_wait: NoWait = False,
        timeout: Timeout = "30s",
        yes: Yes = False,
        json: Json = False,
        config: Config = None,
    ) -> None:
        _order(
            action, stream, why, who, pattern, incident, no_wait, timeout, yes, json, config,
            request_id=request,
        )  # fmt: skip

    app.command(action, help=help_, epilog=STATUSES)(run)


_plain("retrain", "Train a model on the newest labelled records now, whatever the policy says.")
_about_a_request("approve", "Let a retrain that waits for approval go ahead.")
_about_a_request("reject", "Drop a retrain that waits for approval.")
_about_a_request("dismiss", "Call a retrain, or an incident, a false alarm after the fact.")


@app.command(epilog=STATUSES)
def snooze(
    stream: Stream = "",
    *,
    why: Why,
    until: Until = None,
    who: Who = "",
    pattern: Pattern = "",
    incident: Incident = "",
    no_wait: NoWait = False,
    timeout: Timeout = "30s",
    yes: Yes = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Allow no retrains by the policy until a moment of event time, or until 'resume'."""
    _order(
        "snooze", stream, why, who, pattern, incident, no_wait, timeout, yes, json, config,
        until=until,
    )  # fmt: skip


_plain("resume", "End a snooze; or watch a retired stream again, from its next record on.")
_versioned("pin", "Keep the current version, or go back to --version and keep that.")
_plain("unpin", "End a pin; also allow retrains again after too many rollbacks in a row.")
_versioned("rollback", "Go back to --version, or to the parent of the current one.")
_plain("reset-reference", "Begin references and all that was accumulated anew.")
_plain("retire", "Watch a stream no more; its records are skipped until 'resume'.")


def _order(
    action: str,
    stream: str,
    why: str,
    who: str,
    pattern: str,
    incident: str,
    no_wait: bool,  # noqa: FBT001  # as the options stand
    timeout: str,
    yes: bool,  # noqa: FBT001
    json: bool,  # noqa: FBT001
    config: Path | None,
    **more: Any,
) -> None:
    """Build, confirm, send and wait; ends the command with its status."""
    settings = load(config)
    try:
        seconds = parse_duration(timeout).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from error
    who = who or default_who(settings)
    try:
        commands = build(
            settings, action, stream=stream, pattern=pattern, incident=incident, who=who, why=why,
            on_note=lambda note: errors.print(f"Note: {note}", soft_wrap=True), **more,
        )  # fmt: skip
    except SettingsError as error:
        tell(error)
        raise typer.Exit(2) from error
    _confirm(commands, yes=yes)
    send(settings, commands)
    if not json:
        what = commands[0].stream if len(commands) == 1 else f"{len(commands)} streams"
        console.print(Text(f"{action} ordered for {what} by {who}"), soft_wrap=True)
    if no_wait:
        told = [Told(command) for command in commands]
        if json:
            typer.echo(as_json(told, waited=False))
        else:
            ids = commands[0].batch or commands[0].id
            console.print(f"id {ids}; 'driftloop audit' tells what came of it", soft_wrap=True)
        return
    told = wait(settings, commands, timeout=seconds, on_answer=_shower(commands, json=json))
    if json:
        typer.echo(as_json(told))
    else:
        _show(told)
    raise typer.Exit(exit_status(told))


def default_who(settings: Settings) -> str:
    """The key that signs here, else the user and the host.

    An account without a name is told by its number.
    """
    if settings.commands.key_id:
        return settings.commands.key_id
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{platform.node() or 'localhost'}"


def _confirm(commands: Sequence[Command], *, yes: bool) -> None:
    """More than one stream is asked about, where somebody can answer; else refused."""
    if len(commands) == 1 or yes:
        return
    streams = [command.stream for command in commands]
    names = ", ".join(streams[:SHOWN]) + (", …" if len(streams) > SHOWN else "")
    question = f"{commands[0].action} {len(streams)} streams: {names}"
    if not sys.stdin.isatty():
        tell(f"{question}\n  Nothing was sent: say --yes")
        raise typer.Exit(2)
    if not typer.confirm(f"{question}\nGo ahead?", err=True):
        errors.print("Nothing was sent.")
        raise typer.Exit(2)


def _shower(commands: Sequence[Command], *, json: bool) -> Any:
    """Tells of answers that something follows from, as they come."""

    def show(answer: CommandAnswered) -> None:
        if not json and answer.outcome == "accepted" and len(commands) == 1:
            console.print(Text(f"{answer.outcome}: {answer.detail}; waiting"), soft_wrap=True)

    return show


def _show(told: Sequence[Told]) -> None:
    """What came of each command; of many, how many of each kind and those that went wrong."""
    if len(told) == 1:
        console.print(Text(in_words(told[0])), soft_wrap=True)
        return
    wrong = [one for one in told if exit_status([one])]
    console.print(f"{len(told) - len(wrong)} of {len(told)} done")
    for one in wrong:
        console.print(Text(f"  {one.command.stream}: {in_words(one)}"), soft_wrap=True)
