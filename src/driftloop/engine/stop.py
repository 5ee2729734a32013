"""Stopping a flow: the first signal drains it, the second ends the process at once.

A signal sets an event. On it every source part reports its end, so that the last epoch closes,
its output is flushed and its positions are stored; the flow then ends with exit status 0.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog

SIGNALS = (signal.SIGTERM, signal.SIGINT)
FORCED = 130

_event = threading.Event()
_log = structlog.get_logger(__name__)


def requested() -> bool:
    """Whether this process was asked to stop."""
    return _event.is_set()


def request() -> None:
    """Ask the flows of this process to stop, as a first signal does."""
    _event.set()


def _handle(number: int, _frame: FrameType | None) -> None:
    if _event.is_set():
        # No clean-up on purpose: the second signal is for a flow that does not end.
        os._exit(FORCED)
    _event.set()
    _log.info("stop.requested", signal=signal.Signals(number).name)


def install() -> bool:
    """Let SIGTERM and Ctrl-C drain the flow; to be called where a flow is built.

    With ``python -m bytewax.run`` the flow is built in the main thread, which also runs Python's
    signal handlers while worker threads run the flow. Handlers that somebody else installed stay.

    Returns:
        Whether signals are handled now: not outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)
    return all(signal.getsignal(number) is _handle for number in SIGNALS)


@contextmanager
def handling() -> Iterator[None]:
    """Handle signals within the block; afterwards all is as it was, and nobody is asked to stop."""
    main = threading.current_thread() is threading.main_thread()
    before: dict[int, Any] = {}
    if main:
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number in SIGNALS:
            signal.signal(number, _handle)
    try:
        yield
    finally:
        for restored, handler in before.items():
            signal.signal(restored, handler)
        _event.clear()


def reset() -> None:
    """Forget that a stop was requested."""
    _event.clear()
