"""The page of the queue says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from driftloop.settings import TrainerSettings, load_settings
from driftloop.trainer import ledger

PAGE = (Path(__file__).parents[2] / "docs" / "queue.md").read_text(encoding="utf-8")


def test_its_budget_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    monkeypatch.delenv("DRIFTLOOP_CONFIG", raising=False)
    file = tmp_path / "driftloop.toml"
    file.write_text(f"[profiles.demand]\n{block}")
    budget = load_settings(file).trainer.budget
    assert (budget.seconds_per_day, budget.profiles) == (3600, {"demand": 600})


def test_its_figures_are_those_of_the_code() -> None:
    assert TrainerSettings().oldest_every == 4
    assert "Every fourth place" in PAGE
    assert f"at least {ledger.LEAST_RATIO:g}" in PAGE
    assert f"m     = ({ledger._PRIOR:g} + Σ x" in PAGE
    assert f"by half every {ledger._HALF_LIFE_MS // ledger._DAY_MS} days" in PAGE
    assert f"cut to 0 … {ledger._MOST_SAVED:g}" in PAGE
    assert f"between ¼ and {ledger._LARGEST:g}" in PAGE


def test_modules_that_it_names_are_there() -> None:
    folder = Path(ledger.__file__).parent
    (line,) = [one for one in PAGE.splitlines() if "The code is in" in one]
    named = re.findall(r"`(\w+\.py)`", line)
    assert len(named) == 8
    assert all((folder / one).is_file() for one in named)
