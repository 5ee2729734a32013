"""Who is in a consumer group."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.errors import KafkaError, KafkaUnavailableError
from driftloop.kafka import codes
from driftloop.kafka.ranges import Place, offsets_of
from driftloop.kafka.rights import denied, is_denial
from driftloop.kafka.topics import partition_counts

_PAUSE_SECONDS = 0.1


def group_members(
    client: Mapping[str, Any], group: str, *, timeout: float = 10.0
) -> dict[str, str]:
    """Static members of a group.

    Args:
        client: Client properties.
        group: Group id.
        timeout: Seconds.

    Returns:
        The ``client.id`` of each static member, by its ``group.instance.id``.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses to tell.
    """
    admin = AdminClient({"log_level": 2, **client})
    return {
        one.group_instance_id: one.client_id
        for one in _described(admin, group, timeout).members
        if one.group_instance_id
    }


class GroupState(NamedTuple):
    """A consumer group: its members' names (``client.id@host``), and messages not committed yet."""

    members: list[str]
    lag: int


def group_state(
    client: Mapping[str, Any], group: str, topic: str, *, timeout: float = 10.0
) -> GroupState:
    """Who serves a topic, and how much waits.

    Args:
        client: Client properties.
        group: Group id; one that does not exist has no members.
        topic: What it reads; one that does not exist holds nothing.
        timeout: Seconds.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses to tell.
    """
    admin = AdminClient({"log_level": 2, **client})
    members = [
        f"{one.client_id}@{one.host.strip('/')}"
        for one in _described(admin, group, timeout).members
    ]
    count = partition_counts(client, [topic], timeout=timeout).get(topic, 0)
    places = {(topic, one) for one in range(count)}
    ends = offsets_of(admin, places, codes.LATEST, timeout)
    begins = offsets_of(admin, places, codes.EARLIEST, timeout)
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*one) for one in sorted(places)])
    committed: dict[Place, int] = {}
    if places:
        future = admin.list_consumer_group_offsets([asked], request_timeout=timeout)[group]
        found = _result(future, group, timeout)
        committed = {
            (one.topic, one.partition): one.offset
            for one in found.topic_partitions
            if one.offset >= 0
        }
    lag = sum(max(0, end - committed.get(at, begins.get(at, 0))) for at, end in ends.items())
    return GroupState(sorted(members), lag)


def _described(admin: AdminClient, group: str, timeout: float) -> Any:
    deadline = time.monotonic() + timeout
    while True:
        future = admin.describe_consumer_groups([group], request_timeout=timeout)[group]
        try:
            return _result(future, group, timeout)
        except KafkaUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)  # the first group of a cluster has no coordinator yet


def _result(future: Any, group: str, timeout: float) -> Any:
    try:
        return future.result(timeout + 1)
    except (KafkaException, TimeoutError) as error:
        cause = error.args[0] if isinstance(error, KafkaException) else None
        text = f"group {group}: {cause.str() if cause is not None else 'no answer in time'}"
        if cause is None or codes.passes(cause):
            raise KafkaUnavailableError(text) from error
        if is_denial(cause):
            raise KafkaError(denied(f"group {group}", "Describe")) from error
        raise KafkaError(text) from error
