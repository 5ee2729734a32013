"""Answers about the whole fleet, which many open pages ask for at the same moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

FRESH_SECONDS, UNCHANGED_SECONDS = 2.0, 10.0
"""How long an answer is given again; where nothing has changed since, the latter."""

AnswerT = TypeVar("AnswerT")


class Memo:
    """Gives an answer again for a short while.

    Args:
        changes: How often the read model has changed.
        clock: Seconds; never goes back.
    """

    def __init__(
        self, changes: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._changes = changes
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, int, object]] = {}

    def __call__(self, name: str, make: Callable[[], AnswerT]) -> AnswerT:
        """The answer of that name, made where it is too old; one thread makes it at a time."""
        with self._lock:
            now, changes = self._clock(), self._changes()
            known = self._known.get(name)
            if known is not None:
                least = UNCHANGED_SECONDS if known[1] == changes else FRESH_SECONDS
                if now - known[0] < least:
                    return cast("AnswerT", known[2])
            answer = make()
            self._known[name] = (now, changes, answer)
            return answer

    def forget(self) -> None:
        """Make every answer anew."""
        with self._lock:
            self._known.clear()
