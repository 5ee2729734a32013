"""Keeps the read model fresh in a thread of its own, and tells open pages when it has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from confluent_kafka import KafkaException

from driftloop.errors import KafkaError
from driftloop.heartbeat import Heartbeat
from driftloop.readmodel import Feed, ReadModel
from driftloop.settings import Settings

ASK_SECONDS = 1.0
"""How often the file is asked whether another process has changed it."""

USUAL_PAUSE = 0.5
"""Seconds between two looks at the topics (`driftloop.readmodel.Feed.follow`)."""

_log = structlog.get_logger(__name__)


class Live:
    """Fills the read model where no other process does, else watches what that one writes.

    Args:
        settings: The configuration.
        model: The read model.
        patience: Seconds in which a broker must answer at the start.
    """

    def __init__(self, settings: Settings, model: ReadModel, patience: float = 10.0) -> None:
        self._patience = patience
        self._settings = settings
        self._model = model
        self._stopped = threading.Event()
        self._beat = Heartbeat(settings.home, "dashboard").beat
        self._lock = threading.Lock()
        self._listeners: set[Callable[[], None]] = set()
        self._thread = threading.Thread(target=self._run, name="readmodel", daemon=True)
        self.changes = 0
        self.changed_at = time.time()
        self.progress: tuple[int, int] = (0, 0)
        self.fault = ""
        self.caught_up = False
        self.writes = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stopped.set()
        self._tell()
        self._thread.join(15.0)

    @property
    def stopped(self) -> bool:
        """Whether the end was asked for."""
        return self._stopped.is_set()

    @property
    def ready(self) -> bool:
        """Whether the pages have something to show: all that was there at the start is read."""
        return self.caught_up and self._model.ready

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this, from another thread, after each change."""
        with self._lock:
            self._listeners.add(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners.discard(listener)

    def _tell(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for one in listeners:
            one()

    def _changed(self, _: int = 0) -> None:
        self.changes += 1
        self.changed_at = time.time()
        self.fault = ""
        self._tell()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._model.acquire():
                    self.writes = True
                    self._write()
                else:
                    self.writes = False
                    self._watch()
            except Exception as error:  # noqa: BLE001  # a page tells it, and the thread goes on
                self.fault = str(error)
                _log.exception("dashboard.readmodel_failed")
                self._wait(5.0)
        self._model.close()

    def _write(self) -> None:
        feed = Feed(self._settings, self._model)
        try:
            while not self.caught_up and not self._stopped.is_set():
                try:
                    feed.catch_up(self._count, check=self._check, timeout=self._patience)
                    self.caught_up = True
                    self._changed()
                except _StoppedError:
                    return
                except (KafkaError, KafkaException) as error:
                    self.fault = str(error)
                    _log.warning("dashboard.kafka_away", error=str(error))
                    # What was known before is shown; without any the pages say why.
                    self.caught_up = bool(self._model.positions())
                    self._tell()
                    self._wait(2.0)
            feed.follow(self._stopped.is_set, self._changed, self._pause)
        finally:
            feed.close()

    def _pause(self, seconds: float) -> None:
        """Pause between two looks at the topics; they are longer while no broker answers."""
        away = seconds > USUAL_PAUSE
        if away != bool(self.fault):
            self.fault = "no broker answers" if away else ""
            self._tell()
        self._wait(seconds)

    def _watch(self) -> None:
        """Ask the file whether it has changed, until this process may write it."""
        seen = None
        while not self._stopped.is_set() and not self._model.acquire():
            found = self._model.db.execute("PRAGMA data_version").fetchone()[0]
            if found != seen and self._model.ready:
                seen = found
                self.caught_up = True
                self._changed()
            self._wait(ASK_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._beat()
        self._stopped.wait(seconds)

    def _count(self, done: int, total: int) -> None:
        self.progress = (done, total)

    def _check(self) -> None:
        self._beat()
        if self._stopped.is_set():
            raise _StoppedError


class _StoppedError(Exception):
    pass
