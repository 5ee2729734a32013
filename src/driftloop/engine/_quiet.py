"""At most one log line a kind of trouble and interval."""

from __future__ import annotations

import time
from collections.abc import Callable

_MOST = 1000


class Quiet:
    """Tells whether a line may be written again.

    >>> quiet = Quiet(30, clock=lambda: 0.0)
    >>> quiet("down"), quiet("down"), quiet("other")
    (True, False, True)
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last: dict[str, float] = {}

    def __call__(self, key: str) -> bool:
        """Whether a line of this `key` may be written now; if so, it counts as written."""
        now = self._clock()
        last = self._last.get(key)
        if last is not None and now - last < self._seconds:
            return False
        if len(self._last) >= _MOST:
            self._last.clear()
        self._last[key] = now
        return True
