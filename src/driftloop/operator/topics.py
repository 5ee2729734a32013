"""Reading Driftloop's own topics from outside: whole, or from a moment on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka.follower import Follower
from driftloop.kafka.ranges import ends_of
from driftloop.logs import client_logger
from driftloop.settings import Settings

ANSWER_SECONDS = 15.0
_BATCH = 1000


def topic_names(settings: Settings) -> dict[str, int]:
    """All topics of the cluster, with their partitions.

    Raises:
        KafkaUnavailableError: No broker answers.
    """
    admin = AdminClient({"log_level": 2, **settings.kafka.client()})
    try:
        found = admin.list_topics(timeout=ANSWER_SECONDS).topics
    except KafkaException as error:
        raise KafkaUnavailableError(
            f"no Kafka answers at {settings.kafka.bootstrap_servers} within {ANSWER_SECONDS:g} s; "
            "start one with 'driftloop kafka up', or set kafka.bootstrap_servers"
        ) from error
    return {name: len(one.partitions) for name, one in found.items() if one.error is None}


def messages(settings: Settings, topics: Sequence[str]) -> Iterator[Message]:
    """All that is in these topics now; those that are missing hold nothing.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """
    client = settings.kafka.client()
    ends = ends_of(client, topics, timeout=ANSWER_SECONDS)
    follower = Follower(client, "driftloop-operator")
    try:
        yield from follower.read_to(ends, timeout=ANSWER_SECONDS)
    finally:
        follower.close()


class Tail:
    """Follows topics from a moment on.

    Args:
        settings: The configuration.
        topics: Their names; those that are missing are left out.
        since_ms: Kafka timestamp of the first message, ms.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """

    def __init__(self, settings: Settings, topics: Sequence[str], since_ms: int) -> None:
        client = settings.kafka.client()
        # Asked for first: what comes between the two questions must not be missed.
        ends = ends_of(client, topics, timeout=ANSWER_SECONDS)
        self._consumer = Consumer(
            {
                "fetch.wait.max.ms": 50,
                **client,
                "group.id": "driftloop-operator",  # required; nothing is committed to it
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            },
            logger=client_logger(),
        )
        try:
            wanted = [TopicPartition(*place, max(0, since_ms)) for place in sorted(ends)]
            found = self._consumer.offsets_for_times(wanted, timeout=ANSWER_SECONDS)
            for one in found:
                if one.offset < 0:  # nothing that young yet
                    one.offset = ends[one.topic, one.partition]
            self._consumer.assign(found)
        except KafkaException as error:
            self._consumer.close()
            raise KafkaUnavailableError(str(error)) from error

    def poll(self, deadline: float) -> list[Message]:
        """What came, or nothing by the deadline, in seconds of the monotonic clock."""
        left = min(0.2, deadline - time.monotonic())
        found = self._consumer.consume(_BATCH, max(0.0, left))
        return [message for message in found if message.error() is None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()
