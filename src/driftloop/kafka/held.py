"""Which versions must stay in the store: read from the topics of models and of commands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.errors import KafkaUnavailableError, MessageError
from driftloop.kafka import codes
from driftloop.kafka.ranges import Place, offsets_of
from driftloop.kafka.topics import partition_counts
from driftloop.logs import client_logger
from driftloop.messages import Command, ModelPublished, decode
from driftloop.models.retention import Held

_BATCH = 5000
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

    Attributes:
        current: Newest version event of each stream.
        pinned: Versions that a pin named, until the stream is unpinned; empty for a pin of the
            current version.
    """

    def __init__(
        self, client: Mapping[str, Any], models: str, commands: str, *, recent: float
    ) -> None:
        self.current: dict[str, ModelPublished] = {}
        self.pinned: dict[str, str] = {}
        self._ordered: dict[str, dict[str, float]] = {}
        self._client, self._topics, self._recent = dict(client), (models, commands), recent
        self._positions: dict[Place, int] = {}
        self._made: Consumer | None = None

    @property
    def _consumer(self) -> Consumer:
        """Made once a broker has answered: before, it would log without end."""
        if self._made is None:
            properties = {
                "fetch.wait.max.ms": 50,
                **self._client,
                "group.id": "driftloop-held",  # required by the client; nothing is committed to it
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
            self._made = Consumer(properties, logger=client_logger())
        return self._made

    def catch_up(self, *, timeout: float = 30.0) -> None:
        """Read all that is committed until now.

        Args:
            timeout: Seconds without any progress.

        Raises:
            KafkaUnavailableError: No broker answers in time.
            KafkaError: The broker refuses.
        """
        counts = partition_counts(self._client, list(self._topics), timeout=timeout)
        places = {(topic, i) for topic, count in counts.items() for i in range(count)}
        ends = self._ends(places, timeout)
        new = sorted(places - self._positions.keys())
        if new:
            try:
                self._consumer.incremental_assign(
                    [TopicPartition(*place, OFFSET_BEGINNING) for place in new]
                )
            except KafkaException as error:
                raise KafkaUnavailableError(str(error)) from error
            self._positions.update(dict.fromkeys(new, 0))
        deadline = time.monotonic() + timeout
        while behind := [place for place, end in ends.items() if self._positions[place] < end]:
            messages = self._consumer.consume(_BATCH, _POLL_SECONDS)
            progress = [self._take(message) for message in messages]
            if any(progress):
                deadline = time.monotonic() + timeout
            elif time.monotonic() > deadline:
                topic, partition = behind[0]
                raise KafkaUnavailableError(
                    f"{topic}[{partition}] could not be read beyond offset "
                    f"{self._positions[behind[0]]} for {timeout:g} s"
                )

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
        if self._made is not None:
            self._made.close()
            self._made = None

    def _take(self, message: Message) -> bool:
        """Read one message; whether it was progress."""
        place = (message.topic() or "", message.partition() or 0)
        offset = message.offset() or 0
        error = message.error()
        if error is not None:
            if error.code() != codes.PARTITION_EOF:
                return False
            moved = offset > self._positions[place]
            self._positions[place] = offset
            return moved
        self._positions[place] = offset + 1
        if message.value() is None:
            self.current.pop((message.key() or b"").decode(errors="replace"), None)
            return True
        try:
            event = decode(message.headers(), message.value())  # type: ignore[arg-type]
        except MessageError as problem:
            where = f"{place[0]}[{place[1]}]@{offset}"
            _log.warning("store.event_unreadable", place=where, why=str(problem))
            return True
        if isinstance(event, ModelPublished):
            self.current[event.stream] = event
        elif isinstance(event, Command):
            self._order(event)
        return True

    def _order(self, event: Command) -> None:
        if event.action == "pin":
            self.pinned[event.stream] = event.version or ""
        elif event.action == "unpin":
            self.pinned.pop(event.stream, None)
        if event.version:
            self._ordered.setdefault(event.stream, {})[event.version] = event.issued_at / 1000
