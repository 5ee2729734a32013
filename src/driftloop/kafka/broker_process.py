"""Processes named by pid *and* start time, so that only those we started are ever ended.

A pid alone is no name: the system gives it to another process once its owner is gone. This module
needs the standard library only, because it also runs by itself as the guard of a broker that must
not outlive its starter: ``python broker_process.py PID START`` ends that process when the guard's
standard input closes, which the system does even when the starter was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_POLL_SECONDS = 0.02


def start_of(pid: int) -> str | None:
    """Tell when a live process started.

    Args:
        pid: Process id.

    Returns:
        An opaque text that no other process with this pid will have (on Linux the boot's id and
        the start in clock ticks since boot; elsewhere what ``ps`` prints), or None when no such
        process lives. A zombie does not live.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The command's name, in brackets, may hold blanks: fields count from behind it.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        if fields[0] in "ZX":
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{fields[19]}"
    shown = subprocess.run(  # noqa: S603
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout.split(maxsplit=1)
    if len(shown) != 2 or shown[0].startswith("Z"):
        return None
    return shown[1].strip()


def lives(pid: int, start: str) -> bool:
    """Tell whether the process that started at `start` still runs under `pid`."""
    return start_of(pid) == start


def end(pid: int, start: str, *, grace: float = 20.0) -> bool:
    """End exactly this process: SIGTERM, then SIGKILL when the grace is over.

    Args:
        pid: Process id.
        start: What `start_of` said when the process was started.
        grace: Seconds between the two signals; 0 sends SIGKILL at once.

    Returns:
        True when the process ran and was ended, False when it was gone already.
    """
    if not lives(pid, start):
        return False
    _signal(pid, signal.SIGTERM if grace > 0 else signal.SIGKILL)
    deadline = time.monotonic() + grace
    killed = grace <= 0
    while lives(pid, start):
        if not killed and time.monotonic() >= deadline:
            _signal(pid, signal.SIGKILL)
            killed = True
        time.sleep(_POLL_SECONDS)
    return True


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended between the look and the signal
        os.kill(pid, number)


def _guard(pid: int, start: str) -> None:
    """Wait for a line or the end of standard input; the end means that the starter is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if not sys.stdin.buffer.readline():
        end(pid, start, grace=5.0)


if __name__ == "__main__":
    _guard(int(sys.argv[1]), sys.argv[2])
