"""What a stream is given when it is decided again: records, control events, recorded evidence."""

from __future__ import annotations

from typing import NamedTuple

from driftloop.messages import (
    CandidateTrained,
    Command,
    Evidence,
    ModelPublished,
    TrainingFinished,
)
from driftloop.records import Columns
from driftloop.records.columns import Integers

ControlEvent = ModelPublished | CandidateTrained | TrainingFinished | Command


class Seen(NamedTuple):
    """A control event of the stream.

    Attributes:
        event: The event.
        at: Wall-clock time of its message, ms.
        before: Offset of the record before which it was seen, or None: by time and evidence.
        until: Event time that the stream had reached by then, ms, or None.
    """

    event: ControlEvent
    at: int
    before: int | None = None
    until: int | None = None


class Recorded(NamedTuple):
    """Evidence as it was written, and the wall-clock time of its message, ms."""

    event: Evidence
    at: int


class Rows(NamedTuple):
    """Records of one partition, in offset order.

    Attributes:
        columns: The records.
        stamps: Kafka timestamp of each, ms, (n,).
        partitions: How many partitions feed the stream.
        dead: Messages among them that could not be read.
    """

    columns: Columns
    stamps: Integers
    partitions: int = 1
    dead: int = 0
