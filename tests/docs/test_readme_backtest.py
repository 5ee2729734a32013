"""README's section on the backtest: its snippet runs, and prints what the page shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("torch")

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## Try policies on your history")[1].split("\n## ")[0]
_ROW = re.compile(r"^[> ] (\S+(?:\(.*?\))?) +(\d+\.\d\d) ", re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


@pytest.mark.slow
def test_the_example_runs_and_prints_what_the_page_shows(tmp_path: Path) -> None:
    """Policies, losses (within 1 %) and advice are those of the page; times are the machine's."""
    subprocess.run([sys.executable, "-c", blocks("python")[0]], cwd=tmp_path, check=True)
    (command,) = [
        one for one in blocks("sh") if one.startswith("driftloop backtest shops --drifts")
    ]
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    (shown,) = blocks("text")
    expected = {name: float(loss) for name, loss in _ROW.findall(shown)}
    assert len(expected) == 13
    assert {n: float(v) for n, v in _ROW.findall(done.stdout)} == pytest.approx(expected, rel=0.01)
    guessed = shown.split("\npolicy ")[0]
    assert done.stdout.startswith(guessed)
    (advised,) = re.findall(r"^Take (.+?):", shown, re.MULTILINE)
    assert f"\nTake {advised}:" in done.stdout
    out = tmp_path / ".driftloop" / "backtest"
    assert f'policy = "{advised}"' in (out / "driftloop.toml").read_text(encoding="utf-8")
    assert advised in (out / "index.html").read_text(encoding="utf-8")
    assert (out / "result.json").stat().st_size > 1000


def test_the_section_names_every_option_that_changes_what_is_tried() -> None:
    for option in (
        *("--policy", "--grid", "--delay", "--latency", "--drifts", "--recorded"),
        *("--emit-config", "--config", "kafka://"),
    ):
        assert option in SECTION
