"""When the next round begins: requests are gathered first, as the choice is among all that wait."""

from __future__ import annotations

DRAIN_SECONDS = 10.0
"""After this long a round begins although more is there to be read."""

RETRY_SECONDS = 2.0
_POLL_SECONDS = 0.1
_LEAST_SECONDS = 0.005


class Pace:
    """The rounds of a trainer. Times are those of a monotonic clock, but for `wake_ms`.

    Args:
        linger: Seconds in which requests are gathered.
        most: Requests of a round: once so many wait, and no more is there to be read, it begins.
        once: Whether the trainer ends when all is served: it then waits for nothing.
    """

    def __init__(self, linger: float, most: int, *, once: bool) -> None:
        self._linger = linger
        self._most = most
        self._once = once
        self._since: float | None = None  # of the first message that no round has seen
        self._again = False
        self._not_before = 0.0
        self._wake_ms: int | None = None

    @property
    def settled(self) -> bool:
        """Whether no round has to follow before something new comes, or a budget's day ends."""
        return self._since is None and not self._again

    def arrived(self, now: float) -> None:
        """A message came."""
        if self._since is None:
            self._since = now

    def begun(self) -> None:
        """A round takes everything that waits."""
        self._since, self._wake_ms, self._again = None, None, False

    def ended(self, *, more: bool, wake_ms: int | None) -> None:
        """A round is over; `more`: others may go at once; `wake_ms`: wall clock of a new budget."""
        self._again, self._wake_ms = more, wake_ms

    def retry(self, now: float) -> None:
        """A round came to nothing."""
        self._again, self._not_before = True, now + RETRY_SECONDS

    def rested(self, now: float) -> bool:
        """Whether anything may be tried again, if something came to nothing."""
        return now >= self._not_before

    def due(self, now: float, now_ms: int, waiting: int, *, drained: bool) -> bool:
        """Whether a round begins now.

        Args:
            now: The time.
            now_ms: Wall clock, milliseconds since the epoch.
            waiting: Messages that wait.
            drained: Whether no more can be read at the moment.
        """
        if not waiting or not self.rested(now):
            return False
        if self._again or (self._wake_ms is not None and now_ms >= self._wake_ms):
            return True
        if self._since is None:
            return False
        waited = now - self._since
        if not drained:
            return waited >= DRAIN_SECONDS
        return self._once or waiting >= self._most or waited >= self._linger

    def patience(self, now: float) -> float:
        """Seconds to wait for the next message."""
        if self._since is None:
            return _POLL_SECONDS
        left = self._since + self._linger - now
        return min(max(left, _LEAST_SECONDS), _POLL_SECONDS)
