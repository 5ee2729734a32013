"""What the stateful steps share: state a stream, snapshots, and failures that stay local."""

from __future__ import annotations

import pickle
from abc import abstractmethod
from typing import Any, NamedTuple

import structlog
from bytewax.operators import StatefulBatchLogic

from driftloop.monitor import metrics
from driftloop.settings import Profile, Settings

_log = structlog.get_logger(__name__)


class Snapshot(NamedTuple):
    """State of one stream in the recovery store.

    Attributes:
        profile_hash: Under which it came about; under another the stream begins anew.
        state: The pickled state: a copy, so that it may be stored while the stream goes on.
    """

    profile_hash: str
    state: bytes


class StreamLogic(StatefulBatchLogic[Any, Any, Snapshot]):
    """State of one stream in one step. Subclasses make it and give it items.

    An unexpected error must not end the cluster, as Bytewax would have it: it is logged and
    counted, and the stream begins anew in this step.
    """

    step = ""
    inherits = False
    """Whether a state that begins anew takes something of the one before: see `inherit`."""

    def __init__(self, settings: Settings, resume: Snapshot | None) -> None:
        self.settings = settings
        self._resume = resume
        self._state: Any = None
        self._hash = ""

    @abstractmethod
    def make(self, item: Any) -> Any:
        """A fresh state for the stream that `item` belongs to."""

    @abstractmethod
    def handle(self, state: Any, item: Any) -> tuple[list[Any], bool]:
        """Give an item to the state.

        Returns:
            What is put out, without the key, which the engine adds; and whether the stream is gone.
        """

    def inherit(self, state: Any, before: Any) -> None:
        """Take into a fresh state what outlives the one before it, where `inherits` says so."""

    def hash_of(self, profile: Profile) -> str:
        """What the state rests on: state of another hash is not taken up again."""
        return profile.hash

    def _ensure(self, item: Any) -> Any:
        if self._state is None:
            name = item.name
            self._hash = self.hash_of(self.settings.profiles[name.profile])
            resume, self._resume = self._resume, None
            if resume is not None and resume.profile_hash == self._hash:
                # Our own bytes from our own recovery store, never from Kafka.
                self._state = pickle.loads(resume.state)  # noqa: S301
            else:
                if resume is not None and resume.state:
                    _log.warning(
                        "monitor.profile_changed",
                        stream=name.stream,
                        step=self.step,
                        profile=name.profile,
                        effect="the stream's state begins anew",
                    )
                self._state = self.make(item)
                if self.inherits and resume is not None and resume.state:
                    self._take_over(name.stream, resume.state)
        return self._state

    def _take_over(self, stream: str, stored: bytes) -> None:
        """What outlives a change of the profile; an earlier release's state may be unreadable."""
        try:
            self.inherit(self._state, pickle.loads(stored))  # noqa: S301  # our own, as above
        except Exception as error:  # noqa: BLE001  # whatever it is, the stream must go on
            _log.warning(
                "monitor.state_unreadable",
                stream=stream,
                step=self.step,
                why=f"{type(error).__name__}: {error}",
                effect="commands before it are not known",
            )

    def _after_failure(self, item: Any) -> Any:
        """The stream begins anew, with what outlives the state that failed."""
        if not self.inherits or self._state is None:
            return None
        state = self.make(item)
        self.inherit(state, self._state)
        return state

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        """Handle items in order."""
        out: list[Any] = []
        gone = False
        for item in values:
            gone = False
            try:
                put, gone = self.handle(self._ensure(item), item)
                out.extend(put)
            except Exception:  # noqa: BLE001  # logged whole; other streams must go on
                metrics.FAILURES.labels(self.step).inc()
                _log.exception("monitor.stream_failed", stream=item.name.stream, step=self.step)
                self._state = self._after_failure(item)
            if gone:
                self._state = None
        return out, StatefulBatchLogic.DISCARD if gone else StatefulBatchLogic.RETAIN

    def snapshot(self) -> Snapshot:
        """A copy of the state."""
        if self._state is None:
            return self._resume or Snapshot("", b"")
        return Snapshot(self._hash, pickle.dumps(self._state, protocol=pickle.HIGHEST_PROTOCOL))
