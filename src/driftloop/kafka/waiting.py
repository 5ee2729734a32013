"""Waiting for a Kafka that does not answer yet: told at once, and ended by a signal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from driftloop.kafka.broker import broker_status
from driftloop.logs import client_logger
from driftloop.settings import KafkaSettings

_TRY_SECONDS = 1.0
_PAUSE_SECONDS = 0.2
_REPEAT_SECONDS = 30.0
_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
_DEFAULT = KafkaSettings.model_fields["bootstrap_servers"].default
_log = structlog.get_logger(__name__)


def wait_for_kafka(
    client: Mapping[str, Any], ended: Callable[[], bool], beat: Callable[[], object]
) -> bool:
    """Wait until a broker answers.

    Args:
        client: Client properties.
        ended: Asked about once a second whether to give up.
        beat: Called as often: who waits is alive.

    Returns:
        Whether a broker answers; False when `ended` said so first.
    """
    servers = str(client["bootstrap.servers"])
    reasons: list[str] = []
    properties: dict[str, Any] = {
        **client,
        "log_level": 2,
        "reconnect.backoff.max.ms": 1000,
        "error_cb": lambda error: reasons.append(_reason(error)),
    }
    admin = AdminClient(properties, logger=client_logger())
    told, quiet_until = "", 0.0
    while not ended():
        beat()
        try:
            admin.list_topics(timeout=_TRY_SECONDS)
        except KafkaException as error:
            admin.poll(0)
            why = reasons[-1] if reasons else _reason(error.args[0])
        else:
            if told:
                _log.warning("kafka.answers", servers=servers)
            return True
        if why != told or time.monotonic() > quiet_until:
            _log.warning("kafka.waiting", servers=servers, why=why, hint=hint(servers))
            told, quiet_until = why, time.monotonic() + _REPEAT_SECONDS
        reasons.clear()
        time.sleep(_PAUSE_SECONDS)
    return False


def hint(servers: str) -> str:
    """What a person may do about a Kafka that does not answer at `servers`."""
    if servers != _DEFAULT or os.environ.get(_VARIABLE):
        return f"start it, or correct kafka.bootstrap_servers or {_VARIABLE}"
    local = broker_status()
    if local.answers:
        return f"a local Kafka runs elsewhere: export {_VARIABLE}={local.bootstrap_servers}"
    return f"start one with 'driftloop kafka up', or set {_VARIABLE}"


def _reason(error: ClientError) -> str:
    return f"{error.name()}: {error.str()}"
