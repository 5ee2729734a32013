"""Offset ranges: how an event names records that stay in Kafka."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import msgspec

from driftloop.errors import MessageError

RANGE_PATTERN = r"^[A-Za-z0-9._-]+:[0-9]+:[0-9]+:[0-9]+$"

RangeText = Annotated[
    str,
    msgspec.Meta(
        pattern=RANGE_PATTERN,
        description="Offset range 'topic:partition:first:last', both ends inclusive.",
        examples=["streams.orders:0:1200:1499"],
    ),
]


class OffsetRange(NamedTuple):
    """Records of one partition, from `first` to `last`, both inclusive.

    >>> OffsetRange.parse("streams.a:0:5:9").size
    5
    """

    topic: str
    partition: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """Number of offsets in the range; records may be fewer (compaction, transactions)."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.first}:{self.last}"

    @classmethod
    def parse(cls, text: str) -> OffsetRange:
        """Read ``topic:partition:first:last``.

        Raises:
            MessageError: `text` has another form, or `last` is before `first`.
        """
        if not re.fullmatch(RANGE_PATTERN, text):
            raise MessageError(f"an offset range is 'topic:partition:first:last', got {text!r}")
        topic, partition, first, last = text.rsplit(":", 3)
        found = cls(topic, int(partition), int(first), int(last))
        if found.last < found.first:
            raise MessageError(f"an offset range ends after it begins, got {text!r}")
        return found
