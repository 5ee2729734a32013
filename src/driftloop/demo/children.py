"""Monitor, trainer and scorer as processes of their own, ended whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from driftloop.errors import DriftloopError

GRACE_SECONDS = 15.0
"""How long a process may take to drain before it is killed."""

_LOG_LINES = 12
_POLL_SECONDS = 0.02


class ChildEndedError(DriftloopError):
    """A process of the demo ended before it was asked to."""


@dataclass(slots=True)
class Child:
    """A process, and the file its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Children:
    """Processes that live no longer than the block in which they are used.

    Each is a group of its own, so that Ctrl-C reaches the demo alone, which then ends them in
    order.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Start ``python -m driftloop <arguments>``."""
        return self.start_command(name, ["-m", "driftloop", *arguments])

    def start_command(self, name: str, arguments: Sequence[str]) -> Child:
        """Start ``python <arguments>``."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603  # our own command, no shell
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Three processes on few cores: more threads for numerics only get in the way.
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **os.environ},
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def check(self) -> None:
        """See that all run.

        Raises:
            ChildEndedError: One ended; its last log lines are in the message.
        """
        for child in self._children:
            status = child.process.poll()
            if status is not None:
                raise ChildEndedError(
                    f"the {child.name} ended with status {status}; its log {child.log} ends:\n"
                    f"{tail(child.log)}"
                )

    def stop(self, grace: float = GRACE_SECONDS) -> list[str]:
        """End all: SIGTERM, and SIGKILL for those that do not end in `grace` seconds.

        Returns:
            Names of those that had to be killed.
        """
        running = [child for child in self._children if child.process.poll() is None]
        for child in running:
            child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        killed = []
        try:
            while time.monotonic() < deadline and any(c.process.poll() is None for c in running):
                time.sleep(_POLL_SECONDS)
        finally:  # a second Ctrl-C during the wait ends them at once
            for child in running:
                # Not yet waited for, so the number is still this group's and nobody else's.
                if child.process.poll() is None:
                    killed.append(child.name)
                    os.killpg(child.process.pid, signal.SIGKILL)
                    child.process.wait()
        self._children = []
        return killed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def tail(log: Path, lines: int = _LOG_LINES) -> str:
    """The last lines of a file."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"({error.strerror})"
    return "\n".join(text.splitlines()[-lines:]) or "(empty)"
