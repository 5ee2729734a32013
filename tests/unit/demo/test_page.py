"""The page is one well-formed file that loads nothing from elsewhere, and the terminal agrees."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from driftloop.demo.closing import closing_table
from driftloop.demo.flights import DAY_MS, Flights
from driftloop.demo.page import chosen_routes, render_page, write_page
from driftloop.demo.run import BEGIN_MS
from driftloop.demo.scoreboard import RouteResult, Scoreboard
from driftloop.demo.screen import Progress, Screen, picture
from driftloop.demo.svg import Lines, dumbbells, line_chart
from tests.html import Balance


@pytest.fixture(scope="module")
def board(year: Flights) -> Scoreboard:
    """Sixty days of five routes, half the error saved on all but Boston."""
    flights = year.choose(("BOS", "LAX", "SEA", "SFO", "ORD"), BEGIN_MS, BEGIN_MS + 60 * DAY_MS)
    made = Scoreboard(flights, "flights.", BEGIN_MS + 31 * DAY_MS)
    made.untouched[:] = flights.air_time + 8
    made.predicted[:] = flights.air_time + np.where(flights.route == 0, 8, 4)
    made.land(np.arange(len(flights)))
    made.event_ms = int(flights.landed.max())
    made.retrains["LAX"] = 2
    made.retrain_times += [("LAX", made.begin_ms + day * DAY_MS) for day in (9, 20)]
    made.versions.update(dict.fromkeys(flights.routes, 1))
    return made


def test_the_page_is_balanced_and_self_contained(board: Scoreboard, tmp_path: Path) -> None:
    text = write_page(board, tmp_path / "demo" / "index.html", footnote="a < b").read_text()
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    assert not re.search(r'(src|href)="|@import|url\(', text)
    assert "prefers-color-scheme: dark" in text
    assert "a &lt; b" in text
    assert "$" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)


def test_the_page_shows_the_totals_and_every_route(board: Scoreboard) -> None:
    text = render_page(board)
    total = board.total()
    assert f"{total.untouched:.2f} min" in text
    assert f"{total.driftloop:.2f} min" in text
    for route in board.flights.routes:
        assert f"<td>{route}</td>" in text
    assert text.count("<svg") == 4 + len(chosen_routes(board))


def test_the_figures_say_what_became_of_every_request(board: Scoreboard) -> None:
    """So that fewer versions than retrains and first models are no riddle."""
    board.outcomes.update({"published": 5, "rejected": 1, "superseded": 0})
    board.commanded = 5
    text = render_page(board)
    board.outcomes.clear()
    board.commanded = 0
    assert "2 retrains and 5 first models asked for: 5 published, 1 rejected" in text
    assert "1 open at the end" in text
    assert "<b>1</b><span>challengers rejected</span>" in text
    assert "<b>0</b><span>requests superseded</span>" in text
    assert "trainings failed" not in text
    assert "<caption>" in text


def test_a_narrow_window_gets_charts_of_its_own_width(board: Scoreboard) -> None:
    """Scaled-down labels of wide ones could not be read."""
    text = render_page(board)
    narrow = re.findall(r'<div class="narrow"><svg viewBox="0 0 (\d+) ', text)
    wide = re.findall(r'<div class="wide"><svg viewBox="0 0 (\d+) ', text)
    assert len(narrow) == len(wide) == 2
    assert all(int(width) <= 400 for width in narrow)
    assert ".narrow { display: none; }" in text
    assert re.search(r"max-width: 600px.*\.wide { display: none; }", text, re.DOTALL)


def test_plots_are_well_formed_and_mark_retrains(board: Scoreboard) -> None:
    times, untouched, driftloop = board.weekly()
    data = Lines(times, untouched, driftloop, [int(times[1]), int(times[0]) - 1])
    chart = line_chart(data, width=400, height=200, top=10.0, label='a "b" & c')
    root = ET.fromstring(chart)  # noqa: S314  # our own text
    assert sum(one.get("class") == "retrain" for one in root.iter()) == 1
    ET.fromstring(dumbbells(board.results(), control="BOS"))  # noqa: S314  # our own text


def test_plots_of_nothing_are_well_formed() -> None:
    none = np.empty(0)
    ET.fromstring(  # noqa: S314  # our own text
        line_chart(Lines(none, none, none, []), width=400, height=200, top=1.0, label="none")
    )
    nothing = RouteResult("X", 0, float("nan"), float("nan"), 0, 0)
    ET.fromstring(dumbbells([nothing], control="BOS"))  # noqa: S314  # our own text


@pytest.mark.parametrize("width", [60, 110])
def test_the_terminal_shows_date_errors_and_events(board: Scoreboard, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    progress = Progress(board.event_ms, 0.5, 1234.0, 5, held=0.0)
    console.print(picture(progress, board))
    console.print(closing_table(board))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "March 2013" in shown
    assert "8.00" in shown


def test_without_a_terminal_there_are_plain_lines_now_and_then(board: Scoreboard) -> None:
    console = Console(file=io.StringIO(), width=100)
    screen = Screen(console)
    progress = Progress(board.event_ms, 0.5, 1234.0, 5, held=0.0)
    with screen.replaying():
        for tick in range(60):
            screen.draw(progress, board, now=1000 + tick * 0.1)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2
    assert "\x1b" not in lines[0]
    assert "untouched 8.00 min" in lines[0]
