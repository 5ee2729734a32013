"""Python's collector of unreachable cycles, held back where many objects without any go by."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (100_000, 20, 20)

_lock = threading.Lock()
_inside = 0
_before = gc.get_threshold()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let Python look for unreachable cycles a hundred times less often.

    Each message that is read is an object that the collector counts, and each full collection
    walks everything that the process holds: with its defaults it took a quarter of the monitor's
    time, and two fifths of that in which a trainer loads records. What is read here makes no
    cycles; reference counts free it. What is there already is not walked at all meanwhile.

    Contexts may lie within or beside each other, in any threads; the last one that ends brings
    back what was set.
    """
    global _inside, _before  # noqa: PLW0603  # the collector is the process's
    with _lock:
        _inside += 1
        if _inside == 1:
            _before = gc.get_threshold()
            gc.freeze()
            gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                gc.set_threshold(*_before)
                gc.unfreeze()
