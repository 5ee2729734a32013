"""Client properties and store options: passed through, secrets from environment or files only."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from driftloop.errors import Fault, SettingsError

HIDDEN = "<hidden>"
_SECRET = re.compile(
    r"(passw|passphrase|secret|private\.key|\.key\.pem|oauthbearer\.config|token|credential"
    r"|account_key|sas_key|connection_string)",
    re.IGNORECASE,
)
# Where something secret is found is not itself secret.
_PLACE = re.compile(r"[._](url|uri|location|file|path|endpoint)$", re.IGNORECASE)
# Set by Driftloop itself: a value given by the user would break delivery or assignment.
RESERVED = (
    "bootstrap.servers",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "transactional.id",
    "isolation.level",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "auto.offset.reset",
    "enable.partition.eof",
    "partition.assignment.strategy",
    "group.instance.id",
    "transaction.timeout.ms",
    "error_cb",
    "logger",
)


def is_secret(name: str) -> bool:
    """Whether a property of that name must not be shown.

    >>> is_secret("sasl.password"), is_secret("sasl.oauthbearer.token.endpoint.url")
    (True, False)
    """
    return _SECRET.search(name) is not None and _PLACE.search(name) is None


def is_reference(value: Any) -> bool:
    """Whether a value says where a secret is found: ``{ env = "NAME" }``, ``{ file = "PATH" }``."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and next(iter(value)) in {"env", "file"}
        and isinstance(next(iter(value.values())), str)
    )


def check_properties(properties: dict[str, Any], place: str) -> list[Fault]:
    """Faults of a table of client properties; values of secrets are never part of one."""
    faults = []
    for name, value in properties.items():
        key = f'{place}."{name}"'
        if name in RESERVED:
            faults.append(Fault(key, "(as given)", "Driftloop sets this property itself"))
        elif isinstance(value, dict):
            if not is_reference(value):
                faults.append(
                    Fault(key, HIDDEN, 'a reference is { env = "NAME" } or { file = "PATH" }')
                )
        elif is_secret(name):
            faults.append(
                Fault(key, HIDDEN, 'a secret is given by { env = "NAME" } or { file = "PATH" }')
            )
        elif not isinstance(value, str | int | float | bool):
            faults.append(Fault(key, repr(value), "a text, number or true/false"))
    return faults


def check_options(options: dict[str, Any], place: str) -> list[Fault]:
    """Faults of a table of store options, which may hold tables of its own."""
    faults = []
    for name, value in options.items():
        key = f"{place}.{name}"
        if is_reference(value):
            continue
        if isinstance(value, dict):
            faults += check_options(value, key)
        elif is_secret(name):
            faults.append(
                Fault(key, HIDDEN, 'a secret is given by { env = "NAME" } or { file = "PATH" }')
            )
    return faults


def resolve(properties: dict[str, Any], place: str = "kafka.properties") -> dict[str, Any]:
    """Properties with references replaced by what environment or files hold.

    Raises:
        SettingsError: A variable is not set or a file cannot be read; names it, never its value.
    """
    resolved, faults = resolvable(properties, place)
    if faults:
        raise SettingsError(faults, place)
    return resolved


def resolvable(properties: dict[str, Any], place: str) -> tuple[dict[str, Any], list[Fault]]:
    """As `resolve`, with the faults beside what could be read."""
    faults: list[Fault] = []
    return _resolve(properties, place, faults), faults


def _resolve(properties: dict[str, Any], place: str, faults: list[Fault]) -> dict[str, Any]:
    resolved: dict[str, Any] = {}
    for name, value in properties.items():
        key = f'{place}."{name}"'
        if not isinstance(value, dict):
            resolved[name] = value
        elif not is_reference(value):
            resolved[name] = _resolve(value, key, faults)
        elif "env" in value:
            found = os.environ.get(value["env"])
            if found is None:
                faults.append(Fault(key, value["env"], "an environment variable that is set"))
            else:
                resolved[name] = found
        else:
            try:
                resolved[name] = Path(value["file"]).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "unreadable"
                faults.append(Fault(key, value["file"], f"a file ({reason})"))
    return resolved


def redact(properties: dict[str, Any]) -> dict[str, Any]:
    """Properties as they may be shown: references stay, secrets are hidden at every depth."""
    shown: dict[str, Any] = {}
    for name, value in properties.items():
        if isinstance(value, dict) and not is_reference(value):
            shown[name] = redact(value)
        elif is_secret(name) and not isinstance(value, dict):
            shown[name] = HIDDEN
        else:
            shown[name] = value
    return shown
