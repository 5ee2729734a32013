"""A part is alive as long as its loop beats."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftloop.cli.health import app
from driftloop.heartbeat import Heartbeat, check_heartbeat, heartbeat_file


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_beat_is_young_until_it_is_older_than_allowed(tmp_path: Path) -> None:
    clock = _Clock()
    assert Heartbeat(tmp_path / "new", "monitor", clock=clock, wall=clock).beat()
    clock.now += 60
    assert check_heartbeat(tmp_path / "new", "monitor", 60, wall=clock).alive
    clock.now += 1
    old = check_heartbeat(tmp_path / "new", "monitor", 60, wall=clock)
    assert not old.alive
    assert "61 s ago" in old.detail


def test_beats_are_written_at_most_once_in_a_while(tmp_path: Path) -> None:
    clock = _Clock()
    heartbeat = Heartbeat(tmp_path, "trainer", every=2.0, clock=clock, wall=clock)
    written = []
    for _ in range(9):
        written.append(heartbeat.beat())
        clock.now += 0.5
    assert written == [True, False, False, False, True, False, False, False, True]
    assert [file.name for file in tmp_path.iterdir()] == ["trainer.alive"]


def test_a_disk_that_refuses_does_not_end_the_part(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert not Heartbeat(tmp_path / "file", "scorer").beat()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"time": "x", "pid": 1}', "\x00"])
def test_an_unreadable_heartbeat_is_no_life(tmp_path: Path, text: str) -> None:
    heartbeat_file(tmp_path, "monitor").write_text(text, encoding="utf-8")
    assert not check_heartbeat(tmp_path, "monitor", 60).alive


def test_the_probe_exits_0_1_or_2_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLOOP_HOME", str(tmp_path))
    runner = CliRunner()
    missing = runner.invoke(app, ["monitor"])
    assert (missing.exit_code, "has not beaten yet" in missing.output) == (1, True)
    Heartbeat(tmp_path, "monitor").beat()
    assert runner.invoke(app, ["monitor", "--max-age", "1h"]).exit_code == 0
    assert runner.invoke(app, ["monitr"]).exit_code == 2
    assert runner.invoke(app, ["monitor", "--max-age", "soon"]).exit_code == 2
