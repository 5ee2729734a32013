"""What is printed: everything, at any width, with and without a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from driftloop.backtest.result import Result
from driftloop.backtest.summary import summarise
from driftloop.backtest.terminal import print_result
from tests.unit.backtest.examples import BEGIN, FACTS, NAN, constant, example


@pytest.fixture(scope="module")
def whole() -> Result:
    return example()


def _printed(result: Result, *, terminal: bool, width: int = 80, **more: object) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    print_result(console, result, **more)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize(("terminal", "width"), [(False, 80), (True, 80), (True, 160), (True, 50)])
def test_every_policy_the_advice_and_the_warnings_are_there(
    whole: Result, width: int, *, terminal: bool
) -> None:
    text = _printed(whole, terminal=terminal, width=width)
    for score in whole.policies:
        assert f" {score.name} " in text
    assert whole.advice is not None
    assert whole.advice.headline in text
    assert "Warning: 1 of 51 streams" in text
    assert "Left out: flights.HNL: line 41, column y: a number, got 'n/a'" in text
    assert "last value: mean absolute error 11.90" in text


def test_the_advised_policy_is_marked_without_colour(whole: Result) -> None:
    marked = [line for line in _printed(whole, terminal=False).splitlines() if line[:1] == ">"]
    assert len(marked) == 1
    assert marked[0].startswith("> reducible(20)")


def test_a_pipe_gets_a_table_without_frame_or_folds(whole: Result) -> None:
    text = _printed(whole, terminal=False, width=20)
    rows = [line for line in text.splitlines() if line.lstrip("> ").startswith("periodic(7d)")]
    assert len(rows) == 1
    assert rows[0].split()[-1] == "4,700,000"
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" not in text
    assert "\x1b" not in text


def test_a_narrow_terminal_keeps_loss_and_retrains_whole(whole: Result) -> None:
    text = _printed(whole, terminal=True, width=50)
    row = next(line for line in text.splitlines() if "periodic(7d)" in line)
    assert row.split()[-2:] == ["6.57", "47"]
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


def test_it_ends_with_commands_that_can_be_copied(whole: Result, tmp_path: Path) -> None:
    text = _printed(
        whole, terminal=False, page=tmp_path / "a b.html", document=tmp_path / "result.json"
    )
    tail = text[text.index("What to do next") :]
    assert (tmp_path / "a b.html").as_uri() in tail
    assert f"less {tmp_path / 'result.json'}" in tail
    assert "driftloop backtest flights/ --emit-config" in tail
    assert "dl x --emit-config" in _printed(whole, terminal=False, emit="dl x --emit-config")


def test_markup_in_names_is_text() -> None:
    result = summarise([constant("never", [1.0] * 60)], replace(FACTS, data="[bold]x[/]"))
    assert "[bold]x[/]: 1 stream" in _printed(result, terminal=False)


def test_nothing_to_advise_is_said() -> None:
    runs = [constant("never", [NAN] * 9), constant("always", [NAN] * 9, [BEGIN])]
    text = _printed(summarise(runs, FACTS), terminal=False)
    assert "No policy can be advised" in text
    assert "--emit-config" not in text
    assert "No policy can be advised" in _printed(summarise([], FACTS), terminal=True)
