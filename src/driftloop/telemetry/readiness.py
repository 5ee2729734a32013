"""Whether a part is ready: what it reads is assigned to it, and it has caught up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

Check = Callable[[int], str]
"""From the lag that is allowed, in records, to what is still lacking; empty when nothing is."""

STARTING = "starting: it reads nothing yet (it waits for Kafka, its store, or its cluster)"


class Reading(NamedTuple):
    """How far a source of a process is.

    Attributes:
        source: Its name.
        partitions: Partitions that this process reads.
        unknown: Of these, those that the broker has told nothing of yet.
        lag: Records still to be read, of all the others.
        most: The same of the partition that is furthest behind.
        at: When this was so, monotonic seconds.
        fresh: Seconds for which it counts.
    """

    source: str
    partitions: int
    unknown: int
    lag: int
    most: int
    at: float
    fresh: float

    def lacks(self, most_lag: int, now: float) -> str:
        """What is still lacking, with at most so many records of lag; empty when nothing is.

        >>> Reading("monitor", 8, 0, 120, 90, at=0.0, fresh=30.0).lacks(100, now=5.0)
        'source monitor: 120 records behind, at most 100 are allowed (telemetry.ready_lag)'
        """
        if now - self.at > self.fresh:
            return f"source {self.source}: Kafka has not answered for {now - self.at:.0f} s"
        if self.unknown:
            return (
                f"source {self.source}: {self.unknown} of {self.partitions} partitions have not "
                "answered yet"
            )
        if self.lag > most_lag:
            return (
                f"source {self.source}: {self.lag} records behind, at most {most_lag} are allowed "
                "(telemetry.ready_lag)"
            )
        return ""


class Readiness:
    """The checks of one process. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._checks: dict[str, Check] = {}

    def watch(self, name: str, check: Check) -> None:
        """Ask `check` from now on; one of the same name is replaced."""
        with self._lock:
            self._checks[name] = check

    def watch_source(self, name: str, reading: Callable[[], Reading | None]) -> None:
        """Judge a source by its last reading; None before the first."""

        def check(most_lag: int) -> str:
            found = reading()
            if found is None:
                return f"source {name}: it has not looked at its topics yet"
            return found.lacks(most_lag, self._clock())

        self.watch(name, check)

    def forget(self, name: str) -> None:
        """Ask no more."""
        with self._lock:
            self._checks.pop(name, None)

    def lacks(self, most_lag: int) -> list[str]:
        """What is still lacking, a line each; empty when the process is ready."""
        with self._lock:
            checks = list(self._checks.values())
        if not checks:
            return [STARTING]
        return [text for check in checks if (text := check(most_lag))]


READINESS = Readiness()
"""Of this process."""
