"""How long epochs take: seen at one part of a source, which the engine asks once an epoch.

Bytewax itself tells the durations of single steps and snapshots on a server of its own, where
``BYTEWAX_DATAFLOW_API_ENABLED`` is set; of epochs it tells nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from driftloop.engine import _metrics


class Epochs:
    """Measures the epochs that a part goes through.

    Args:
        source: Name of its source.
        clock: Monotonic seconds.
    """

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended: float | None = None
        self._epoch = _metrics.EPOCH.labels(source)
        self._closing = _metrics.CLOSING.labels(source)
        self._last = _metrics.ENDED.labels(source)
        self._last.set_to_current_time()

    def end(self) -> None:
        """The part's snapshot is asked for: an epoch ends."""
        now = self._clock()
        if self._ended is not None:
            self._epoch.observe(now - self._ended)
        self._ended = now
        self._last.set_to_current_time()

    def resume(self) -> None:
        """The part is asked for records again: all steps have done with the epoch."""
        if self._ended is not None:
            self._closing.observe(self._clock() - self._ended)
