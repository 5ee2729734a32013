"""Who is in a consumer group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from driftloop.errors import KafkaError, KafkaUnavailableError
from driftloop.kafka import codes


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
    future = admin.describe_consumer_groups([group], request_timeout=timeout)[group]
    try:
        described = future.result(timeout + 1)
    except (KafkaException, TimeoutError) as error:
        cause = error.args[0] if isinstance(error, KafkaException) else None
        text = f"group {group}: {cause.str() if cause is not None else 'no answer in time'}"
        if cause is None or codes.passes(cause):
            raise KafkaUnavailableError(text) from error
        raise KafkaError(text) from error
    return {
        one.group_instance_id: one.client_id for one in described.members if one.group_instance_id
    }
