"""The current version of every stream, read once when the scorer starts.

Models and records come by two inputs, and no order holds between them. Without this look ahead a
scorer that starts on an old cluster would let records pass unpredicted until it has read the
version events.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as ClientError

from driftloop.errors import KafkaError, KafkaUnavailableError, MessageError
from driftloop.kafka import codes
from driftloop.kafka.rights import denied, is_denial
from driftloop.logs import client_logger
from driftloop.messages import ModelPublished, decode

_log = structlog.get_logger(__name__)


def current_versions(
    client: dict[str, Any], topic: str, *, timeout: float = 60.0
) -> dict[str, tuple[ModelPublished, int]]:
    """Read the compacted topic of models to its end.

    Args:
        client: Client properties.
        topic: The topic; an absent one has no versions.
        timeout: Seconds.

    Returns:
        Current version of each stream, and the offset of its event.

    Raises:
        KafkaUnavailableError: The end was not reached in time.
        KafkaError: The topic may not be read.
    """
    consumer = Consumer(
        {
            "group.id": "driftloop-scorer-start",
            **client,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        },
        logger=client_logger(),
    )
    try:
        return _read(consumer, topic, time.monotonic() + timeout)
    except KafkaException as error:
        raise KafkaUnavailableError(f"topic {topic} cannot be read: {error}") from error
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str, deadline: float) -> dict[str, tuple[ModelPublished, int]]:
    metadata = consumer.list_topics(topic, timeout=max(1.0, deadline - time.monotonic()))
    described = metadata.topics.get(topic)
    if described is not None and described.error is not None and is_denial(described.error):
        raise KafkaError(denied(f"topic {topic}", "Read"))
    if described is None or not described.partitions:
        return {}
    partitions = list(described.partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    found: dict[str, tuple[ModelPublished, int]] = {}
    at_end: set[int] = set()
    while len(at_end) < len(partitions):
        if time.monotonic() > deadline:
            raise KafkaUnavailableError(f"topic {topic} was not read to its end in time")
        for message in consumer.consume(1000, 0.2):
            error = message.error()
            if error is not None:
                # The end of a partition is told as an error; others are tried again by the client.
                if error.code() == codes.PARTITION_EOF:
                    at_end.add(message.partition() or 0)
                elif error.code() == ClientError.TOPIC_AUTHORIZATION_FAILED:
                    raise KafkaError(denied(f"topic {topic}", "Read"))
                continue
            _take(message, found)
    return found


def _take(message: Message, found: dict[str, tuple[ModelPublished, int]]) -> None:
    stream = str(message.key() or b"", "utf-8", "replace")
    value = message.value()
    if value is None:
        found.pop(stream, None)
        return
    offset = message.offset() or 0
    try:
        event = decode(message.headers(), value)  # type: ignore[arg-type]  # a consumed message's is a list
    except MessageError as error:
        place = f"{message.topic()}[{message.partition()}]@{offset}"
        _log.warning("scorer.unreadable_version", place=place, error=str(error))
        return
    if isinstance(event, ModelPublished):
        found[stream] = (event, offset)


class KnownVersions:
    """`current_versions`, read when first asked for, once a process.

    Args:
        client: Client properties.
        topic: Topic of models.
    """

    def __init__(self, client: dict[str, Any], topic: str) -> None:
        self._client = client
        self._topic = topic
        self._lock = threading.Lock()
        self._found: dict[str, tuple[ModelPublished, int]] | None = None

    def get(self, stream: str) -> tuple[ModelPublished | None, int]:
        """Current version of a stream and the offset of its event; (None, -1) when it has none."""
        with self._lock:
            if self._found is None:
                self._found = current_versions(self._client, self._topic)
        return self._found.get(stream, (None, -1))
