"""The demo's page: one HTML file with everything in it, light and dark."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from driftloop.demo.ledger import Account, better_text
from driftloop.demo.scoreboard import CONTROL, RouteResult, Scoreboard
from driftloop.demo.svg import Lines, dumbbells, line_chart
from driftloop.demo.words import outcomes_text
from driftloop.plots.svg import signed_percent

NARROW = 340
"""Width of charts for windows below 600 px: about theirs, so that labels keep their size."""

CHOSEN = ("LAX", "SFO", "SEA", CONTROL)
WINTER = (
    " By November winter is back: the January models fit again by themselves, and models trained "
    "on autumn may do worse than they."
)
WINTER_MS = 1_385_856_000_000  # 1 December 2013
NAMES = {
    "LAX": "Los Angeles",
    "SFO": "San Francisco",
    "SEA": "Seattle",
    "BOS": "Boston, the control",
    "DEN": "Denver",
    "ORD": "Chicago",
}


def write_page(board: Scoreboard, path: Path, *, footnote: str = "") -> Path:
    """Write the page of a finished (or broken off) run and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(board, footnote=footnote), encoding="utf-8")
    return path


def render_page(board: Scoreboard, *, footnote: str = "") -> str:
    """The page as text.

    Args:
        board: All results.
        footnote: Versions and the like, as plain text.
    """
    total = board.total()
    lines = board.results()
    template = Template(files("driftloop.demo").joinpath("page.html").read_text(encoding="utf-8"))
    routes = chosen_routes(board)
    return template.substitute(
        headline=f"{len(lines)} models met the jet stream",
        summary=(
            f"Each of {len(lines)} routes out of New York has a model of its own that predicts a "
            "flight's minutes in the air at departure. All were trained on January 2013. From "
            f"then on {total.flights:,} flights were predicted twice: by the January models, "
            "and by the models that Driftloop kept up to date."
        ),
        figures=_figures(board, total),
        ledger=_ledger(board),
        overall=_overall(board),
        season=WINTER if board.flights.landed.max() > WINTER_MS else "",
        routes="\n".join(_route(board, name, routes) for name in routes),
        dumbbells=_wide_and_narrow(
            dumbbells(lines, control=CONTROL), dumbbells(lines, control=CONTROL, width=NARROW)
        ),
        control_note=f"; {CONTROL} is the control" if CONTROL in board.flights.routes else "",
        table=_table(
            [*sorted(lines, key=lambda line: line.route), total],
            {**board.ledger, total.route: board.account},
        ),
        footnote=escape(footnote),
    )


def chosen_routes(board: Scoreboard) -> list[str]:
    """The routes shown on their own: the well-known ones, filled up with those that saved most."""
    there = [name for name in CHOSEN if name in board.flights.routes]
    if len(there) < len(CHOSEN):
        by_saving = sorted(
            (line for line in board.results() if line.flights),
            key=lambda line: line.driftloop - line.untouched,
        )
        more = [line.route for line in by_saving if line.route not in there]
        there += more[: len(CHOSEN) - len(there)]
    return there


def _figures(board: Scoreboard, total: RouteResult) -> str:
    done = board.outcomes
    cells = [
        (f'<b class="untouched-ink">{total.untouched:.2f} min</b>', "mean error, untouched"),
        (f'<b class="driftloop-ink">{total.driftloop:.2f} min</b>', "mean error, with Driftloop"),
        (f"<b>{signed_percent(total.saved)}</b>", "change of the error"),
        (f"<b>{total.retrains:,}</b>", "retrains asked for"),
        (f"<b>{total.versions:,}</b>", "versions published, the first ones included"),
        (f"<b>{done['rejected']:,}</b>", "challengers rejected"),
        (f"<b>{done['superseded']:,}</b>", "requests superseded"),
        (f"<b>{board.rollbacks.total():,}</b>", "versions taken back, being worse"),
    ]
    if done["failed"]:
        cells.append((f"<b>{done['failed']:,}</b>", "trainings failed"))
    shown = "\n".join(f"<div>{figure}<span>{text}</span></div>" for figure, text in cells)
    return f'{shown}\n<p class="quiet sum">{escape(outcomes_text(board))}.</p>'


def _ledger(board: Scoreboard) -> str:
    """What the retrains were worth, a challenger that was refused, and the sabotage."""
    told = [f"{board.account.text()}."]
    if board.refusal:
        told.append(f"The last challenger that the gate refused: {board.refusal}.")
    if board.sabotage is not None:
        told.append(f"Sabotage: {board.sabotage.text()}.")
    return "\n".join(f"<p>{escape(one)}</p>" for one in told)


def _wide_and_narrow(wide: str, narrow: str) -> str:
    """A chart twice, of which the style sheet shows the one that suits the window."""
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def _overall(board: Scoreboard) -> str:
    times, untouched, driftloop = board.weekly()
    data = Lines(times, untouched, driftloop, [time for _, time in board.retrain_times])
    top = max([1.0, *untouched.tolist(), *driftloop.tolist()]) * 1.08
    label = "Mean error of all routes by week"
    return _wide_and_narrow(
        line_chart(data, width=830, height=300, top=top, label=label),
        line_chart(data, width=NARROW, height=230, top=top, label=label),
    )


def _route(board: Scoreboard, route: str, shown: list[str]) -> str:
    series = {name: board.weekly(name) for name in shown}
    top = max([1.0, *(max(s[1].tolist() + s[2].tolist(), default=0) for s in series.values())])
    times, untouched, driftloop = series[route]
    retrains = [time for name, time in board.retrain_times if name == route]
    chart = line_chart(
        Lines(times, untouched, driftloop, retrains),
        width=390,
        height=190,
        top=top * 1.05,
        label=f"Mean error of {route} by week",
    )
    name = f"{route} · {NAMES[route]}" if route in NAMES else route
    return f"<div><h3>{escape(name)}</h3>{chart}</div>"


def _table(lines: list[RouteResult], ledger: Mapping[str, Account]) -> str:
    head = (
        "<table><caption>Mean error in minutes. Versions count each route's first model; a retrain "
        "whose challenger was rejected, or that a newer request or version superseded, gives none. "
        "Better: versions that were surely better than the one before, of those that were compared."
        "</caption><thead><tr><th>Route</th><th>Flights</th><th>Untouched</th>"
        "<th>With Driftloop</th><th>Change</th><th>Retrains</th>"
        "<th>Versions</th><th>Better</th></tr></thead><tbody>"
    )
    rows = [
        f"<tr{' class=control' if line.route in {CONTROL, 'all'} else ''}><td>{line.route}</td>"
        f"<td>{line.flights:,}</td><td>{line.untouched:.2f}</td><td>{line.driftloop:.2f}</td>"
        f"<td>{signed_percent(line.saved)}</td><td>{line.retrains}</td><td>{line.versions}</td>"
        f"<td>{better_text(ledger.get(line.route))}</td></tr>"
        for line in lines
    ]
    return "\n".join([head, *rows, "</tbody></table>"])
