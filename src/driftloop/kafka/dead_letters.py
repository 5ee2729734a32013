"""Dead letters as Kafka messages: the bytes unchanged, reason and coordinates in headers.

Headers are named as Kafka Streams names them (KIP-1034), so that its tools read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from driftloop.records import DeadLetter

PREFIX = "__streams.errors."
REPLAY_OF = "driftloop.replay-of"
"""Header of a marker: the place of the dead letter that was sent to its topic again."""

REPLAYED_FROM = "driftloop.replayed-from"
"""Header of a record that was sent to its topic again: ``topic:partition:offset`` of the letter."""


def is_marker(headers: Any) -> bool:
    """Whether headers of a message say that a dead letter was sent again, and that it is none."""
    pairs: Iterable[tuple[str, Any]] = headers or ()
    return any(name == REPLAY_OF for name, _ in pairs)


def replayed_place(headers: Any) -> tuple[int, int] | None:
    """Partition and offset of the dead letter that a marker names; None where it names none.

    >>> replayed_place([("driftloop.replay-of", b"0:17")])
    (0, 17)
    """
    found = dict(headers or ()).get(REPLAY_OF) or b""
    text = found.decode(errors="replace") if isinstance(found, bytes) else str(found)
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        return None
    return int(partition), int(offset)


class DeadLetterMessage(NamedTuple):
    """A dead letter as a message for the dead-letter topic; its key is the source topic."""

    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


def to_message(letter: DeadLetter) -> DeadLetterMessage:
    """Headers ``exception`` (the reason's code), ``message``, ``topic``, ``partition``, ``offset``.

    The record's own key travels in ``driftloop.key``, its Kafka timestamp (ms) in
    ``driftloop.timestamp``.
    """
    headers: list[tuple[str, bytes]] = [
        (PREFIX + "exception", letter.reason.encode()),
        (PREFIX + "message", letter.detail.encode(errors="replace")),
        (PREFIX + "topic", letter.topic.encode()),
        (PREFIX + "partition", str(letter.partition).encode()),
        (PREFIX + "offset", str(letter.offset).encode()),
        ("driftloop.timestamp", str(letter.timestamp_ms).encode()),
    ]
    if letter.key is not None:
        headers.append(("driftloop.key", letter.key))
    return DeadLetterMessage(letter.topic.encode(), letter.value, headers)
