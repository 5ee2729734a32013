"""Processes of the demo end with it, kindly or not, and tell why they ended early."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from driftloop.demo.children import ChildEndedError, Children, tail


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_child_that_ends_early_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.start("helper", ["no-such-command"])
        child.process.wait(60)
        with pytest.raises(ChildEndedError, match=r"(?s)the helper ended.*no-such-command"):
            children.check()


def test_what_does_not_end_is_killed(tmp_path: Path) -> None:
    children = Children(tmp_path)
    child = children.start("helper", ["--help"])
    child.process.wait(60)
    assert children.stop() == []
    # A process that ignores SIGTERM, in the place of a part of Driftloop that hangs.
    stubborn = Children(tmp_path)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
    process = stubborn.start_command("stubborn", ["-c", f"{code}; time.sleep(600)"]).process
    deadline = time.monotonic() + 30
    while "up" not in tail(tmp_path / "stubborn.log"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert stubborn.stop(grace=0.2) == ["stubborn"]
    assert _gone(process.pid)
