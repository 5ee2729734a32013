"""Error codes and offset requests of the Kafka client, named once.

librdkafka's own codes begin with an underscore in the Python client; they are public all the same.
"""

from __future__ import annotations

from confluent_kafka import KafkaError as ClientError
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]

PARTITION_EOF: int = ClientError._PARTITION_EOF  # noqa: SLF001

# Another client has the same transactional id or group instance.
FENCED: tuple[int, ...] = (
    ClientError._FENCED,  # noqa: SLF001
    ClientError.PRODUCER_FENCED,
    ClientError.FENCED_INSTANCE_ID,
)

# As `FENCED` may be told to a member of a group, or any other error that a client does not survive.
FATAL: int = ClientError._FATAL  # noqa: SLF001

# The topic or partition is not there (any more).
GONE: tuple[int, ...] = (
    ClientError.UNKNOWN_TOPIC_OR_PART,
    ClientError.UNKNOWN_TOPIC_ID,
    ClientError._UNKNOWN_PARTITION,  # noqa: SLF001
    ClientError._UNKNOWN_TOPIC,  # noqa: SLF001
)

# The offset is not there: retention, or another topic of the same name.
RESET: tuple[int, ...] = (
    ClientError.OFFSET_OUT_OF_RANGE,
    ClientError._AUTO_OFFSET_RESET,  # noqa: SLF001
    ClientError._LOG_TRUNCATION,  # noqa: SLF001
)

AUTHENTICATION: tuple[int, ...] = (
    ClientError._AUTHENTICATION,  # noqa: SLF001
    ClientError.SASL_AUTHENTICATION_FAILED,
)

# The client itself refuses what it was asked for: waiting for a broker cures nothing.
REFUSED: tuple[int, ...] = (
    ClientError._INVALID_ARG,  # noqa: SLF001
    ClientError._CONFLICT,  # noqa: SLF001
    ClientError._NOT_IMPLEMENTED,  # noqa: SLF001
    ClientError._UNSUPPORTED_FEATURE,  # noqa: SLF001
)

# A partition or a group has no leader yet, or another one: that passes in a moment.
ELECTING: tuple[int, ...] = (
    ClientError.NOT_COORDINATOR,
    ClientError.COORDINATOR_NOT_AVAILABLE,
    ClientError.COORDINATOR_LOAD_IN_PROGRESS,
    ClientError.NOT_LEADER_FOR_PARTITION,
    ClientError.LEADER_NOT_AVAILABLE,
    ClientError.FENCED_LEADER_EPOCH,
)


def passes(cause: ClientError) -> bool:
    """Whether an error may end by itself once a broker answers."""
    code = cause.code()
    return code not in REFUSED and bool(cause.retriable() or code < 0 or code in ELECTING)
