"""What follows a commit, in a thread of its own: retention in the store, and a log to MLflow.

Neither is part of the transaction. What fails here is warned of and counted, and fails no training.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import structlog

from driftloop.errors import DriftloopError
from driftloop.kafka.held import HeldVersions
from driftloop.messages import ModelPublished
from driftloop.models import ModelStore
from driftloop.models.retention import Held
from driftloop.settings import Settings
from driftloop.trainer import metrics
from driftloop.trainer.orders import Answer
from driftloop.trainer.work import Result

if TYPE_CHECKING:
    from driftloop.trainer.mlflow_log import MlflowLog

_MOST = 10_000
_log = structlog.get_logger(__name__)


def versions(
    results: Iterable[Result], answers: Iterable[Answer], answered: Collection[str]
) -> list[ModelPublished]:
    """Versions that a round published: new ones, promoted ones, and those gone back to.

    Args:
        results: Of the trainings whose outcomes were published.
        answers: To orders and candidates.
        answered: Ids of those whose answers were published.
    """
    found = [one.published for one in results if one.published is not None]
    events = (event for one in answers if one.cause in answered for event in one.events)
    return [*found, *(event for event in events if isinstance(event, ModelPublished))]


class Afterwards:
    """Takes published versions from the trainer's loop; `take` never waits.

    Args:
        settings: The whole configuration.

    Raises:
        SettingsError: A secret cannot be read.
        StoreError: The store's protocol is not known.
        DriftloopError: MLflow is configured and not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = ModelStore(settings.store)
        self._mlflow: MlflowLog | None = None
        if settings.mlflow.tracking_uri:
            from driftloop.trainer.mlflow_log import MlflowLog  # noqa: PLC0415  # an extra

            self._mlflow = MlflowLog(settings.mlflow)
        self._held: HeldVersions | None = None
        self._queue: queue.Queue[Sequence[ModelPublished] | None] = queue.Queue(_MOST)
        self._thread = threading.Thread(target=self._run, name="driftloop-afterwards", daemon=True)
        self._stopping = threading.Event()
        self._thread.start()

    def take(self, published: Sequence[ModelPublished]) -> None:
        """Take versions whose transaction is committed."""
        if not published:
            return
        try:
            self._queue.put_nowait(published)
        except queue.Full:
            _log.warning("trainer.afterwards_full", versions=len(published))
            if self._mlflow is not None:
                metrics.LOGGED.labels("dropped").inc(len(published))

    def close(self, seconds: float) -> None:
        """End; wait so long for what was taken.

        Args:
            seconds: What is not done by then is left: the next publication of a stream prunes it.
        """
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            self._stopping.set()
        self._thread.join(seconds)
        self._stopping.set()
        if self._thread.is_alive():
            _log.warning("trainer.afterwards_left", waiting=self._queue.qsize())

    def _run(self) -> None:
        while not self._stopping.is_set():
            taken = self._queue.get()
            if taken is None:
                break
            self._guarded("trainer.prune_failed", lambda taken=taken: self._prune(taken))  # type: ignore[misc]
            for event in taken:
                if self._stopping.is_set():
                    break
                self._tell_mlflow(event)
        if self._held is not None:
            self._held.close()

    def _prune(self, published: Sequence[ModelPublished]) -> None:
        """Prune the streams that got a version; what is held is read again before."""
        # Where all is kept, what is left half-written goes all the same.
        held = self._catch_up() if self._settings.store.keep else None
        for stream in dict.fromkeys(event.stream for event in published):
            stays = held.of(stream, time.time()) if held is not None else Held()
            for judged in self._store.prune(stream, stays):
                metrics.PRUNED.inc()
                _log.info(
                    "trainer.version_pruned",
                    stream=stream,
                    version=judged.stored.version,
                    uri=judged.stored.uri,
                    why=judged.reason,
                )

    def _catch_up(self) -> HeldVersions:
        if self._held is None:
            topics = self._settings.topics
            self._held = HeldVersions(
                self._settings.kafka.client(),
                topics.models,
                topics.commands,
                recent=self._settings.store.grace.total_seconds(),
                verifier=self._settings.commands.verifier(),
            )
        self._held.catch_up()
        return self._held

    def _tell_mlflow(self, event: ModelPublished) -> None:
        mlflow = self._mlflow
        if mlflow is None:
            return

        def tell() -> None:
            mlflow.log(event, self._store.contents(event.uri, event.sha256))

        done = self._guarded("trainer.mlflow_failed", tell, stream=event.stream, event_id=event.id)
        metrics.LOGGED.labels("logged" if done else "failed").inc()

    def _guarded(self, name: str, work: Callable[[], None], **facts: str) -> bool:
        try:
            work()
        except DriftloopError as error:
            _log.warning(name, why=str(error), **facts)
            return False
        except Exception as error:  # noqa: BLE001  # no training may fail by it
            _log.warning(name, why=f"{type(error).__name__}: {error}", **facts)
            return False
        return True
