"""Which version of a stream's model serves, and how the next one takes over without a pause.

A new version is loaded and verified aside while the old one goes on serving. Only when it is whole
does it take over, between two records. What cannot be loaded is tried again: a few times, and then
the old version stays; or, while the store is away, until it is back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future

import structlog

from driftloop.errors import DriftloopError, StoreUnavailableError
from driftloop.messages import ModelPublished
from driftloop.models import ModelArtifact
from driftloop.scorer import metrics
from driftloop.telemetry.tracing import below, record, tracing

ATTEMPTS = 5
FIRST_DELAY, DOUBLINGS = 0.5, 6
"""Seconds before the second attempt; twice as long before each further one, but so often only."""

_log = structlog.get_logger(__name__)

Load = Callable[[str, str], ModelArtifact]
"""From URI and sha256 to a verified artifact; raises a `DriftloopError` or OSError."""


class VersionFollower:
    """The version of one stream that serves, and the one that is on its way.

    Args:
        stream: Stream id, for the log.
        load: Loads and verifies an artifact.
        executor: Where models are loaded while the old version serves.
        clock: Monotonic seconds.
    """

    def __init__(
        self, stream: str, load: Load, executor: Executor, clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._load = load
        self._executor = executor
        self._clock = clock
        self.serving: ModelPublished | None = None
        self.coming: ModelPublished | None = None
        self._model: ModelArtifact | None = None
        self._future: Future[ModelArtifact] | None = None
        self._attempts = 0
        self._retry_at: float | None = None
        self._in_use = False
        self._trace = ""  # of what is on its way
        self._first = ""  # of what serves and has not predicted yet
        self._began_ns = 0
        self._then: ModelPublished | None = None

    def restore(self, serving: ModelPublished | None, coming: ModelPublished | None) -> None:
        """Go on where another process stopped: `serving` is loaded first, then `coming`."""
        self.coming, self._then = (serving, coming) if serving else (coming, None)

    def snapshot(self) -> tuple[ModelPublished | None, ModelPublished | None]:
        """What `restore` takes: the version that serves, and the one on its way."""
        if self._then is not None:
            return self.coming, self._then
        return self.serving, self.coming

    def offer(self, event: ModelPublished | None, trace: str = "") -> None:
        """Take a new version in; None retires the stream's model.

        A stream whose records were never seen here loads nothing: its model waits for them.

        Args:
            event: The version.
            trace: Its ``traceparent``, where its way is to be followed.
        """
        if self._then is not None and event is not None:
            self._then = event
            return
        self.settle()  # what is loaded already may still be the last that is good
        self._future, self._retry_at, self._attempts, self._then = None, None, 0, None
        self.coming, self._trace = event, trace
        if event is None:
            self.serving, self._model = None, None
        elif self._in_use:
            self._start()

    def model(self) -> ModelArtifact | None:
        """The model for the next records; None while the stream has none.

        Only where nothing serves (at start, or a stream's first records) is it waited for.
        """
        first, self._in_use = not self._in_use, True
        if first and self.coming is not None and self._future is None:
            self._start()
            self._wait()
        self.settle()
        if first and self._then is not None:
            newer, self._then = self._then, None
            self.offer(newer)
        return self._model

    def settle(self) -> bool:
        """Let a version that is loaded take over; whether one did."""
        if self._retry_at is not None and self._clock() >= self._retry_at:
            self._start()
        if self._future is None or not self._future.done():
            return False
        future, self._future = self._future, None
        event = self.coming
        error = future.exception()
        if event is None:
            return False
        if error is None:
            old = self.serving.version if self.serving else None
            self._model, self.serving, self.coming = future.result(), event, None
            metrics.SWAPS.inc()
            _log.info(
                "scorer.version_serves",
                stream=self._stream,
                event_id=event.id,
                request_id=event.request_id,
                version=event.version,
                before=old,
            )
            self._note_loaded(event)
            return True
        self._failed(event, error)
        return False

    def wake_after(self) -> float | None:
        """Seconds after which `settle` should be called though no record came; None: never."""
        if self._future is not None:
            return 0.02
        if self._retry_at is not None:
            return max(0.02, self._retry_at - self._clock())
        return None

    def _start(self) -> None:
        event = self.coming
        if event is None:
            return
        self._retry_at = None
        self._attempts += 1
        self._began_ns = time.time_ns()
        self._future = self._executor.submit(self._load, event.uri, event.sha256)

    def predicted(self, records: int, start_ns: int) -> None:
        """Records were predicted by what serves: the first ones end the trace of its version."""
        trace, self._first = self._first, ""
        if trace and self.serving is not None:
            about = {**_about(self.serving), "driftloop.records": records}
            record("first prediction", parent=trace, start_ns=start_ns, attributes=about)

    def _note_loaded(self, event: ModelPublished) -> None:
        """Tell the trace of the version that it was loaded; its first prediction follows."""
        trace, self._trace = self._trace, ""
        self._first = below(trace) if tracing() else ""
        if self._first:
            record(
                "load model",
                parent=trace,
                own=self._first,
                start_ns=self._began_ns,
                attributes=_about(event),
            )

    def _wait(self) -> None:
        if self._future is not None:
            self._future.exception()

    def _failed(self, event: ModelPublished, error: BaseException) -> None:
        metrics.LOAD_FAILURES.inc()
        known = isinstance(error, DriftloopError | OSError)
        serving = self.serving.version if self.serving else None
        if self._attempts < ATTEMPTS or isinstance(error, StoreUnavailableError):
            doublings = min(self._attempts - 1, DOUBLINGS)
            self._retry_at = self._clock() + FIRST_DELAY * 2**doublings
        _log.log(
            30 if self._retry_at is not None else 40,
            "scorer.load_failed",
            stream=self._stream,
            event_id=event.id,
            request_id=event.request_id,
            version=event.version,
            error=str(error) if known else repr(error),
            attempt=self._attempts,
            serving=serving,
            then="it is tried again" if self._retry_at is not None else "given up",
        )
        if self._retry_at is None:
            self.coming = None


def _about(event: ModelPublished) -> dict[str, str | int | None]:
    return {
        "driftloop.stream": event.stream,
        "driftloop.version": event.version,
        "driftloop.event_id": event.id,
        "driftloop.request_id": event.request_id,
    }
