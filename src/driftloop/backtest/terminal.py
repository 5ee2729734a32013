"""What a backtest prints: the policies as a table, the advice, and what to do next."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftloop.backtest.page_tables import columns
from driftloop.backtest.result import Result
from driftloop.backtest.words import losses_decimals
from driftloop.plots.figures import duration, loss_name, number, times

ADVISED = "dodger_blue1"
_UNTRIMMED = 200
"""Width of a table that goes to a file or a pipe: nothing is folded."""

_SPARE = ("records trained", "refused", "training", "of gain", "accuracy", "vs never")
"""Columns that a narrow terminal goes without, the first ones first."""

_FAILURES = 20
_PADDING = 3


def print_result(
    console: Console,
    result: Result,
    *,
    page: Path | None = None,
    document: Path | None = None,
    emit: str = "",
) -> None:
    """Print a result.

    Args:
        console: Where to; without a terminal the table has no frame, colours or folded lines.
        result: What was found.
        page: The report page, where one was written.
        document: `result.json`, where it was written.
        emit: The command that writes the configuration; by default it is made from the data.
    """
    streams = max((len(score.streams) for score in result.policies), default=0)
    span = result.last_ts - result.first_ts
    told = f"{result.data}: {times(streams, 'stream')}, {result.records:,} records scored"
    console.print(told + (f", {duration(span)}" if span > 0 else ""), soft_wrap=True, markup=False)
    for note in result.notes:
        console.print(Text(note, style="dim"), soft_wrap=True)
    if result.policies:
        if console.is_terminal:
            console.print(_table(result, console.width, framed=True))
        else:
            console.print(_plain(result), soft_wrap=True, markup=False, highlight=False)
    _print_baseline(console, result)
    _print_advice(console, result)
    _print_failures(console, result)
    _print_next(console, result, page, document, emit)


def _plain(result: Result) -> str:
    """The table without frame, colours and folded lines, whatever width a pipe claims to have."""
    text = io.StringIO()
    wide = Console(file=text, width=_UNTRIMMED, color_system=None)
    wide.print(_table(result, _UNTRIMMED, framed=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _table(result: Result, width: int, *, framed: bool) -> Table:
    """A row a policy; what does not fit is left out, the least telling columns first."""
    advised = result.advice.policy if result.advice else ""
    shown = columns(result)
    names = max([6, *(len(score.name) for score in result.policies)]) + 2
    for spare in _SPARE:
        if names + _PADDING + sum(_wide(head) + _PADDING for head, _ in shown) <= width:
            break
        shown = [column for column in shown if column[0] != spare]
    table = Table(box=box.SIMPLE_HEAD if framed else None, pad_edge=False)
    table.add_column("policy", no_wrap=True)
    for head, _ in shown:
        table.add_column(head, justify="right")
    for score in result.policies:
        mine = score.name == advised
        cells = [Text(figure(score)) for _, figure in shown]
        name = Text(f"> {score.name}" if mine else f"  {score.name}")
        table.add_row(name, *cells, style=f"bold {ADVISED}" if mine else None)
    return table


def _wide(head: str) -> int:
    """Width of a column: its head may fold at blanks, figures seldom take more than eight."""
    return max(8, *(len(word) for word in head.split()))


def _print_baseline(console: Console, result: Result) -> None:
    if result.baseline is not None:
        loss = number(result.baseline.loss, losses_decimals(result))
        console.print(
            f"Trivial baseline, {result.baseline.name}: {loss_name(result.loss)} {loss}",
            soft_wrap=True,
            markup=False,
        )


def _print_advice(console: Console, result: Result) -> None:
    advice = result.advice
    if advice is None:
        told = "\nNo policy can be advised: nothing here tells one from another."
        if result.mode == "recorded" and result.horizon is None:
            told += " Say where drifts are: --drifts FILE, with columns stream, ts or record, kind."
        console.print(Text(told, style="bold"), soft_wrap=True)
        return
    console.print(Text(f"\n{advice.headline}", style=f"bold {ADVISED}"), soft_wrap=True)
    for reason in advice.reasons:
        console.print(f"  {reason}", soft_wrap=True, markup=False, highlight=False)
    for warning in advice.warnings:
        console.print(Text(f"Warning: {warning}", style="bold yellow"), soft_wrap=True)


def _print_failures(console: Console, result: Result) -> None:
    for failure in result.failures[:_FAILURES]:
        console.print(Text(f"Left out: {failure.stream}: {failure.why}", "red"), soft_wrap=True)
    more = len(result.failures) - _FAILURES
    if more > 0:
        console.print(f"and {more} more, in the page's notes")


def _print_next(
    console: Console, result: Result, page: Path | None, document: Path | None, emit: str
) -> None:
    rows = []
    if page is not None:
        rows.append((page.absolute().as_uri(), "the report with plots"))
    if document is not None:
        rows.append((f"less {shlex.quote(str(document))}", "all figures as JSON"))
    if result.advice is not None:
        command = emit or f"driftloop backtest {shlex.quote(result.data)} --emit-config"
        rows.append((command, "a driftloop.toml with this policy"))
    if not rows:
        return
    console.print("\n[bold]What to do next[/]")
    width = max(len(command) for command, _ in rows)
    for command, why in rows:
        line = Text.assemble(f"  {command:<{width}}  ", (why, "dim"))
        console.print(line, soft_wrap=True)
