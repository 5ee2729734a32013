"""Faults of a configuration that only the Kafka client knows; connects to nothing."""

from __future__ import annotations

import logging
import re
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer

from driftloop.errors import Fault
from driftloop.settings import Settings
from driftloop.settings.secrets import HIDDEN, RESERVED, is_secret, resolvable

_PLACE = "kafka.properties"
# Faults of the whole: properties that are missing, files that cannot be read.
_TOGETHER = re.compile(r"^Failed to create (consumer|producer|admin client): ")
_RULES = (
    (re.compile(r"^No such configuration property"), "a property that librdkafka knows"),
    (re.compile(r"outside allowed range (\S+)"), "a number of {0}"),
    (re.compile(r"^Invalid value"), "a value that librdkafka accepts"),
)
_silent = logging.getLogger("driftloop.kafka.check")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def client_faults(settings: Settings) -> list[Fault]:
    """Faults of client properties and of secrets, values of secrets hidden.

    Clients are made with the properties, each by itself and all together, and without a broker.
    """
    _, options = resolvable(settings.store.options, "store.options")
    properties, faults = resolvable(settings.kafka.properties, _PLACE)
    unread = bool(faults)
    faults += options
    sound = {}
    for name, value in properties.items():
        if name in RESERVED or not isinstance(value, str | int | float | bool):
            continue  # told by the settings themselves
        told = _refusal({name: value})
        if told and not _TOGETHER.match(told):
            shown = HIDDEN if is_secret(name) else repr(value)
            faults.append(Fault(f'{_PLACE}."{name}"', shown, _rule(told)))
        else:
            sound[name] = value
    told = None if unread else _refusal(sound)
    if told:
        secrets = [str(value) for name, value in sound.items() if is_secret(name)]
        rule = _TOGETHER.sub("", told)
        if any(secret and secret in rule for secret in secrets):
            rule = "properties that fit together"
        faults.append(Fault(_PLACE, "this table", f"properties that make a client ({rule})"))
    return faults


def _refusal(properties: dict[str, Any]) -> str | None:
    """What a client says of properties that it does not take."""
    silent = {**properties, "bootstrap.servers": ""}
    try:
        Producer(silent, logger=_silent)
        Consumer({**silent, "group.id": "driftloop-check"}, logger=_silent).close()
    except KafkaException as error:
        return str(error.args[0].str()).strip()
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def _rule(told: str) -> str:
    for pattern, rule in _RULES:
        match = pattern.search(told)
        if match:
            return rule.format(*match.groups())
    return "a property that a configuration file can give"
