"""Champions from the store and new versions to it, over an outage of the store.

A store that is away, as a volume that is not mounted or a server that does not answer, ends no
request: it is tried again for a moment, then the round is given back, as when Kafka is away. What
does not pass by itself, and what is wrong with one artifact alone, ends its request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import structlog

from driftloop.errors import (
    ArtifactCorruptedError,
    ArtifactNotFoundError,
    StoreError,
    StoreUnavailableError,
    TrainingError,
)
from driftloop.messages import ModelPublished
from driftloop.models import ModelArtifact, ModelStore
from driftloop.trainer.job import Check

PAUSES = (0.5, 1.0, 2.0)
"""Seconds between tries while the store cannot be read or written; of a round, all together."""

_READABLE = "let the trainer read it there, then ask for the retrain again"
_LAST_RESORT = (
    "look first whether store.uri is the right place, and restore the file from a copy; only if it "
    "is lost for good, send a tombstone for the stream to the topic of models: its next model is "
    "then published without a champion"
)
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class Store(Protocol):
    """Where champions come from and new versions go; `driftloop.models.ModelStore` is one."""

    def save(self, stream: str, version: str, artifact: ModelArtifact) -> tuple[str, str]:
        """Keep a version; return its URI and sha256."""

    def load(self, uri: str, sha256: str) -> ModelArtifact:
        """Return what `save` kept."""


class Shelf:
    """A store, with patience.

    Args:
        store: Where versions lie.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pauses = iter(PAUSES)
        self._doubted = False

    def begin(self, champions: Iterable[ModelPublished]) -> None:
        """See that the store is there before anything is trained.

        Args:
            champions: Current versions of the streams whose requests are served.

        Raises:
            StoreUnavailableError: It is away; or it could not be written in the round before, and
                still cannot.
        """
        self._pauses = iter(PAUSES)
        if not isinstance(self._store, ModelStore):
            return
        self._store.expect(one.uri for one in champions)
        if self._doubted:
            _ask(self._store)
            self._doubted = False

    def load(self, uri: str, sha256: str, check: Check) -> ModelArtifact:
        """Read a version.

        Args:
            uri: Where it lies.
            sha256: Of its manifest.
            check: Called after each pause; raises to give up.

        Raises:
            StoreUnavailableError: The store is away.
            StoreError: It cannot be had, and waiting would not help.
        """
        return self._patiently(lambda: self._store.load(uri, sha256), check, [uri])

    def champion(self, event: ModelPublished, check: Check) -> ModelArtifact:
        """Read a stream's current version.

        Args:
            event: That published it.
            check: Called after each pause; raises to give up.

        Raises:
            StoreUnavailableError: The store is away.
            TrainingError: It cannot be had, and waiting would not help.
        """
        try:
            return self.load(event.uri, event.sha256, check)
        except ArtifactNotFoundError as error:
            raise TrainingError("champion-missing", f"{error}; {_LAST_RESORT}") from error
        except ArtifactCorruptedError as error:
            raise TrainingError("champion-corrupted", f"{error}; {_LAST_RESORT}") from error
        except StoreUnavailableError:
            raise
        except StoreError as error:
            raise TrainingError("champion-unreadable", f"{error}; {_READABLE}") from error

    def save(self, stream: str, artifact: ModelArtifact, check: Check) -> tuple[str, str]:
        """Keep a new version; return its URI and sha256. Raises as `champion` does."""
        try:
            return self._patiently(
                lambda: self._store.save(stream, artifact.version, artifact), check
            )
        except StoreUnavailableError:
            self._doubted = True
            raise
        except StoreError as error:
            raise TrainingError("store-unwritable", str(error)) from error

    def _patiently(self, call: Callable[[], _T], check: Check, uris: Sequence[str] = ()) -> _T:
        """Try again for a moment; a store that is away then, or one that answers but not this."""
        for pause in self._pauses:
            try:
                return call()
            except StoreUnavailableError as error:
                _log.warning("trainer.store_waiting", why=str(error), seconds=pause)
                time.sleep(pause)
                check()
        return settled(self._store, call, uris)


def settled(store: Store, call: Callable[[], _T], uris: Sequence[str] = ()) -> _T:
    """What a call gives when it is not tried again.

    Args:
        store: Where versions lie.
        call: Reads or writes there.
        uris: Of what it reads: a store that should hold these is not a new one.

    Raises:
        StoreUnavailableError: The store as a whole is away.
        StoreError: It refuses the call; one that answers otherwise would do so for good.
    """
    try:
        return call()
    except StoreUnavailableError:
        if not isinstance(store, ModelStore):
            raise
        _ask(store, uris)
    try:
        return call()  # it may have come back just now
    except StoreUnavailableError as error:
        raise StoreError(f"{error} (the store answers otherwise)") from error


def _ask(store: ModelStore, uris: Sequence[str] = ()) -> None:
    """See that the store is there and can be written.

    Raises:
        StoreUnavailableError: It is away.
    """
    store.expect(uris)
    try:
        store.probe()
    except StoreUnavailableError:
        raise
    except StoreError:
        return  # the save that follows says so of its request
