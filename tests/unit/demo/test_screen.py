"""The terminal at 80 and 120 columns: whole words, right plurals, both rows of a route named."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console, RenderableType

from driftloop.demo.closing import closing_table, print_closing
from driftloop.demo.configuration import Layout
from driftloop.demo.flights import DAY_MS, Flights
from driftloop.demo.run import BEGIN_MS
from driftloop.demo.scoreboard import Moment, Scoreboard
from driftloop.demo.screen import Progress, Screen, picture, plain, spark

WIDTHS = (80, 120)
TEXT = "retrain: a newer model would have saved 2,551 min of error"


@pytest.fixture
def board(year: Flights) -> Scoreboard:
    """The year of four routes; LAX was retrained 13 times, Boston once."""
    flights = year.choose(("BOS", "LAX", "SEA", "SFO"), BEGIN_MS, BEGIN_MS + 365 * DAY_MS)
    made = Scoreboard(flights, "flights.", BEGIN_MS + 31 * DAY_MS)
    made.untouched[:] = flights.air_time + 8
    made.predicted[:] = flights.air_time + 4
    made.land(np.arange(len(flights)))
    made.event_ms = int(flights.landed.max())
    made.retrains.update({"LAX": 13, "BOS": 1})
    made.commanded = 4
    made.versions.update({"LAX": 13, "BOS": 2, "SEA": 1, "SFO": 1})
    made.outcomes.update({"published": 16, "rejected": 1, "superseded": 1})
    made.recent.append(Moment(made.event_ms, "LAX", TEXT, "retrain"))
    return made


def progress(board: Scoreboard, *, streams: int = 4, held: float = 0.0) -> Progress:
    return Progress(board.event_ms, 0.5, 12_345.0, streams, held=held)


def shown(width: int, what: RenderableType) -> list[str]:
    """Lines as they stand on a terminal of that width, without colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(what)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_and_name_stands_in_one_piece(board: Scoreboard, width: int) -> None:
    """Also while the replay waits and trainings failed, which is when the lines are longest."""
    board.outcomes["failed"] = 2
    lines = shown(width, picture(progress(board, held=0.99), board, width=width))
    text = "\n".join(lines)
    for whole in (
        "replay waits 99 % · 12,345 records/s",
        "14 retrains",
        "17 versions",
        "1 rejected",
        "1 superseded",
        "2 failed",
        "mean error, minutes",
        "January models, untouched",
        "last 7 days",
        "\N{MINUS SIGN}50 %",
        TEXT,
    ):
        assert whole in text
    assert "…" not in text
    assert {len(line) for line in lines} == {min(width, 96)}
    assert all(line[0] + line[-1] in {"╭╮", "││", "╰╯"} for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_both_rows_of_a_route_are_named_and_hold_its_weeks(board: Scoreboard, width: int) -> None:
    lines = shown(width, picture(progress(board), board, width=width))
    for name in ("LAX untouched", "LAX Driftloop (13)", "BOS untouched", "BOS Driftloop (1)"):
        row = next(line for line in lines if f" {name} " in line)
        assert len(re.findall("[▁▂▃▄▅▆▇█]", row)) == 48


def test_a_low_terminal_gets_no_single_routes_and_a_narrow_one_no_bars(board: Scoreboard) -> None:
    small = "\n".join(shown(80, picture(progress(board), board, small=True)))
    assert "LAX untouched" not in small
    narrow = shown(60, picture(progress(board), board, width=60))
    errors = [line for line in narrow if "January models" in line]
    assert "█" not in errors[0]
    assert "8.00" in errors[0]


@pytest.mark.parametrize(
    ("streams", "retrains", "versions", "text"),
    [
        (1, 1, 1, "1 stream, 1 version, 1 retrain,"),
        (2, 0, 1234, "2 streams, 1,234 versions, 0 retrains,"),
    ],
)
def test_one_is_singular(
    board: Scoreboard, streams: int, retrains: int, versions: int, text: str
) -> None:
    board.retrains.clear()
    board.versions.clear()
    board.retrains["LAX"], board.versions["LAX"] = retrains, versions
    assert text in plain(progress(board, streams=streams), board)
    drawn = "\n".join(shown(100, picture(progress(board, streams=streams), board)))
    for part in text.strip(",").split(", "):
        assert re.search(rf"\b{part}\b", drawn)


def test_before_february_it_says_why_there_are_no_errors(year: Flights) -> None:
    flights = year.choose(("BOS",), BEGIN_MS, BEGIN_MS + 60 * DAY_MS)
    empty = Scoreboard(flights, "flights.", BEGIN_MS + 31 * DAY_MS)
    assert "January is replayed first" in "\n".join(
        shown(80, picture(progress(empty, streams=1), empty))
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_closing_breaks_between_words_and_accounts_for_every_request(
    board: Scoreboard, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How it names itself depends on where it was started.
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/driftloop")
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    layout = Layout(Path.cwd() / ".driftloop" / "demo")
    print_closing(console, layout, board, seconds=103.4, kept=False, own=True)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    flat = re.sub(r"\s+", " ", text)
    assert (
        "14 retrains and 4 first models asked for: 16 published, 1 rejected (worse on the "
        "newest flights), 1 superseded (by a newer request or version)." in flat
    )
    assert "50 % less" in flat
    assert "103 s in all" in flat
    assert "the page with plots" in flat
    for line in text.splitlines():
        assert len(line) <= width or "file://" in line


@pytest.mark.parametrize("width", WIDTHS)
def test_no_cell_of_the_closing_table_is_cut(board: Scoreboard, width: int) -> None:
    text = "\n".join(shown(width, closing_table(board)))
    for cell in (
        "BOS (control)",
        "untouched",
        "Driftloop",
        "versions",
        "\N{MINUS SIGN}50 %",
        "8.00",
    ):
        assert cell in text
    assert "…" not in text


def test_steps_stay_on_one_line_in_a_file_and_break_between_words_on_a_terminal() -> None:
    text = "monitor, trainer and scorer started; logs in a/folder/with/a/long/name/of/its/own/logs"
    for terminal in (False, True):
        console = Console(file=io.StringIO(), width=80, force_terminal=terminal, color_system=None)
        with Screen(console).step(text):
            pass
        lines: str = console.file.getvalue()  # type: ignore[attr-defined]
        if terminal:
            assert "\na/folder/with/a/long/name/of/its/own/logs" in lines
        else:
            assert lines == f"✓ {text}\n"


def test_blocks_stay_on_their_scale() -> None:
    assert spark([-1.0, 0.0, 99.0], 10.0) == "▁▁█"
