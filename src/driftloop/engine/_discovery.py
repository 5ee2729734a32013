"""The metadata thread: finds what became of the topics, and lets the hub read accordingly."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal

import structlog
from confluent_kafka import OFFSET_BEGINNING, KafkaException

from driftloop.engine._gauges import measure
from driftloop.engine._hub import Hub
from driftloop.engine._quiet import Quiet
from driftloop.engine._shard import Change, Ready, Shard, Topic, beginning, shard_of
from driftloop.engine._topics import Sight, TopicCatalog

Start = Literal["earliest", "latest"]
Place = tuple[str, int]

# The parts of a process are built one after another: one look serves them all.
_SETTLE_SECONDS = 0.1
_CONFIRM_SECONDS = 1.0
_LOOKS_ABSENT = 2
_REPEAT_SECONDS = 30.0
# A reading counts for so many looks, and at least so many seconds.
_FRESH_LOOKS, _FRESH_SECONDS = 4, 30.0

_log = structlog.get_logger(__name__)


class Discovery:
    """Looks at the cluster's topics again and again, in a thread of its own.

    Args:
        hub: Whose assignment it keeps.
        catalog: Where it looks.
        shards: Number of shards of the source, of all processes.
        start: Where topics begin that are there at the very first start.
        seconds: Time between two looks.
        silent_after: Seconds without a record after which a topic counts as silent.
    """

    def __init__(
        self,
        hub: Hub,
        catalog: TopicCatalog,
        *,
        shards: int,
        start: Start,
        seconds: float,
        silent_after: Callable[[str], float] | None,
    ) -> None:
        self._hub = hub
        self._catalog = catalog
        self._shards = shards
        self._start = start
        self._seconds = seconds
        self._silent_after = silent_after or (lambda _topic: math.inf)
        self._index: dict[str, int] = {}
        self._renewed: set[Place] = set()
        self._closing = False
        self._settled = 0.0
        self._quiet = Quiet(_REPEAT_SECONDS)
        self._thread = threading.Thread(target=self._run, name=f"discovery-{hub.name}", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Look soon: a shard was added."""
        self._settled = time.monotonic() + _SETTLE_SECONDS
        self._hub.alarm.set()

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        self._hub.alarm.set()
        self._thread.join(15)

    def _run(self) -> None:
        pause = self._seconds
        while not self._closing:
            self._hub.alarm.wait(pause)
            self._hub.alarm.clear()
            while not self._closing and (left := self._settled - time.monotonic()) > 0:
                self._hub.alarm.wait(left)
                self._hub.alarm.clear()
            if self._closing or not self._hub.shards:
                continue
            try:
                pause = self.look()
            except KafkaException as error:
                pause = _CONFIRM_SECONDS
                cause = error.args[0]
                if self._quiet(cause.name()):
                    _log.warning(
                        "source.topics_unknown",
                        source=self._hub.name,
                        error=f"{cause.name()}: {cause.str()}",
                    )
            except Exception as error:  # noqa: BLE001  # told to the flow, which ends
                # The flow must not go on without a view of the topics.
                _log.exception("source.discovery_failed", source=self._hub.name)
                self._hub.failure = error
                return
            # An alarm that rings without end must not become a busy loop.
            self._settled = max(self._settled, time.monotonic() + _CONFIRM_SECONDS)

    def look(self) -> float:
        """Look once; returns the seconds until the next look."""
        hub = self._hub
        with hub.lock:
            shards = dict(hub.shards)
            known = {name: "" for shard in shards.values() for name in shard.resume or ()}
            known |= {name: topic.topic_id for name, topic in hub.topics.items()}
            restart, hub.restart = hub.restart, set()
            suspects, hub.suspects = hub.suspects, set()
        sights = {
            name: sight
            for name, sight in self._catalog.look(
                known, {*suspects, *(n for n, _ in restart)}
            ).items()
            if self._shard(name) in shards
        }
        fresh = {index for index, shard in shards.items() if not shard.ready}
        ends = self._catalog.ends({*self._latest(sights, shards, fresh), *restart})
        earliest = self._catalog.beginnings(restart)
        with hub.lock:
            places: list[tuple[str, int, int]] = []
            self._renewed = set()
            for name, sight in sights.items():
                places += self._see(name, sight, shards[self._shard(name)], ends)
            unsure = self._miss(sights, shards)
            for name in self._catalog.denied:
                if self._shard(name) in shards:
                    hub.deny(name, "Describe")
            places += self._again(restart - self._renewed, earliest, ends)
            for index in fresh:
                shards[index].ready = True
                shards[index].queue.append(Ready())
            self._silence(shards)
        # Only this thread changes what is read, so nothing moves between the two locks.
        places = self._resolved(places)
        with hub.lock:
            hub.assign(places)
        measure(hub, max(_FRESH_LOOKS * self._seconds, _FRESH_SECONDS))
        return _CONFIRM_SECONDS if unsure else self._seconds

    def _resolved(self, places: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
        """Beginnings as offsets, by one request; the client would ask for each by itself."""
        unknown = {(name, p) for name, p, offset in places if offset == OFFSET_BEGINNING}
        found: dict[Place, int] = {}
        with contextlib.suppress(KafkaException):  # then the client asks
            found = self._catalog.beginnings(unknown)
        return [
            (name, p, found.get((name, p), offset) if offset == OFFSET_BEGINNING else offset)
            for name, p, offset in places
        ]

    def _shard(self, name: str) -> int:
        index = self._index.get(name)
        if index is None:
            index = self._index[name] = shard_of(name, self._shards)
        return index

    def _latest(
        self, sights: Mapping[str, Sight], shards: Mapping[int, Shard], fresh: set[int]
    ) -> list[Place]:
        if self._start != "latest":
            return []
        return [
            (name, partition)
            for name, sight in sights.items()
            if self._shard(name) in fresh and shards[self._shard(name)].resume is None
            for partition in range(sight.partitions)
        ]

    def _see(
        self, name: str, sight: Sight, shard: Shard, ends: Mapping[Place, int]
    ) -> list[tuple[str, int, int]]:
        """Take note of a topic that is there; returns what is to be read in addition."""
        topic = self._hub.topics.get(name)
        if topic is None:
            return self._enter(name, sight, shard, ends)
        topic.absent = 0
        if sight.topic_id and topic.topic_id != sight.topic_id:
            if not topic.topic_id:
                topic.topic_id = sight.topic_id
            elif sight.topic_id not in topic.retired:
                self._leave(topic)
                self._renewed |= {(name, partition) for partition in range(sight.partitions)}
                _log.info("source.recreated", topic=name, partitions=sight.partitions)
                return self._begin(
                    name,
                    sight,
                    shard,
                    beginning(sight.partitions),
                    "recreated",
                    topic.retired | {topic.topic_id},
                )
            else:
                return []
        if sight.partitions > topic.partitions:
            added = beginning(sight.partitions, topic.partitions)
            topic.partitions = sight.partitions
            shard.queue.append(Change(topic, "partitions", added))
            return [(name, partition, offset) for partition, offset in added.items()]
        return []

    def _enter(
        self, name: str, sight: Sight, shard: Shard, ends: Mapping[Place, int]
    ) -> list[tuple[str, int, int]]:
        positions = beginning(sight.partitions)
        if shard.resume is None:
            for partition in positions:
                positions[partition] = ends.get((name, partition), OFFSET_BEGINNING)
            return self._begin(name, sight, shard, positions, "appeared")
        if name not in shard.resume:
            return self._begin(name, sight, shard, positions, "appeared")
        topic_id, resumed = shard.resume.pop(name)
        if topic_id and sight.topic_id and topic_id != sight.topic_id:
            _log.info("source.recreated", topic=name, partitions=sight.partitions)
            return self._begin(name, sight, shard, positions, "recreated", frozenset({topic_id}))
        positions.update({p: offset for p, offset in resumed.items() if p in positions})
        kind: Literal["partitions"] | None = (
            "partitions" if sight.partitions > len(resumed) else None
        )
        return self._begin(name, sight, shard, positions, kind)

    def _begin(
        self,
        name: str,
        sight: Sight,
        shard: Shard,
        positions: dict[int, int],
        kind: Literal["appeared", "recreated", "partitions"] | None,
        retired: frozenset[str] = frozenset(),
    ) -> list[tuple[str, int, int]]:
        topic = Topic(
            name,
            shard.index,
            sight.topic_id,
            sight.partitions,
            silent_after=self._silent_after(name),
            retired=retired,
        )
        topic.following = {p: offset for p, offset in positions.items() if offset >= 0}
        self._hub.topics[name] = topic
        shard.queue.append(Change(topic, kind, positions))
        return [(name, partition, offset) for partition, offset in positions.items()]

    def _leave(self, topic: Topic) -> None:
        topic.alive = False
        del self._hub.topics[topic.name]
        self._hub.unassign((topic.name, partition) for partition in range(topic.partitions))

    def _miss(self, sights: Mapping[str, Sight], shards: Mapping[int, Shard]) -> bool:
        """Take note of topics that are not there; returns whether one of them is to be confirmed.

        A topic counts as deleted when two looks in a row do not see it: metadata of a broker that
        has just started may be short of topics.
        """
        unsure = False
        unseen = self._hub.topics.keys() - sights.keys() - self._catalog.denied
        for topic in [self._hub.topics[name] for name in sorted(unseen)]:
            topic.absent += 1
            if topic.absent < _LOOKS_ABSENT:
                unsure = True
                continue
            self._leave(topic)
            topic.partitions = 0
            shards[topic.shard].queue.append(Change(topic, "deleted"))
            _log.info("source.deleted", topic=topic.name)
        for shard in shards.values():
            if not shard.resume:
                continue
            hidden = self._catalog.denied
            absent = {name: at for name, at in shard.resume.items() if name not in hidden}
            if not absent:
                continue
            shard.resume_absent += 1
            if shard.resume_absent < _LOOKS_ABSENT:
                unsure = True
                continue
            for name, (topic_id, _) in absent.items():
                gone = Topic(name, shard.index, topic_id, 0)
                shard.queue.append(Change(gone, "deleted"))
                _log.info("source.deleted", topic=name)
                del shard.resume[name]
        return unsure

    def _again(
        self, restart: set[Place], earliest: Mapping[Place, int], ends: Mapping[Place, int]
    ) -> list[tuple[str, int, int]]:
        """Partitions whose next offset is gone: go on at the first one that is left."""
        places = []
        for name, partition in sorted(restart):
            topic = self._hub.topics.get(name)
            first, end = earliest.get((name, partition)), ends.get((name, partition))
            if topic is None or partition >= topic.partitions or first is None or end is None:
                continue
            following = topic.following.get(partition, OFFSET_BEGINNING)
            self._hub.restart.discard((name, partition))
            self._hub.unassign([(name, partition)])
            if not first <= following <= end:
                _log.warning(
                    "source.records_lost",
                    place=f"{name}[{partition}]@{following}",
                    next_offset=first,
                    reason="retention deleted them before they were read, or the log was cut",
                )
                topic.following[partition] = following = first
            topic.at_end.discard(partition)
            places.append((name, partition, following))
        return places

    def _silence(self, shards: Mapping[int, Shard]) -> None:
        now = time.monotonic()
        for topic in self._hub.topics.values():
            if (
                not topic.silent
                and not topic.denied
                and len(topic.at_end) >= topic.partitions
                and now - topic.last > topic.silent_after
            ):
                topic.silent = True
                shards[topic.shard].queue.append(Change(topic, "silent"))
