"""What consumed messages hold, read all at once: a loop that calls the client costs twice that."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from confluent_kafka import Message

from driftloop.errors import MessageError
from driftloop.messages import Event, decode

_milliseconds = itemgetter(1)


class Contents(NamedTuple):
    """Contents of n messages of one partition.

    Attributes:
        values: Value of each; None is a tombstone.
        offsets: Offset of each, int64 (n,).
        timestamps: Kafka timestamp of each in ms, int64 (n,); -1 where there is none.
    """

    values: list[bytes | None]
    offsets: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]


def event_of(message: Message) -> Event | None:
    """The event that a message holds; None for a tombstone, or where it cannot be read."""
    try:
        return decode(message.headers(), message.value())  # type: ignore[arg-type]
    except MessageError:
        return None


def contents(messages: Sequence[Message]) -> Contents:
    """Read consumed messages, none of them an error."""
    n = len(messages)
    return Contents(
        list(map(Message.value, messages)),
        np.fromiter(map(Message.offset, messages), np.int64, n),
        np.fromiter(map(_milliseconds, map(Message.timestamp, messages)), np.int64, n),
    )
