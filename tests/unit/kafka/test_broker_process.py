"""Processes are named by pid and start, and ended with both signals in turn."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from driftloop.kafka.broker_process import end, lives, start_of

_WAITS = "import sys; print('up', flush=True); sys.stdin.read()"
_DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + _WAITS


@pytest.fixture
def child(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs the parameter and has said that it is up."""
    process = subprocess.Popen(
        [sys.executable, "-c", request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    yield process
    process.kill()
    process.communicate()


def test_a_process_has_one_start_and_a_free_pid_has_none() -> None:
    own = start_of(os.getpid())
    assert own is not None
    assert start_of(os.getpid()) == own
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert start_of(done.pid) is None


@pytest.mark.parametrize("child", [_WAITS], indirect=True)
def test_a_zombie_does_not_live(child: subprocess.Popen[bytes]) -> None:
    start = start_of(child.pid)
    assert start is not None
    child.kill()  # not waited for: it stays a zombie
    deadline = time.monotonic() + 10
    while lives(child.pid, start) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not lives(child.pid, start)


@pytest.mark.parametrize("child", [_WAITS], indirect=True)
def test_another_start_is_another_process(child: subprocess.Popen[bytes]) -> None:
    assert not end(child.pid, "some other start")
    assert child.poll() is None


@pytest.mark.parametrize("child", [_WAITS], indirect=True)
def test_a_process_that_listens_ends_by_sigterm(child: subprocess.Popen[bytes]) -> None:
    assert end(child.pid, start_of(child.pid) or "", grace=10.0)
    assert child.wait() == -15


@pytest.mark.parametrize("child", [_DEAF], indirect=True)
def test_a_deaf_process_ends_by_sigkill_after_the_grace(child: subprocess.Popen[bytes]) -> None:
    assert end(child.pid, start_of(child.pid) or "", grace=0.2)
    assert child.wait() == -9
