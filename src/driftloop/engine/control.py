"""The source of events: models, commands, requests and outcomes, in one part of its own.

Delivery as `driftloop.engine.source`: every partition from its beginning at the first start, then
from where the last complete epoch ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import Message

from driftloop.engine._shard import Positions
from driftloop.engine.items import ControlItem, StreamBatch
from driftloop.engine.source import StreamPart, StreamSource
from driftloop.errors import MessageError
from driftloop.messages import Event, decode
from driftloop.messages.envelope import header
from driftloop.records import DeadLetter

Admit = Callable[[Event, Message], tuple[str, str] | None]
"""Why an event is not let in: reason and detail of its dead letter; None lets it in."""


class ControlSource(FixedPartitionedSource[ControlItem | DeadLetter, Positions | None]):
    """Reads the events of topics that are known by name; a missing topic is waited for.

    A topic that was made anew is read from its beginning; it makes no topic itself.

    Args:
        client: Client properties from `driftloop.settings.KafkaSettings.client`.
        topics: Their names.
        name: Name of the source, other than that of any `StreamSource` of the flow.
        discover_seconds: Time between two looks for topics and partitions.
        admit: Why an event is not let in, as a dead letter's reason and detail; None lets it in.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topics: Sequence[str],
        *,
        name: str,
        discover_seconds: float = 5.0,
        admit: Admit | None = None,
    ) -> None:
        self._admit = admit
        wanted = list(dict.fromkeys(topics))
        self._source = StreamSource(
            client,
            wanted.__contains__,
            name=name,
            shards=1,
            discover_seconds=discover_seconds,
            names=wanted,
        )

    def list_parts(self) -> list[str]:
        """One part: events are few."""
        return self._source.list_parts()

    def build_part(
        self, step_id: str, for_part: str, resume_state: Positions | None
    ) -> ControlPart:
        """The part."""
        return ControlPart(self._source.build_part(step_id, for_part, resume_state), self._admit)


class ControlPart(StatefulSourcePartition[ControlItem | DeadLetter, Positions | None]):
    """Turns what a `StreamPart` reads into events."""

    def __init__(self, part: StreamPart, admit: Admit | None = None) -> None:
        self._part = part
        self._admit = admit

    def next_batch(self) -> list[ControlItem | DeadLetter]:
        """Events that came; never waits. Raises as `StreamPart.next_batch`."""
        return [
            read_event(batch.topic, batch.partition, message, self._admit)
            for batch in self._part.next_batch()
            if isinstance(batch, StreamBatch)
            for message in batch.messages
        ]

    def next_awake(self) -> datetime | None:
        """As the part's."""
        return self._part.next_awake()

    def snapshot(self) -> Positions | None:
        """As the part's."""
        return self._part.snapshot()

    def close(self) -> None:
        """As the part's."""
        self._part.close()


def read_event(
    topic: str, partition: int, message: Message, admit: Admit | None = None
) -> ControlItem | DeadLetter:
    """A message as an event, or as a dead letter; never raises.

    Its reason is ``bad-event``, or that of `admit`.
    """
    key, value, offset = message.key(), message.value(), int(message.offset() or 0)
    try:
        stream, event = _parse(key, value, message.headers())
    except (MessageError, UnicodeDecodeError) as error:
        why = ("bad-event", str(error))
    else:
        refused = admit(event, message) if admit is not None and event is not None else None
        if refused is None:
            headers: Any = message.headers()
            trace = header(headers, "traceparent")
            return ControlItem(stream, event, topic, partition, offset, trace)
        why = refused
    return DeadLetter(topic, partition, offset, message.timestamp()[1], key, value, *why)


def _parse(key: bytes | None, value: bytes | None, headers: Any) -> tuple[str, Event | None]:
    if value is None:
        if not key:
            raise MessageError("a tombstone has the stream as its key, got none")
        return key.decode(), None
    event = decode(headers, value)
    stream = key.decode() if key else event.stream
    if stream != event.stream:
        raise MessageError(f"the key is the event's stream {event.stream!r}, got {stream!r}")
    return stream, event
