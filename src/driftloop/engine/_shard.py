"""What the hub and a source part share: topics, what became of them, and a queue a shard."""

from __future__ import annotations

import math
import time
import zlib
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Message

from driftloop.engine.items import Kind

# What a part remembers: topic -> (topic id, partition -> next offset). OFFSET_BEGINNING stands for
# a partition of which nothing was emitted yet.
Positions = dict[str, tuple[str, dict[int, int]]]


def shard_of(topic: str, shards: int) -> int:
    """The shard that a topic belongs to, the same in every process and at all times."""
    return zlib.crc32(topic.encode()) % shards


class Topic:
    """A topic that is read.

    Attributes:
        name: Its name.
        shard: The shard it belongs to.
        topic_id: The broker's id of this incarnation; empty when it could not be learnt.
        partitions: How many partitions it has.
        alive: False once it is deleted or made anew: what is queued of it is dropped.
        following: Next offset expected from the client, by partition.
        at_end: Partitions of which everything was read.
        last: When its last record came, or reading began (monotonic seconds).
        silent: Whether it was reported as silent.
        silent_after: Seconds without a record after which it is.
        retired: Ids of earlier incarnations: a broker that lags behind may still tell them.
        absent: In how many looks in a row it was not there.
        denied: Whether the right to read it is missing.
    """

    __slots__ = (
        "absent",
        "alive",
        "at_end",
        "denied",
        "following",
        "last",
        "name",
        "partitions",
        "retired",
        "shard",
        "silent",
        "silent_after",
        "topic_id",
    )

    def __init__(
        self,
        name: str,
        shard: int,
        topic_id: str,
        partitions: int,
        *,
        silent_after: float = math.inf,
        retired: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.shard = shard
        self.topic_id = topic_id
        self.partitions = partitions
        self.alive = True
        self.following: dict[int, int] = {}
        self.at_end: set[int] = set()
        self.last = time.monotonic()
        self.silent = False
        self.silent_after = silent_after
        self.retired = retired
        self.absent = 0
        self.denied = False


class Change(NamedTuple):
    """A topic's entry changed; `kind` None says nothing to the steps."""

    topic: Topic
    kind: Kind | None
    positions: Mapping[int, int] = {}


class Fetched(NamedTuple):
    """Records of one partition."""

    topic: Topic
    partition: int
    following: int
    size: int
    messages: list[Message]


class Ready(NamedTuple):
    """The first look is done: from here on the part has positions of its own."""


class Shard:
    """A queue from the hub to one part, with counters that each have one writer.

    Attributes:
        index: Its number.
        resume: Topics of the snapshot that were not found yet; None at the very first start.
        ready: Whether its first look is done.
        queue: What the part is to emit, in this order.
        put: Records that the hub filed.
        put_bytes: Bytes that the hub filed.
        taken: Records that the part took.
        done: Records whose epoch is complete, or that were dropped.
        done_bytes: The same in bytes.
    """

    __slots__ = (
        "done",
        "done_bytes",
        "index",
        "put",
        "put_bytes",
        "queue",
        "ready",
        "resume",
        "resume_absent",
        "taken",
    )

    def __init__(self, index: int, resume: Positions | None) -> None:
        self.index = index
        self.resume = None if resume is None else dict(resume)
        self.resume_absent = 0
        self.ready = False
        self.queue: deque[Change | Fetched | Ready] = deque()
        self.put = self.put_bytes = 0
        self.taken = self.done = self.done_bytes = 0


def beginning(partitions: int, first: int = 0) -> dict[int, int]:
    """Positions at the beginning of the partitions from `first` on."""
    return dict.fromkeys(range(first, partitions), OFFSET_BEGINNING)
