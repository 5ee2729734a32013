"""What all settings share: strictness, durations, secrets."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZES = {"MiB": 2**20, "GiB": 2**30}
SIZE_PATTERN = r"([0-9]+(?:\.[0-9]+)?) ?(MiB|GiB)"
_DURATION = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)\s*$")


class MisfitError(ValueError):
    """Keys of a table that do not fit together.

    Attributes:
        misfits: Of each: the key at fault, the rule, its value as text, and the other keys.
    """

    def __init__(self, *misfits: tuple[str, str, str, tuple[str, ...]]) -> None:
        self.misfits = misfits
        super().__init__("; ".join(rule for _, rule, _, _ in misfits))


_ADDRESS = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})$")


def is_address(text: str) -> bool:
    """Whether a text is ``host:port``.

    >>> is_address("kafka-0.kafka:9092"), is_address("[::1]:9092"), is_address("kafka")
    (True, True, False)
    """
    match = _ADDRESS.match(text)
    return match is not None and 1 <= int(match[2]) <= 65535


class Section(BaseModel):
    """A table of the configuration: unknown keys are faults, values never change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )


def parse_duration(value: Any) -> timedelta:
    """Read ``90s``, ``15m``, ``6h``, ``28d``, ``2w`` or ``500ms``; a bare number is seconds.

    >>> parse_duration("2d")
    datetime.timedelta(days=2)
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return timedelta(seconds=float(value))
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration is a number and a unit of ms, s, m, h, d, w, as '28d'")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back.

    >>> format_duration(timedelta(hours=48))
    '2d'
    """
    ms = round(value.total_seconds() * 1000)
    for unit in ("d", "h", "m", "s"):
        size = round(_UNITS[unit] * 1000)
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]


def parse_size(text: str) -> int:
    """Bytes of ``512MiB`` or ``1.5 GiB``.

    >>> parse_size("1.5GiB")
    1610612736
    """
    match = re.fullmatch(SIZE_PATTERN, text)
    if match is None:
        raise ValueError("a size is a number and a unit of MiB, GiB, as '4GiB'")
    return int(float(match[1]) * _SIZES[match[2]])


def milliseconds(value: timedelta) -> int:
    """A duration in whole milliseconds."""
    return round(value.total_seconds() * 1000)
