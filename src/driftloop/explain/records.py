"""The records behind a decision, read from the stream's own topic again, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from confluent_kafka.admin import AdminClient

from driftloop.explain.given import Rows
from driftloop.kafka import codes
from driftloop.kafka.contents import contents
from driftloop.kafka.ranges import Place, offsets_of, read_ranges
from driftloop.kafka.topics import partition_counts
from driftloop.messages import OffsetRange
from driftloop.records import Columns, RecordDecoder
from driftloop.settings import Profile

PIECE = 20_000
"""Offsets read at a time."""

TIMEOUT = 30.0
"""Seconds without a record after which reading ends."""


class Progress(Protocol):
    """Is told how far reading is."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """`done` of `total` messages of `what` are read."""


def silent(what: str, done: int, total: int) -> None:
    """Show no progress."""
    del what, done, total


@dataclass(frozen=True, slots=True)
class Topic:
    """What is there of a stream's topic.

    Attributes:
        name: The topic.
        partitions: How many feed the stream; 0: the topic is gone.
        low: First offset that is still there, a partition of the stream.
        high: Offset behind the last one.
    """

    name: str
    partitions: int
    low: Mapping[int, int]
    high: Mapping[int, int]

    @property
    def whole(self) -> bool:
        """Whether nothing of it has expired."""
        return not any(self.low.values())

    def expired(self, one: OffsetRange) -> bool:
        """Whether a range, or a part of it, is no longer there."""
        return one.first < self.low.get(one.partition, one.last + 1)

    def there(self, one: OffsetRange) -> bool:
        """Whether a range can be read wholly."""
        return not self.expired(one) and one.last < self.high.get(one.partition, 0)


def topic_state(client: Mapping[str, Any], stream: str, profile: Profile) -> Topic:
    """Look at a stream's topic.

    Raises:
        KafkaUnavailableError: No broker answers.
    """
    name, _, own = stream.partition(":")
    count = partition_counts(client, [name], timeout=TIMEOUT).get(name, 0)
    wanted = range(count)
    if profile.partitions == "each":
        wanted = range(int(own), int(own) + 1) if own.isdigit() and int(own) < count else range(0)
    admin = AdminClient({"log_level": 2, **client})
    places: set[Place] = {(name, partition) for partition in wanted}
    low = offsets_of(admin, places, codes.EARLIEST, TIMEOUT)
    high = offsets_of(admin, places, codes.LATEST, TIMEOUT)
    feeding = len(places) if profile.partitions != "each" else min(1, len(places))
    return Topic(
        name,
        feeding,
        {partition: offset for (_, partition), offset in low.items()},
        {partition: offset for (_, partition), offset in high.items()},
    )


def read_rows(
    client: Mapping[str, Any],
    topic: Topic,
    profile: Profile,
    first: Mapping[int, int],
    progress: Progress = silent,
) -> Iterator[Rows]:
    """Records from these offsets to the topic's end, a piece of one partition at a time.

    Raises:
        KafkaError: The topic cannot be read.
    """
    ranges = [
        OffsetRange(topic.name, partition, start, min(start + PIECE, topic.high[partition]) - 1)
        for partition in sorted(topic.high)
        for start in range(first.get(partition, 0), topic.high[partition], PIECE)
    ]
    total, done = sum(one.size for one in ranges), 0
    decoder = RecordDecoder(profile)
    for piece, messages in read_ranges(client, ranges, timeout=TIMEOUT):
        found = contents(messages)
        columns, dead = decoder.decode(piece.topic, piece.partition, *found)
        done += piece.size
        progress("records", done, total)
        stamps = found.timestamps
        if dead:
            kept = ~np.isin(found.offsets, [letter.offset for letter in dead])
            stamps = stamps[kept]
        if len(columns) or dead:
            yield Rows(columns, stamps, topic.partitions, len(dead))


def read_raw(
    client: Mapping[str, Any], ranges: Sequence[OffsetRange], profile: Profile, most: int
) -> dict[OffsetRange, Columns]:
    """Records of each range, the first `most` offsets of it.

    Raises:
        KafkaError: They cannot be read.
    """
    decoder = RecordDecoder(profile)
    cut = {one._replace(last=min(one.last, one.first + most - 1)): one for one in ranges}
    parts: dict[OffsetRange, Columns] = {}
    for piece, messages in read_ranges(client, list(cut), timeout=TIMEOUT):
        rows, _ = decoder.decode(piece.topic, piece.partition, *contents(messages))
        parts[cut[piece]] = rows
    return parts
