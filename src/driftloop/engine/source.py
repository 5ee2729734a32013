"""The source of records: a fixed number of shards, one consumer a process.

Delivery: a position is stored once its records were emitted, so a resumed flow repeats what its
last complete epoch did not hold, and skips nothing. Unit of parallelism: the shard.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import structlog
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from driftloop.engine import stop
from driftloop.engine._discovery import Discovery
from driftloop.engine._epochs import Epochs
from driftloop.engine._hub import Hub
from driftloop.engine._shard import Change, Fetched, Positions, Shard
from driftloop.engine._topics import TopicCatalog
from driftloop.engine.items import Lifecycle, StreamBatch

EPOCH_RECORDS = 4_000_000
EPOCH_BYTES = 512 * 1024 * 1024

_log = structlog.get_logger(__name__)
_open: weakref.WeakSet[StreamSource] = weakref.WeakSet()


class StreamSource(FixedPartitionedSource[StreamBatch | Lifecycle, Positions | None]):
    """Reads every topic that `select` accepts, also those that appear later.

    A topic belongs to one shard for good. The shards of a process share one consumer with manual
    assignment and one thread that looks for topics. Topics that appear after the first look are
    read from their beginning; so is one that was deleted and made anew.

    Args:
        client: Client properties from `driftloop.settings.KafkaSettings.client`.
        select: Which topics to read.
        name: Name of the source; formally the consumer group, to which nothing is committed.
        shards: Number of shards; permanent for a recovery folder.
        start: Where topics begin that are there at the very first start.
        discover_seconds: Time between two looks for topics.
        max_records: Records taken from the client at a time.
        silent_after: Seconds without a record after which a topic is reported as silent, by
            topic; never by default.
        names: The topics to read when they are known by name: the cluster's others are then
            never asked for.
        on_poll: Called whenever a part is asked for records, hundreds of times a second also while
            there are none; as for a heartbeat.
        epoch_records: Records that may be under way until their epoch is complete.
        epoch_bytes: The same in bytes of values.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        select: Callable[[str], bool],
        *,
        name: str,
        shards: int = 64,
        start: Literal["earliest", "latest"] = "earliest",
        discover_seconds: float = 5.0,
        max_records: int = 10_000,
        silent_after: Callable[[str], float] | None = None,
        names: Sequence[str] | None = None,
        on_poll: Callable[[], object] | None = None,
        epoch_records: int = EPOCH_RECORDS,
        epoch_bytes: int = EPOCH_BYTES,
    ) -> None:
        self.shards = shards
        self._client = dict(client)
        self._select = select
        self._name = name
        self._start = start
        self._discover_seconds = discover_seconds
        self._max_records = max_records
        self._silent_after = silent_after
        self._names = names
        self._on_poll = on_poll
        self._epoch_records = epoch_records
        self._epoch_bytes = epoch_bytes
        self._lock = threading.Lock()
        self._parts = 0
        self._hub: Hub | None = None
        self._discovery: Discovery | None = None

    def list_parts(self) -> list[str]:
        """The shards, by number; asked for once the processes of a cluster have met."""
        stop.running()
        return [f"{index:04d}" for index in range(self.shards)]

    def build_part(self, step_id: str, for_part: str, resume_state: Positions | None) -> StreamPart:
        """One shard; the first that is built in a process starts the consumer."""
        del step_id
        with self._lock:
            first = self._hub is None or self._discovery is None
            if self._hub is None or self._discovery is None:
                self._hub = Hub(
                    self._client,
                    self._name,
                    max_records=self._max_records,
                    epoch_records=self._epoch_records,
                    epoch_bytes=self._epoch_bytes,
                )
                self._discovery = Discovery(
                    self._hub,
                    TopicCatalog(self._client, self._select, self._names),
                    shards=self.shards,
                    start=self._start,
                    seconds=self._discover_seconds,
                    silent_after=self._silent_after,
                )
                _open.add(self)
            shard = self._hub.register(int(for_part), resume_state)
            self._discovery.hurry()
            self._parts += 1
            # All parts of a process go through the same epochs: one of them measures.
            epochs = Epochs(self._name) if first else None
            return StreamPart(self._hub, shard, resume_state, self._release, self._on_poll, epochs)

    def _release(self) -> None:
        with self._lock:
            self._parts -= 1
            if self._parts == 0:
                self._close()

    def _close(self) -> None:
        hub, discovery = self._hub, self._discovery
        self._hub = self._discovery = None
        self._parts = 0
        _open.discard(self)
        if discovery is not None:
            discovery.close()
        if hub is not None:
            hub.close()

    def shut(self) -> None:
        """Close consumer and thread at once, whatever parts there are."""
        with self._lock:
            self._close()


def shut_all() -> None:
    """Close what flows that failed left open in this process."""
    for source in list(_open):
        source.shut()


class StreamPart(StatefulSourcePartition[StreamBatch | Lifecycle, Positions | None]):
    """One shard: emits what the hub filed under it."""

    def __init__(
        self,
        hub: Hub,
        shard: Shard,
        resume: Positions | None,
        release: Callable[[], None],
        on_poll: Callable[[], object] | None = None,
        epochs: Epochs | None = None,
    ) -> None:
        self._hub = hub
        self._on_poll = on_poll
        self._epochs = epochs
        self._shard = shard
        self._positions: Positions = {
            name: (topic_id, dict(offsets)) for name, (topic_id, offsets) in (resume or {}).items()
        }
        # Before the first look: a flow that dies then starts as if for the first time.
        self._started = resume is not None
        self._release = release
        self._emitted = self._emitted_bytes = 0
        self._closed_epoch = False
        self._awake: datetime | None = None

    def next_batch(self) -> list[StreamBatch | Lifecycle]:
        """What came; never waits.

        Raises:
            StopIteration: This process was asked to stop.
            KafkaError: The client cannot go on.
        """
        if stop.requested():
            raise StopIteration
        if self._on_poll is not None:
            self._on_poll()
        if self._closed_epoch:
            # Called again, so all steps have done with the epoch before.
            self._closed_epoch = False
            if self._epochs is not None:
                self._epochs.resume()
            self._shard.done += self._emitted
            self._shard.done_bytes += self._emitted_bytes
            self._emitted = self._emitted_bytes = 0
        try:
            if not self._shard.queue:
                self._hub.poll()
            batch = self._take()
        except Exception:
            # Bytewax may hide it behind an error of its own.
            _log.exception("source.failed", source=self._hub.name, shard=self._shard.index)
            raise
        self._awake = None if batch else self._hub.next_wake()
        return batch

    def next_awake(self) -> datetime | None:
        """At once after records, else a few milliseconds later."""
        return self._awake

    def _take(self) -> list[StreamBatch | Lifecycle]:
        shard = self._shard
        queue = shard.queue
        batch: list[StreamBatch | Lifecycle] = []
        while queue:
            item = queue.popleft()
            if isinstance(item, Fetched):
                topic = item.topic
                records = len(item.messages)
                shard.taken += records
                if not topic.alive:
                    shard.done += records
                    shard.done_bytes += item.size
                    continue
                self._emitted += records
                self._emitted_bytes += item.size
                self._positions[topic.name][1][item.partition] = item.following
                batch.append(
                    StreamBatch(topic.name, item.partition, topic.partitions, item.messages)
                )
            elif isinstance(item, Change):
                self._note(item)
                if item.kind is not None:
                    batch.append(Lifecycle(item.topic.name, item.kind, item.topic.partitions))
            else:
                self._started = True
        return batch

    def _note(self, change: Change) -> None:
        name = change.topic.name
        if change.kind == "deleted":
            self._positions.pop(name, None)
        elif change.positions:
            before = self._positions.get(name) if change.kind == "partitions" else None
            offsets = {} if before is None else before[1]
            self._positions[name] = (change.topic.topic_id, {**offsets, **change.positions})

    def snapshot(self) -> Positions | None:
        """Topic ids and next offsets of what was emitted; None before the first look."""
        self._closed_epoch = True
        if self._epochs is not None:
            self._epochs.end()
        if not self._started:
            return None
        return {
            name: (topic_id, dict(offsets)) for name, (topic_id, offsets) in self._positions.items()
        }

    def close(self) -> None:
        """The last part closes the consumer."""
        self._release()
