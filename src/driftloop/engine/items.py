"""What flows between the engine and the steps."""

from __future__ import annotations

from typing import Literal, NamedTuple

from confluent_kafka import Message

from driftloop.messages import Event

Kind = Literal["appeared", "deleted", "recreated", "partitions", "silent", "active", "denied"]


class StreamBatch(NamedTuple):
    """Records of one partition, in the order of their offsets.

    It holds the client's own messages, which cannot be pickled: the step behind the source turns
    them into columns before anything is exchanged between processes.

    Attributes:
        topic: The topic.
        partition: The partition.
        partitions: How many partitions the topic has.
        messages: At least one message, none of them an error.
    """

    topic: str
    partition: int
    partitions: int
    messages: list[Message]


class Lifecycle(NamedTuple):
    """What became of a topic; comes before the records that follow from it.

    Attributes:
        topic: The topic.
        kind: ``appeared``: it is new to this source. ``deleted``: it is gone. ``recreated``: it
            was deleted and made anew, and is read from its beginning. ``partitions``: it has more
            of them. ``silent``: no record came for the given time, and all were read.
            ``active``: the first record after that, or after ``denied``: the right to read it is
            missing.
        partitions: How many partitions it has; 0 when deleted.
    """

    topic: str
    kind: Kind
    partitions: int


class ControlItem(NamedTuple):
    """An event of a control topic, with its coordinates.

    Attributes:
        key: The stream.
        event: The event; None for a tombstone.
        topic: Where it came from.
        partition: Its partition.
        offset: Its offset.
        trace: The event's ``traceparent``; empty where it has none.
    """

    key: str
    event: Event | None
    topic: str
    partition: int
    offset: int
    trace: str = ""


class Outgoing(NamedTuple):
    """A message for Kafka; a value of None is a tombstone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
