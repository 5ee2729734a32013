"""``driftloop stream show``: all about one stream, as a plot and tables."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from driftloop.cli.completion import complete_stream
from driftloop.cli.output import print_json
from driftloop.cli.view import STATES, Config, Json, View, console, figure, moment, refuse, view
from driftloop.plots.terminal import Line, Mark, chart
from driftloop.readmodel.rows import CommandRow, RequestRow, StreamRow, VersionRow, WindowRow

_HEIGHT = 14
_WIDEST = 120
_TENTH = 0.1
_MARKS = 40
"""Retrains that are marked in the plot, the newest."""


def show(
    stream: Annotated[
        str,
        typer.Argument(
            help="The stream: a topic, or topic:partition.", autocompletion=complete_stream
        ),
    ],
    *,
    limit: Annotated[int, typer.Option(min=1, help="Rows of each table.")] = 8,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show a stream: its loss, what was decided and why, its versions, what retrains were worth."""
    with view(config) as found:
        row = found.queries.stream(stream)
        if row is None:
            refuse(found, stream)
        if json:
            print_json(_document(found, row, limit))
            return
        windows = found.queries.windows(stream, limit=500)
        requests = found.queries.requests(stream=stream, limit=1000)
        versions = found.queries.versions(stream)
        _head(row, versions)
        _plot(windows, requests)
        _retrains(requests[:limit], len(requests))
        _versions(versions[:limit])
        _commands(found.queries.commands(stream=stream, limit=limit))
        _next(row, requests, versions)


def _document(found: View, row: StreamRow, limit: int) -> dict[str, Any]:
    ask, stream = found.queries, row.stream
    return {
        "note": found.note,
        "stream": row,
        "windows": ask.windows(stream, limit=limit),
        "requests": ask.requests(stream=stream, limit=limit),
        "current_version": ask.current([stream]).get(stream),
        "versions": ask.versions(stream)[:limit],
        "commands": ask.commands(stream=stream, limit=limit),
    }


def _head(row: StreamRow, versions: list[VersionRow]) -> None:
    state = Text(row.state, style=STATES.get(row.state, ""))
    current = versions[0].version if versions else row.model_version
    head = Text.assemble((row.stream, "bold"), "  ", state, "  model ", current or "none")
    if row.model_version and row.model_version != current:
        head.append(f" (newest records still by {row.model_version})")
    if row.trial:
        head.append(f"  on trial: {row.trial}")
    console.print(head)
    if row.need:
        console.print(Text(f"Needs a person: {row.need_why}.", style="yellow"), soft_wrap=True)
    if row.detail:
        console.print(Text(row.detail), soft_wrap=True)
    facts = [
        f"{row.records:,} records to {moment(row.event_time)} (event time)",
        f"{row.windows:,} windows",
        f"{row.retrains:,} retrains",
        *([f"{row.dead_letters:,} unreadable"] if row.dead_letters else []),
        *([f"{row.late:,} late"] if row.late else []),
        *([f"{row.missing:,} values missing"] if row.missing else []),
    ]
    console.print(Text(", ".join(facts), style="dim"), soft_wrap=True)


def _plot(windows: list[WindowRow], requests: list[RequestRow]) -> None:
    losses = [one for one in windows if one.kind == "loss"]

    def line(name: str, colour: str, field: str) -> Line:
        return Line(name, colour, [(one.closed_at, getattr(one, field)) for one in losses])

    retrains = [one for one in requests if one.kind == "retrain" and one.reason == "policy"][
        :_MARKS
    ]
    text = chart(
        [
            line("loss", "red", "loss"),
            line("of a corrected model", "blue", "corrected_loss"),
            line("reference", "green", "reference_loss"),
            line("trivial baseline", "gray", "baseline_loss"),
        ],
        [Mark(one.decided_at, "yellow") for one in retrains if one.decided_at is not None],
        width=min(console.width, _WIDEST),
        height=_HEIGHT,
        colour=console.is_terminal and not console.no_color,
    )
    if not text:
        console.print("\nNo window of losses has closed yet.")
        return
    console.print(f"\nMean loss of the last {len(losses):,} windows; | a retrain was asked for")
    console.print(Text.from_ansi(text), soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    found = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for name in columns:
        right = name in {"records", "seconds", "saved a record"}
        found.add_column(name, justify="right" if right else "left", overflow="fold")
    return found


def _retrains(requests: list[RequestRow], known: int) -> None:
    if not requests:
        return
    head = "\nRetrains and orders" + (f", newest of {known:,}" if known > len(requests) else "")
    found = _table(head, "id", "when", "why", "what came of it", "saved a record")
    for one in requests:
        found.add_row(
            one.id[:8], moment(one.decided_at), Text(_why(one)), Text(_came(one)), worth(one)
        )
    console.print(found)


def _why(one: RequestRow) -> str:
    if one.kind == "retrain":
        return one.criteria or one.reason
    return f"{one.kind}: {one.criteria or one.reason}"


def _came(one: RequestRow) -> str:
    if not one.outcome:
        return "waits" if one.candidate is None else f"{one.candidate} is on trial"
    if one.outcome == "published":
        old, new = one.champion_loss, one.challenger_loss
        gate = f" ({figure(old)} to {figure(new)} on the hold-out)" if old is not None else ""
        told = f"{one.version} published{gate}"
    else:
        told = f"{one.outcome}: {one.outcome_reason}"
    return told + (f"; dismissed by {one.dismissed_by}" if one.dismissed_by else "")


def worth(one: RequestRow) -> str:
    """What a retrain saved on live records, with its interval and verdict."""
    if not one.verdict:
        return "-"
    if one.saved is None:
        return one.verdict
    interval = f" [{figure(one.low)}, {figure(one.high)}]" if one.low is not None else ""
    return f"{one.saved:+.3g}{interval} {one.verdict}"


def _versions(versions: list[VersionRow]) -> None:
    if not versions:
        return
    found = _table("\nVersions", "version", "how", "kind", "records", "seconds", "published")
    for one in versions:
        records, seconds = f"{one.records or 0:,}", _seconds(one.seconds)
        found.add_row(one.version, one.action, one.kind, records, seconds, moment(one.published_at))
    console.print(found)


def _seconds(value: float | None) -> str:
    """Seconds of a training, to a tenth."""
    if value is None:
        return "-"
    return f"{value:,.1f}" if value == 0 or value >= _TENTH else "<0.1"


def _commands(commands: list[CommandRow]) -> None:
    if not commands:
        return
    found = _table("\nCommands", "when", "who", "what", "why", "what came of it")
    for one in commands:
        came = one.in_words or "no answer yet"
        found.add_row(moment(one.issued_at), Text(one.who), one.action, Text(one.why), Text(came))
    console.print(found)


def way_back(versions: list[VersionRow]) -> str | None:
    """The version that a rollback would go back to: the parent of the one in use, as it was made.

    Args:
        versions: Of one stream, newest first. One that was restored stands there twice.
    """
    if not versions:
        return None
    made = (one for one in versions if one.version == versions[0].version)
    return next((one.parent_version for one in made if one.action != "rolled-back"), None)


def _next(row: StreamRow, requests: list[RequestRow], versions: list[VersionRow]) -> None:
    """What a person may do now."""
    stream = row.stream
    lines = []
    if row.state == "awaiting-approval":
        lines.append((f"driftloop stream approve {stream} --why …", "let the retrain go ahead"))
    newest = next((one for one in requests if one.kind == "retrain"), None)
    if newest is not None:
        lines.append((f"driftloop explain {newest.id[:8]}", "why the newest retrain was asked for"))
    back = way_back(versions)
    if back is not None:
        command = f"driftloop stream rollback {stream} --version {back} --why …"
        lines.append((command, "go back to the parent"))
    lines.append((f"driftloop stream retrain {stream} --why …", "train a new model now"))
    width = max(len(command) for command, _ in lines)
    console.print()
    for command, meaning in lines:
        console.print(Text(f"  {command:<{width}}   {meaning}"), soft_wrap=True)
