"""Driftloop's own topics: made when they are missing, in the form that each role needs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewTopic,
    TopicDescription,
)

from driftloop.errors import KafkaError, KafkaUnavailableError
from driftloop.kafka import codes
from driftloop.settings import TopicSettings

_DAY_MS = 24 * 3600 * 1000
# Only what a role needs; all else is the broker's default.
_CONFIG: dict[str, dict[str, str]] = {
    "models": {"cleanup.policy": "compact"},
    "status": {"cleanup.policy": "compact"},
    "retrain": {"cleanup.policy": "delete"},
    "evidence": {"cleanup.policy": "delete"},
    "trainings": {"cleanup.policy": "delete", "retention.ms": str(365 * _DAY_MS)},
    "commands": {"cleanup.policy": "delete", "retention.ms": str(365 * _DAY_MS)},
    "incidents": {"cleanup.policy": "delete", "retention.ms": str(365 * _DAY_MS)},
    # A dead letter is larger than the message that it holds, by its headers.
    "dlq": {"cleanup.policy": "delete", "max.message.bytes": str(16 * 1024 * 1024)},
}
_DENIED = (ClientError.TOPIC_AUTHORIZATION_FAILED, ClientError.CLUSTER_AUTHORIZATION_FAILED)
_POLL_SECONDS = 0.1


class TopicSpec(NamedTuple):
    """A topic as it is to be made; `replication_factor` -1 is the broker's default."""

    name: str
    partitions: int
    replication_factor: int = -1
    config: Mapping[str, str] = {}


def driftloop_topics(
    settings: TopicSettings, roles: Iterable[str] | None = None
) -> list[TopicSpec]:
    """Driftloop's own topics: models and status compacted, the rest deleted by age.

    Args:
        settings: Their names, and how they are made.
        roles: Only the topics of these; all by default.
    """
    wanted = None if roles is None else set(roles)
    return [
        TopicSpec(name, settings.partitions, settings.replication_factor, _CONFIG[role])
        for role, name in settings.names.items()
        if wanted is None or role in wanted
    ]


def ensure_topics(
    client: Mapping[str, Any], specs: Iterable[TopicSpec], *, timeout: float = 30.0
) -> list[str]:
    """Make the topics that are missing, and wait until the cluster knows them all.

    Topics that exist stay as they are.

    Args:
        client: Client properties.
        specs: What is needed.
        timeout: Seconds for all of it.

    Returns:
        Names of the topics that were made.

    Raises:
        KafkaError: A topic cannot be made; names it, and the right that is missing.
        KafkaUnavailableError: No broker answers in time.
    """
    wanted = {spec.name: spec for spec in specs}
    deadline = time.monotonic() + timeout
    admin = _admin(client)
    missing = wanted.keys() - _counts(admin, list(wanted), timeout).keys()
    made = []
    new = [
        NewTopic(spec.name, spec.partitions, spec.replication_factor, config=dict(spec.config))
        for name, spec in wanted.items()
        if name in missing
    ]
    if new:
        for name, future in admin.create_topics(new, request_timeout=timeout).items():
            if _created(name, future, deadline):
                made.append(name)
    # create_topics returns before every broker has heard of the topic.
    while missing:
        left = deadline - time.monotonic()
        if left <= 0:
            raise KafkaUnavailableError(
                f"topics {', '.join(sorted(missing))} were made but did not appear "
                f"within {timeout:g} s"
            )
        missing -= _counts(admin, sorted(missing), left).keys()
        if missing:
            time.sleep(_POLL_SECONDS)
    return made


def _created(name: str, future: Future[None], deadline: float) -> bool:
    try:
        future.result(max(0.0, deadline - time.monotonic()) + 1)
    except KafkaException as error:
        code = error.args[0].code()
        if code == ClientError.TOPIC_ALREADY_EXISTS:
            return False
        if code in _DENIED:
            raise KafkaError(
                f"topic {name} is missing, and making it is not allowed; the right Create on the "
                "topic is missing. Or make it yourself, and set topics.create = false"
            ) from error
        raise _translated(error, f"topic {name} cannot be made") from error
    return True


def partition_counts(
    client: Mapping[str, Any], names: Sequence[str], *, timeout: float = 10.0
) -> dict[str, int]:
    """Number of partitions of each topic that exists; the others are left out. Makes nothing.

    Raises:
        KafkaUnavailableError: No broker answers in time.
    """
    return _counts(_admin(client), names, timeout)


def topic_ids(
    client: Mapping[str, Any], names: Sequence[str], *, timeout: float = 10.0
) -> dict[str, str]:
    """Id of each topic that exists, empty of a broker that gives none; one made anew has another.

    Raises:
        KafkaUnavailableError: No broker answers in time.
        KafkaError: The broker refuses.
    """
    described = _described(_admin(client), names, timeout)
    return {name: str(one.topic_id or "") for name, one in described.items()}


def _admin(client: Mapping[str, Any]) -> AdminClient:
    # What fails is raised; the client's own lines about it repeat endlessly.
    return AdminClient({"log_level": 2, **client})


def _counts(admin: AdminClient, names: Sequence[str], timeout: float) -> dict[str, int]:
    described = _described(admin, names, timeout)
    return {name: len(one.partitions) for name, one in described.items()}


def _described(
    admin: AdminClient, names: Sequence[str], timeout: float
) -> dict[str, TopicDescription]:
    if not names:
        return {}
    found = {}
    futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=timeout)
    for name, future in futures.items():
        try:
            found[name] = future.result(timeout + 1)
        except KafkaException as error:
            code = error.args[0].code()
            if code == ClientError.UNKNOWN_TOPIC_OR_PART:
                continue
            if code in _DENIED:
                raise KafkaError(
                    f"topic {name}: not allowed; the right Describe is missing (Read and Write "
                    "imply it)"
                ) from error
            raise _translated(error, f"topic {name} cannot be looked at") from error
    return found


def _translated(error: KafkaException, what: str) -> KafkaError:
    cause = error.args[0]
    text = f"{what}: {cause.name()}: {cause.str()}"
    return KafkaUnavailableError(text) if codes.passes(cause) else KafkaError(text)
