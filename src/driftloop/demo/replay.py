"""The replay's clock and order: pure, so that no test of it needs Kafka or waits.

A flight's label may not be known before its prediction was made; in reality hours lie between, in
a replay of a day in a quarter of a second they are milliseconds. So a label waits until its own
prediction was seen, and the whole clock holds while a prediction is owed for longer than `slack`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from driftloop.demo.flights import DAY_MS, Flights

SLACK_MS = DAY_MS * 20 // 24
"""Event time for which a departure may be without its prediction before the clock holds."""

LEAP_SECONDS = 0.1
"""A pause of the process is made good by no more than this much wall time."""

Rows = npt.NDArray[np.int64]


class ReplayClock:
    """Event time that runs `speed` days a second of wall time, up to a limit.

    Time spent at a limit is lost, never made good by a burst.

    >>> clock = ReplayClock(0, speed=4.0)
    >>> clock.advance(10.0, limit=10**15), clock.advance(10.1, limit=10**15)
    (0, 34560000)
    """

    def __init__(self, begin_ms: int, speed: float) -> None:
        self.event_ms = begin_ms
        self._rate = speed * DAY_MS  # event milliseconds a wall second
        self._wall: float | None = None
        self.held_seconds = 0.0

    def advance(self, wall: float, limit: int) -> int:
        """Move on to the wall time `wall` (monotonic seconds), not past the event time `limit`."""
        passed = 0.0 if self._wall is None else max(0.0, wall - self._wall)
        self._wall = wall
        target = self.event_ms + int(min(passed, LEAP_SECONDS) * self._rate)
        if target > limit:
            self.held_seconds += passed
            target = max(self.event_ms, limit)
        self.event_ms = target
        return target


class Replay:
    """Which departures and landings are due, given what was predicted so far.

    Attributes:
        seen: (n,) bool, flights whose record was seen behind the scorer.
        departed: How many departures were given out.
        landed: How many landings were given out.
    """

    def __init__(self, flights: Flights, slack_ms: int = SLACK_MS) -> None:
        self._departures = flights.departed
        self._landing_order = np.argsort(flights.landed, kind="stable")
        self._landings = flights.landed[self._landing_order]
        self._slack = slack_ms
        self.seen = np.zeros(len(flights), dtype=np.bool_)
        self.departed = 0
        self.landed = 0
        self._oldest = 0  # every departure before it was seen
        self._due = 0  # landings of the order that are past, given out or waiting
        self._waiting: list[int] = []

    def see(self, rows: Iterable[int]) -> None:
        """Note that the records of `rows` came out of the scorer."""
        for row in rows:
            self.seen[row] = True

    def limit(self) -> int:
        """Event time that the clock may not pass: the oldest owed departure plus the slack."""
        while self._oldest < self.departed and self.seen[self._oldest]:
            self._oldest += 1
        if self._oldest == self.departed:
            return int(np.iinfo(np.int64).max)
        return int(self._departures[self._oldest]) + self._slack

    def due(self, event_ms: int) -> tuple[Rows, Rows]:
        """Departures, then landings, that are due at an event time and were not given out yet."""
        upto = int(np.searchsorted(self._departures, event_ms, side="right"))
        departures = np.arange(self.departed, max(upto, self.departed), dtype=np.int64)
        self.departed += len(departures)
        past = max(self._due, int(np.searchsorted(self._landings, event_ms, side="right")))
        candidates = [*self._waiting, *self._landing_order[self._due : past].tolist()]
        self._due = past
        seen = self.seen
        ready = [row for row in candidates if seen[row]]
        self._waiting = [row for row in candidates if not seen[row]]
        self.landed += len(ready)
        return departures, np.array(ready, dtype=np.int64)

    def given_landings(self) -> Rows:
        """Rows of all landings that were given out."""
        past = self._landing_order[: self._due]
        return past[~np.isin(past, self._waiting)]

    @property
    def owed(self) -> int:
        """Departures that were given out and not seen behind the scorer."""
        return int(self.departed - np.count_nonzero(self.seen[: self.departed]))

    @property
    def finished(self) -> bool:
        """Whether every flight departed and landed."""
        return self.landed == len(self.seen)
