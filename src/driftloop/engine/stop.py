"""Stopping a flow: the first signal drains it, the second ends the process at once.

A signal sets an event. On it every source part reports its end, so that the last epoch closes,
its output is flushed and its positions are stored; the flow then ends with exit status 0.

Before a source was asked for records, as while a process waits for the others of its cluster, no
part is there that could report its end. Nothing was read then, so the process itself ends with 0.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog

SIGNALS = (signal.SIGTERM, signal.SIGINT)
FORCED = 130
# Time for a flow that is about to run: then it drains, and its peers do not lose a connection.
GRACE_SECONDS = 2.0

_event = threading.Event()
_runs = threading.Event()
_wakers: list[_Waker] = []
_log = structlog.get_logger(__name__)


def running() -> None:
    """Say that the flow runs: from here on its sources end it."""
    _runs.set()


def requested() -> bool:
    """Whether this process was asked to stop; who asks, runs, and will act on the answer."""
    running()
    return _event.is_set()


def request() -> None:
    """Ask the flows of this process to stop, as a first signal does."""
    _event.set()


def _handle(_number: int, _frame: FrameType | None) -> None:
    if _event.is_set():
        # No clean-up on purpose: the second signal is for a flow that does not end.
        os._exit(FORCED)
    _event.set()


class _Waker:
    """Hears signals in a thread of its own.

    The main thread runs no handler of Python's while it waits inside Bytewax, and a handler must
    not log: the line that it interrupts may hold the log's lock.
    """

    def __init__(self) -> None:
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        self._before = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        self._closed = False
        threading.Thread(target=self._listen, name="driftloop-stop", daemon=True).start()

    def _listen(self) -> None:
        with self._ear:
            while heard := self._ear.recv(16):
                for number in heard:
                    if number in SIGNALS and not self._closed:
                        self._tell(signal.Signals(number).name)

    def _tell(self, name: str) -> None:
        _log.info("stop.requested", signal=name)
        if not _runs.wait(GRACE_SECONDS) and not self._closed:
            _log.info("stop.before_start", signal=name)
            os._exit(0)

    def close(self) -> None:
        """Leave all as it was."""
        self._closed = True
        signal.set_wakeup_fd(self._before)
        self._mouth.close()


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
    installed = all(signal.getsignal(number) is _handle for number in SIGNALS)
    if installed and not _wakers:
        _wakers.append(_Waker())
    return installed


@contextmanager
def handling() -> Iterator[None]:
    """Handle signals within the block; afterwards all is as it was, and nobody is asked to stop."""
    main = threading.current_thread() is threading.main_thread()
    before: dict[int, Any] = {}
    _runs.clear()
    if main:
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number in SIGNALS:
            signal.signal(number, _handle)
    waker = _Waker() if main and not _wakers else None
    if waker is not None:
        _wakers.append(waker)
    try:
        yield
    finally:
        if waker is not None:
            _wakers.remove(waker)
            waker.close()
        for restored, handler in before.items():
            signal.signal(restored, handler)
        reset()


def reset() -> None:
    """Forget that a stop was requested, and that a flow ran."""
    _event.clear()
    _runs.clear()
