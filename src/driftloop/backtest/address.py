r"""Streams on Kafka: ``kafka://topic-pattern?bootstrap=host:port&from=…&to=…``.

The pattern is a regular expression over whole topic names, as a profile's ``topics``. ``from`` and
``to`` are ``earliest``, ``latest``, an offset, or a time: ISO 8601 or milliseconds since the epoch
(numbers from 10^11, the year 1973, on). Offsets are inclusive on both ends, as in events; records
of a time range have ``from <= Kafka timestamp < to``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from driftloop.backtest.cells import shown
from driftloop.errors import DataError
from driftloop.records.decode import rfc3339_ms

SCHEME = "kafka://"
FORM = "kafka://topic-pattern?bootstrap=host:port&from=…&to=…"
_BOUND = "earliest, latest, an offset, or a time as 2024-05-01T12:00:00Z or in milliseconds"
_TIMES_FROM = 10**11


class Bound(NamedTuple):
    """One end of what is read: ``earliest``, ``latest``, ``offset`` or ``time`` (ms)."""

    kind: str
    value: int = 0


class Address(NamedTuple):
    """What a ``kafka://`` text says; `bootstrap` is empty where it names none."""

    pattern: re.Pattern[str]
    bootstrap: str
    first: Bound
    end: Bound


def parse_address(text: str) -> Address:
    """Read a ``kafka://`` text.

    Raises:
        DataError: It has another form.

    >>> parse_address("kafka://streams[.]a?from=100&to=199").end
    Bound(kind='offset', value=199)
    """
    found = re.fullmatch(r"kafka://(.+?)(?:\?((?:bootstrap|from|to)=.*))?", text)
    if found is None:
        raise DataError(f"topics are named as {FORM}; got {shown(text)}")
    options = {"bootstrap": "", "from": "earliest", "to": "latest"}
    for part in (found[2] or "").split("&"):
        name, _, value = part.partition("=")
        if part and name not in options:
            raise DataError(f"{FORM}: after the '?' stand bootstrap, from and to; got '{name}'")
        if part:
            options[name] = unquote(value)
    try:
        pattern = re.compile(unquote(found[1]))
    except re.error as error:
        raise DataError(f"the topic pattern is a regular expression: {error}") from error
    return Address(pattern, options["bootstrap"], _bound("from", options), _bound("to", options))


def _bound(name: str, options: Mapping[str, str]) -> Bound:
    text = options[name].strip()
    if text in {"earliest", "latest"}:
        return Bound(text)
    if re.fullmatch(r"[0-9]{1,18}", text):
        return Bound("time" if int(text) >= _TIMES_FROM else "offset", int(text))
    moment = rfc3339_ms(text)
    if moment is None:
        raise DataError(f"'{name}' is {_BOUND}; got {shown(text)}")
    return Bound("time", int(moment))
