"""Which versions must stay in the store: read from the topics of models and of commands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from driftloop.errors import KafkaUnavailableError, MessageError
from driftloop.kafka import codes
from driftloop.kafka.follower import Follower
from driftloop.kafka.ranges import Place, offsets_of, places_of
from driftloop.messages import Command, CommandAnswered, CommandMemory, ModelPublished, decode
from driftloop.messages.signing import Verifier
from driftloop.models.retention import Held

_POLL_SECONDS = 0.1
_log = structlog.get_logger(__name__)


class HeldVersions:
    """Follows version events and commands; not safe for threads.

    Args:
        client: Client properties.
        models: Name of the topic of versions.
        commands: Name of the topic of commands; one that is missing holds none.
        recent: Seconds for which a version that a command names, as the goal of a rollback, is
            held in any case.
        verifier: Checks signatures of commands; without one, all commands count.

    Attributes:
        current: Newest version event of each stream.
        pinned: Versions that a pin named, until the stream is unpinned; empty for a pin of the
            current version.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        models: str,
        commands: str,
        *,
        recent: float,
        verifier: Verifier | None = None,
    ) -> None:
        self._verifier = verifier
        self.current: dict[str, ModelPublished] = {}
        self.pinned: dict[str, str] = {}
        self._before: dict[str, str | None] = {}  # pins without an answer: what was pinned before
        self._ordered: dict[str, dict[str, float]] = {}
        self._seen: dict[str, CommandMemory] = {}  # of each stream, as the monitor has it
        self._client, self._topics, self._recent = dict(client), (models, commands), recent
        self._follower = Follower(client, "driftloop-held")

    def catch_up(self, *, timeout: float = 30.0) -> None:
        """Read all that is committed until now.

        Args:
            timeout: Seconds without any progress.

        Raises:
            KafkaUnavailableError: No broker answers in time.
            KafkaError: The broker refuses.
        """
        places = places_of(self._client, sorted({*self._topics}), timeout=timeout)
        for message in self._follower.read_to(self._ends(places, timeout), timeout=timeout):
            self._take(message)

    def _ends(self, places: set[Place], timeout: float) -> dict[Place, int]:
        deadline = time.monotonic() + timeout
        while True:
            # The client remembers leaders for good: after a broker's restart one is refused.
            admin = AdminClient({"log_level": 2, **self._client})
            try:
                return offsets_of(admin, places, codes.LATEST, timeout)
            except KafkaUnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)  # a new topic has no leader yet

    def of(self, stream: str, now: float) -> Held:
        """What must stay of a stream, as far as was read.

        Args:
            stream: Stream id.
            now: Seconds since the epoch.
        """
        versions: dict[str, str] = {}
        uris: dict[str, str] = {}
        for version, issued in self._ordered.get(stream, {}).items():
            if now - issued < self._recent:
                versions[version] = "ordered"
        event = self.current.get(stream)
        if event is not None:
            if event.parent_version:
                versions[event.parent_version] = "parent"
            if event.parent_uri:
                uris[event.parent_uri] = "parent"
            versions[event.version] = "current"
            uris[event.uri] = "current"
        if self.pinned.get(stream):
            versions[self.pinned[stream]] = "pinned"
        return Held(versions, uris)

    def close(self) -> None:
        """End the connection."""
        self._follower.close()

    def _take(self, message: Message) -> None:
        if message.value() is None:
            self.current.pop((message.key() or b"").decode(errors="replace"), None)
            return
        try:
            event = decode(message.headers(), message.value())  # type: ignore[arg-type]
        except MessageError as problem:
            where = f"{message.topic()}[{message.partition()}]@{message.offset()}"
            _log.warning("store.event_unreadable", place=where, why=str(problem))
            return
        if isinstance(event, ModelPublished):
            self.current[event.stream] = event
        elif isinstance(event, Command) and not self._untrusted(event, message):
            self._order(event)
        elif isinstance(event, CommandAnswered):
            self._answered(event)

    def _untrusted(self, event: Command, message: Message) -> bool:
        """Whether the monitor will not carry it out, for its signature."""
        if self._verifier is None:
            return False
        headers: Any = message.headers()
        return self._verifier.fault(message.value(), headers, event.who) is not None

    def _answered(self, event: CommandAnswered) -> None:
        """A pin that the monitor refused leaves what was pinned before."""
        if event.command_id not in self._before:
            return
        before = self._before.pop(event.command_id)
        if event.outcome != "refused":
            return
        if before is None:
            self.pinned.pop(event.stream, None)
        else:
            self.pinned[event.stream] = before

    def _order(self, event: Command) -> None:
        if self._seen.setdefault(event.stream, CommandMemory()).take(event).word != "new":
            return  # which the monitor does not carry out
        if event.action == "pin":
            self._before[event.id] = self.pinned.get(event.stream)
            self.pinned[event.stream] = event.version or ""
        elif event.action == "unpin":
            self.pinned.pop(event.stream, None)
        if event.version:
            self._ordered.setdefault(event.stream, {})[event.version] = event.issued_at / 1000
