"""``driftloop streams``: all streams, those that need a person first."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec
import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from driftloop.cli.completion import complete_need, complete_state, complete_stream
from driftloop.cli.output import print_json
from driftloop.cli.settings import tell
from driftloop.cli.view import STATES, Config, Json, View, console, figure, view
from driftloop.readmodel import SORTS, Page
from driftloop.readmodel.need import NAMES
from driftloop.readmodel.rows import StreamRow

app = typer.Typer(add_completion=False)

_SECONDS = 2.0


@app.command()
def streams(
    search: Annotated[
        str,
        typer.Argument(
            help="Part of a name; '*' stands for anything. Default all.",
            autocompletion=complete_stream,
        ),
    ] = "",
    *,
    need: Annotated[
        str,
        typer.Option(
            help=f"Streams with that need: any, {', '.join(NAMES)}.",
            autocompletion=complete_need,
        ),
    ] = "",
    state: Annotated[
        str, typer.Option(help=f"One of {', '.join(STATES)}.", autocompletion=complete_state)
    ] = "",
    profile: Annotated[str, typer.Option(help="Streams of that profile.")] = "",
    sort: Annotated[str, typer.Option(help=f"One of {', '.join(SORTS)}.")] = "need",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Streams shown; 0 for all.")] = 30,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """List streams, those that need a person first: failing, waiting, in an incident, silent."""
    _check(need, state, sort)
    with view(config) as found:

        def page() -> Page:
            return found.queries.streams(
                search=search,
                state=state,
                profile=profile,
                need=need,
                sort=sort,
                reverse=reverse,
                limit=limit or -1,
            )

        if json:
            rows = page()
            current = _current(found, rows)
            streams = [
                {**msgspec.structs.asdict(row), "current_version": current.get(row.stream)}
                for row in rows.rows
            ]
            print_json({"total": rows.total, "note": found.note, "streams": streams})
        elif watch:
            _watch(found, page)
        else:
            rows = page()
            console.print(table(rows, _current(found, rows)))
            _after(found, rows)


def _check(need: str, state: str, sort: str) -> None:
    for option, value, known in (
        ("--need", need, ("", "any", *NAMES)),
        ("--state", state, ("", *STATES)),
        ("--sort", sort, tuple(SORTS)),
    ):
        if value not in known:
            tell(f"{option}: one of {', '.join(filter(None, known))}, got {value!r}")
            raise typer.Exit(2)


def _current(found: View, page: Page) -> dict[str, str]:
    return found.queries.current([row.stream for row in page.rows])


def table(page: Page, current: Mapping[str, str]) -> Table:
    """Streams as a table that fits eighty columns; `current`: version of each one's model."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    found.add_column("stream", no_wrap=True, overflow="ellipsis", min_width=12)
    found.add_column("state", no_wrap=True)
    found.add_column("model", no_wrap=True)
    for name in ("loss", "of ref.", "retrains"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("needs a person", overflow="fold")
    for row in page.rows:
        found.add_row(
            Text(row.stream, style="bold" if row.need else ""),
            Text(row.state, style=STATES.get(row.state, "")),
            current.get(row.stream) or row.model_version or "-",
            figure(row.loss),
            ratio(row),
            f"{row.retrains:,}",
            Text(row.need_why, style="yellow" if row.need else "dim"),
        )
    return found


def ratio(row: StreamRow) -> str:
    """Loss as a share of that of the reference; a hyphen in a version's first window.

    That window is the reference, so that it says nothing.
    """
    if row.loss is None or not row.reference_loss or row.loss == row.reference_loss:
        return "-"
    return f"{100 * row.loss / row.reference_loss:.0f} %"


def _after(found: View, page: Page) -> None:
    """What is not shown, and what to do next."""
    if not page.total:
        known = found.queries.fleet().streams
        console.print(
            "No stream fits."
            if known
            else "No stream is known yet: is a monitor running? See 'driftloop doctor'."
        )
        return
    if page.total > len(page.rows):
        console.print(f"{page.total - len(page.rows):,} more are not shown: --limit 0 shows all.")
    first = page.rows[0].stream
    console.print(f"\n  driftloop stream show {first}     all about one", soft_wrap=True)


def _watch(found: View, page: Callable[[], Page]) -> None:
    """Show the table anew every few seconds, until Ctrl-C."""
    rows = page()
    shown = table(rows, _current(found, rows))
    with Live(shown, console=console, screen=False, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(_SECONDS)
                found.update()
                rows = page()
                live.update(table(rows, _current(found, rows)), refresh=True)
        except KeyboardInterrupt:
            return
