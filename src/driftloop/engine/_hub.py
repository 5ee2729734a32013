"""One consumer for all shards of a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka import KafkaError as ClientError

from driftloop.engine import _metrics
from driftloop.engine._quiet import Quiet
from driftloop.engine._shard import Change, Fetched, Positions, Shard, Topic
from driftloop.errors import KafkaError
from driftloop.kafka import codes
from driftloop.logs import client_logger
from driftloop.telemetry.readiness import READINESS, Reading

_IDLE_FIRST, _IDLE_MOST = 0.002, 0.05
# A part without records looks again after this time, while others keep the hub busy.
_SOON = timedelta(milliseconds=2)
_REPEAT_SECONDS = 30.0
_ASSIGN_CHUNK = 1000

_UNKNOWN_USER = dict.fromkeys(codes.AUTHENTICATION, "valid credentials")

_DEFAULTS: dict[str, Any] = {
    # Troubles come through error_cb, and are told once; the client itself repeats them endlessly.
    "log_level": 2,
    "fetch.max.bytes": 50 * 1024 * 1024,
    "max.partition.fetch.bytes": 1024 * 1024,
    # One queue for all partitions: this bounds the memory of what is fetched ahead.
    "queued.max.messages.kbytes": 64 * 1024,
    "queued.min.messages": 100_000,
    "fetch.queue.backoff.ms": 50,
    # A new partition waits for the requests that are under way. Shorter would cost a cluster with
    # many topics more: the client names all partitions in each request.
    "fetch.wait.max.ms": 1000,
}
_FIXED: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    # An offset that is gone is looked into: retention, or another topic of that name?
    "auto.offset.reset": "error",
}

_log = structlog.get_logger(__name__)


class Hub:
    """Draws from one consumer and files what comes under the shards.

    `poll` may be called by several threads; assignments change under the same lock, so that no
    record of an earlier assignment is filed under a later one.

    Args:
        client: Client properties.
        name: Name of the source; formally the consumer group, to which nothing is committed.
        max_records: Records that may wait for the parts.
        epoch_records: Records that may be on their way, from filing to the end of their epoch.
        epoch_bytes: The same in bytes of values.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        name: str,
        *,
        max_records: int,
        epoch_records: int,
        epoch_bytes: int,
    ) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.shards: dict[int, Shard] = {}
        self.topics: dict[str, Topic] = {}
        self.restart: set[tuple[str, int]] = set()
        self.suspects: set[str] = set()
        self.failure: Exception | None = None
        self.alarm = threading.Event()
        self.reading: Reading | None = None
        self._max_records = max_records
        self._epoch_records = epoch_records
        self._epoch_bytes = epoch_bytes
        self._idle = 0.0
        self._poll_at = 0.0
        self._wake: datetime | None = None
        self._quiet = Quiet(_REPEAT_SECONDS)
        self.consumer = Consumer(
            {
                "group.id": name,
                **_DEFAULTS,
                **client,
                **_FIXED,
                "error_cb": self._on_client_error,
            },
            logger=client_logger(),
        )
        READINESS.watch_source(name, lambda: self.reading)

    def register(self, index: int, resume: Positions | None) -> Shard:
        """A shard whose topics this process reads from now on."""
        shard = Shard(index, resume)
        with self.lock:
            self.shards[index] = shard
        return shard

    def assign(self, places: Iterable[tuple[str, int, int]]) -> None:
        """Start reading (topic, partition, offset); the lock is held."""
        wanted = [TopicPartition(*place) for place in places]
        for start in range(0, len(wanted), _ASSIGN_CHUNK):
            self.consumer.incremental_assign(wanted[start : start + _ASSIGN_CHUNK])

    def unassign(self, places: Iterable[tuple[str, int]]) -> None:
        """Stop reading; the lock is held."""
        wanted = [TopicPartition(*place) for place in places]
        if wanted:
            self.consumer.incremental_unassign(wanted)

    def close(self) -> None:
        """Leave the cluster."""
        with self.lock:
            self.consumer.close()
        READINESS.forget(self.name)
        for gauge in _metrics.OF_TOPICS:
            gauge.labels(self.name).set(0)

    def next_wake(self) -> datetime:
        """When a part that found nothing should look again; the same for all, while idle."""
        soon = datetime.now(UTC) + _SOON
        return soon if self._wake is None or self._wake < soon else self._wake

    def poll(self) -> None:
        """Take what the client has and file it; never waits, nor for another thread's poll.

        Raises:
            KafkaError: The client cannot go on.
        """
        if self.failure is not None:
            raise KafkaError(f"source {self.name} cannot go on: {self.failure}") from self.failure
        if not self.lock.acquire(blocking=False):
            return
        try:
            now = time.monotonic()
            if now < self._poll_at or self._full():
                return
            messages = self.consumer.consume(self._max_records, 0)
            if messages:
                self._idle = self._poll_at = 0.0
                self._wake = None
                self._file_all(messages)
            else:
                self._idle = min(max(1.5 * self._idle, _IDLE_FIRST), _IDLE_MOST)
                self._poll_at = now + self._idle
                self._wake = datetime.now(UTC) + timedelta(seconds=self._idle)
        finally:
            self.lock.release()

    def _full(self) -> bool:
        waiting = under_way = size = 0
        for shard in self.shards.values():
            waiting += shard.put - shard.taken
            under_way += shard.put - shard.done
            size += shard.put_bytes - shard.done_bytes
        return (
            waiting >= self._max_records
            or under_way >= self._epoch_records
            or size >= self._epoch_bytes
        )

    def _file_all(self, messages: list[Message]) -> None:
        groups: dict[tuple[str | None, int | None], list[Message]] = {}
        errors: list[Message] = []
        for message in messages:
            if message.error() is not None:
                errors.append(message)
                continue
            place = (message.topic(), message.partition())
            group = groups.get(place)
            if group is None:
                groups[place] = [message]
            else:
                group.append(message)
        records = size = 0
        now = time.monotonic()
        for (name, partition), group in groups.items():
            found = self._file(str(name), int(partition or 0), group, now)
            records += len(group)
            size += found
        # After the records: an end of partition counts only where nothing follows it.
        for message in errors:
            self._on_error(message)
        if records:
            _metrics.RECORDS.labels(self.name).inc(records)
            _metrics.BYTES.labels(self.name).inc(size)

    def _file(self, name: str, partition: int, messages: list[Message], now: float) -> int:
        topic = self.topics.get(name)
        if topic is None:
            return 0  # fetched before it was unassigned
        expected = topic.following.get(partition, 0)
        if (messages[0].offset() or 0) < expected:
            messages = [found for found in messages if (found.offset() or 0) >= expected]
            if not messages:
                return 0
        following = (messages[-1].offset() or 0) + 1
        size = sum(map(len, messages))
        topic.following[partition] = following
        topic.at_end.discard(partition)
        topic.last = now
        shard = self.shards[topic.shard]
        if topic.silent or topic.denied:
            topic.silent = topic.denied = False
            shard.queue.append(Change(topic, "active"))
        shard.put += len(messages)
        shard.put_bytes += size
        shard.queue.append(Fetched(topic, partition, following, size, messages))
        return size

    def _on_error(self, message: Message) -> None:
        error = message.error()
        if error is None:
            return
        code = error.code()
        name, partition = str(message.topic()), int(message.partition() or 0)
        topic = self.topics.get(name)
        if code == codes.PARTITION_EOF:
            if topic is not None and (message.offset() or 0) >= topic.following.get(partition, 0):
                topic.at_end.add(partition)
                if topic.denied:
                    topic.denied = False
                    self.shards[topic.shard].queue.append(Change(topic, "active"))
            return
        if code == ClientError.GROUP_AUTHORIZATION_FAILED:
            return  # nothing is committed: no right on the group is needed
        _metrics.READ_ERRORS.labels(self.name, error.name()).inc()
        if error.fatal():
            self.failure = KafkaError(f"{error.name()}: {error.str()}")
        elif code in codes.RESET:
            if topic is not None:
                self.restart.add((name, partition))
                self.alarm.set()
        elif code in codes.GONE:
            if topic is not None:
                self.suspects.add(name)
                self.alarm.set()
        elif code == ClientError.TOPIC_AUTHORIZATION_FAILED:
            self.deny(name, "Read")
        elif self._quiet(f"{code} {name}"):
            _log.warning(
                "source.read_error",
                source=self.name,
                place=f"{name}[{partition}]@{message.offset()}",
                error=f"{error.name()}: {error.str()}",
            )

    def deny(self, name: str, right: str) -> None:
        """Tell once that a topic may not be read; what reads it goes on by itself later."""
        topic = self.topics.get(name)
        if self._quiet(f"{right} {name}"):
            _log.error("source.not_allowed", source=self.name, topic=name, needs=right)
        if topic is not None and not topic.denied:
            topic.denied = True
            self.shards[topic.shard].queue.append(Change(topic, "denied"))

    def _on_client_error(self, error: ClientError) -> None:
        _metrics.READ_ERRORS.labels(self.name, error.name()).inc()
        if error.fatal():
            self.failure = KafkaError(f"{error.name()}: {error.str()}")
        if self._quiet(error.name()):
            needs = _UNKNOWN_USER.get(error.code())
            if needs:
                _log.error("source.not_allowed", source=self.name, needs=needs, error=error.str())
            else:
                _log.warning(
                    "source.client_error", source=self.name, error=f"{error.name()}: {error.str()}"
                )
