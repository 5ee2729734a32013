"""What lies on topics between the group's committed offsets and their ends; joins no group."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as ClientError

from driftloop.errors import KafkaError, KafkaUnavailableError
from driftloop.kafka import codes
from driftloop.kafka.groups import group_members
from driftloop.kafka.rights import denied, is_denial
from driftloop.logs import client_logger
from driftloop.settings import Settings
from driftloop.trainer.tickets import Ticket, read_ticket

_SECONDS = 30.0


def waiting_tickets(settings: Settings, partitions: int) -> list[Ticket]:
    """All requests that no trainer of the group has committed, partition by partition.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses to tell.
    """
    topic = settings.topics.retrain
    group_members(settings.kafka.client(), settings.trainer.group)  # says if it is not allowed
    consumer = _consumer(settings)
    try:
        places = [TopicPartition(topic, one) for one in range(partitions)]
        try:
            committed = consumer.committed(places, timeout=_SECONDS)
        except KafkaException as error:
            raise _translated(error, f"offsets of group {settings.trainer.group}") from error
        starts = [
            TopicPartition(
                topic, one.partition, one.offset if one.offset >= 0 else OFFSET_BEGINNING
            )
            for one in committed
        ]
        found = [read_ticket(message, 0) for message in _until_end(consumer, starts)]
    finally:
        consumer.close()
    return sorted(found, key=lambda one: one.place)


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            "fetch.wait.max.ms": 50,
            **settings.kafka.client(),
            "group.id": settings.trainer.group,  # for its offsets; nothing is committed to it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        },
        logger=client_logger(),
    )


def _until_end(consumer: Consumer, starts: list[TopicPartition]) -> Iterator[Message]:
    """All messages up to the end of each partition."""
    if not starts:
        return
    consumer.assign(starts)
    left = {one.partition for one in starts}
    deadline = time.monotonic() + _SECONDS
    while left:
        message = consumer.poll(0.1)
        if message is None:
            if time.monotonic() > deadline:
                raise KafkaUnavailableError(
                    f"{starts[0].topic} could not be read for {_SECONDS:g} s: the broker is away"
                )
            continue
        deadline = time.monotonic() + _SECONDS
        error = message.error()
        if error is None:
            yield message
        elif error.code() == codes.PARTITION_EOF:
            left.discard(message.partition() or 0)
        elif error.code() == ClientError.TOPIC_AUTHORIZATION_FAILED:
            raise KafkaError(denied(f"topic {starts[0].topic}", "Read"))
        elif not codes.passes(error) and not is_denial(error):  # the group is not used here
            raise KafkaError(f"{starts[0].topic}: {error.str()}")


def _translated(error: KafkaException, what: str) -> KafkaError:
    cause = error.args[0]
    if is_denial(cause):
        return KafkaError(denied(what, "Describe on the group"))
    kind = KafkaUnavailableError if codes.passes(cause) else KafkaError
    return kind(f"{what}: {cause.name()}: {cause.str()}")
