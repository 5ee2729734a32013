"""Rights on Kafka: what each part needs, which of them are missing, and what a refusal means.

The commands that grant them are in docs/security.md; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]

from driftloop.errors import KafkaError, KafkaUnavailableError
from driftloop.kafka import codes
from driftloop.settings import Settings

Part = Literal["monitor", "trainer", "scorer", "viewer", "operator"]
PARTS: tuple[Part, ...] = get_args(Part)
Operation = Literal["Read", "Write", "Describe", "DescribeConfigs", "Create"]
Resource = Literal["topic", "group", "transactional id"]

_ROLES = ("retrain", "models", "trainings", "commands", "evidence", "status", "incidents", "dlq")
_READ_ALL: dict[str, tuple[Operation, ...]] = dict.fromkeys(_ROLES, ("Read",))
_USES: dict[Part, dict[str, tuple[Operation, ...]]] = {
    "monitor": {
        **dict.fromkeys(("models", "trainings"), ("Read",)),
        "commands": ("Read", "Write"),  # it answers them there
        **dict.fromkeys(("retrain", "evidence", "status", "incidents", "dlq"), ("Write",)),
    },
    "trainer": {
        "retrain": ("Read",),
        "models": ("Read", "Write"),
        "trainings": ("Read", "Write"),
        "dlq": ("Write",),
    },
    "scorer": {"models": ("Read",), "dlq": ("Write",)},
    "viewer": _READ_ALL,
    "operator": {**_READ_ALL, "commands": ("Read", "Write"), "dlq": ("Read", "Write")},
}
_CODES: dict[Operation, AclOperation] = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Create": AclOperation.CREATE,
}
_DENIED = (
    ClientError.TOPIC_AUTHORIZATION_FAILED,
    ClientError.GROUP_AUTHORIZATION_FAILED,
    ClientError.CLUSTER_AUTHORIZATION_FAILED,
    ClientError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
)
PAGE = "docs/security.md has the commands that grant it"


class Right(NamedTuple):
    """An operation on a resource, as ``kafka-acls`` names it; Read and Write imply Describe."""

    resource: Resource
    name: str
    operation: Operation

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


def roles_of(part: Part, settings: Settings) -> dict[str, tuple[Operation, ...]]:
    """Roles of Driftloop's own topics that a part uses, and how.

    The trainer reads commands only where it removes versions from the store; trainer and scorer
    write to the topic of statuses only where parts report that they run.
    """
    uses = dict(_USES[part])
    if part in {"trainer", "scorer"} and settings.telemetry.report:
        uses["status"] = ("Write",)
    if part == "trainer" and settings.store.keep:
        uses["commands"] = ("Read",)
    return uses


def needed(part: Part, settings: Settings) -> list[Right]:
    """Rights of a part on Driftloop's own topics, and on the trainer's group."""
    names = settings.topics.names
    rights = [
        Right("topic", names[role], operation)
        for role, operations in roles_of(part, settings).items()
        for operation in operations
    ]
    if part in {"trainer", "viewer", "operator"}:
        operation: Operation = "Read" if part == "trainer" else "Describe"
        rights.append(Right("group", settings.trainer.group, operation))
    return rights


def missing(
    client: Mapping[str, Any], rights: Iterable[Right], *, timeout: float = 10.0
) -> list[Right]:
    """Those rights that this client has not, by asking the broker; changes nothing.

    A topic that does not exist lacks nothing, nor does anything on a broker that does not tell.

    Raises:
        KafkaUnavailableError: No broker answers.
    """
    wanted = list(rights)
    admin = AdminClient({"log_level": 2, **client})
    topics = sorted({one.name for one in wanted if one.resource == "topic"})
    groups = sorted({one.name for one in wanted if one.resource == "group"})
    allowed = {("topic", name): found for name, found in _topic_operations(admin, topics, timeout)}
    for name in groups:
        future = admin.describe_consumer_groups(
            [name], include_authorized_operations=True, request_timeout=timeout
        )[name]
        allowed["group", name] = _operations(future, timeout)
    lacking = []
    for one in wanted:
        found = allowed.get((one.resource, one.name))
        if found is not None and _CODES[one.operation] not in found:
            lacking.append(one)
    return lacking


def _topic_operations(
    admin: AdminClient, names: Sequence[str], timeout: float
) -> Iterable[tuple[str, set[AclOperation] | None]]:
    """What may be done with each topic; None where there is none, or the broker does not tell."""
    if names:
        futures = admin.describe_topics(
            TopicCollection(list(names)),
            include_authorized_operations=True,
            request_timeout=timeout,
        )
        for name, future in futures.items():
            yield name, _operations(future, timeout)


def _operations(future: Any, timeout: float) -> set[AclOperation] | None:
    try:
        found = future.result(timeout + 1).authorized_operations
    except KafkaException as error:
        code = error.args[0].code()
        if code in _DENIED:
            return set()
        # A group that has no coordinator yet has never had a member.
        if code == ClientError.UNKNOWN_TOPIC_OR_PART or code in codes.ELECTING:
            return None
        text = f"the rights of this client: {error.args[0].name()}: {error.args[0].str()}"
        kind = KafkaUnavailableError if codes.passes(error.args[0]) else KafkaError
        raise kind(text) from error
    return None if found is None else set(found)


def require(client: Mapping[str, Any], part: Part, settings: Settings) -> None:
    """See that a part has its rights before it begins.

    Raises:
        KafkaError: Names each that is missing, with its topic or group.
        KafkaUnavailableError: No broker answers.
    """
    lacking = missing(client, needed(part, settings))
    if lacking:
        lines = "".join(f"\n  {one}" for one in lacking)
        count = "a right" if len(lacking) == 1 else f"{len(lacking)} rights"
        raise KafkaError(f"the {part} lacks {count} on Kafka:{lines}\n{PAGE}")


def is_denial(cause: ClientError) -> bool:
    """Whether an error says that a right is missing."""
    return cause.code() in _DENIED


def denied(what: str, operation: str) -> str:
    """What is said when the broker refuses for want of a right.

    >>> denied("topic driftloop.models", "Read")
    'topic driftloop.models: not allowed; the right Read is missing'
    """
    return f"{what}: not allowed; the right {operation} is missing"
