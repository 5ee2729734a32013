r"""Streams on Kafka: ``kafka://topic-pattern?bootstrap=host:port&from=…&to=…``.

The pattern is a regular expression over whole topic names, as a profile's ``topics``. ``from`` and
``to`` are ``earliest``, ``latest``, an offset, or a time: ISO 8601 or milliseconds since the epoch
(numbers from 10^11, the year 1973, on). Offsets are inclusive on both ends, as in events; records
of a time range have ``from <= Kafka timestamp < to``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftloop.backtest.cells import shown
from driftloop.backtest.jsonlines import table_of
from driftloop.backtest.source import PREVIEW_ROWS, PREVIEW_STREAMS, Source, StreamData
from driftloop.errors import DataError, KafkaUnavailableError, OffsetsExpiredError
from driftloop.kafka.contents import contents
from driftloop.kafka.ranges import EARLIEST, LATEST, Place, offsets_of, read_ranges
from driftloop.messages import OffsetRange
from driftloop.monitor.decode import refused
from driftloop.monitor.items import stream_of, topic_of
from driftloop.records import Columns, RecordDecoder
from driftloop.records.columns import Integers
from driftloop.records.decode import as_text, rfc3339_ms
from driftloop.settings import Profile

SCHEME = "kafka://"
_FORM = "kafka://topic-pattern?bootstrap=host:port&from=…&to=…"
_BOUND = "earliest, latest, an offset, or a time as 2024-05-01T12:00:00Z or in milliseconds"
_TIMES_FROM = 10**11
_PIECE = 50_000
"""Offsets read at a time: messages are an order of magnitude larger than columns."""
_TIMEOUT = 60.0
_ANSWER = 10.0


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
        raise DataError(f"topics are named as {_FORM}; got {shown(text)}")
    options = {"bootstrap": "", "from": "earliest", "to": "latest"}
    for part in (found[2] or "").split("&"):
        name, _, value = part.partition("=")
        if part and name not in options:
            raise DataError(f"{_FORM}: after the '?' stand bootstrap, from and to; got '{name}'")
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


class KafkaSource(Source):
    """Topics that match a pattern: what the monitor would read of them, by the same decoder.

    Args:
        text: See the module.
        profile: What the records mean; None to guess.
        client: Client properties; the text's ``bootstrap`` overrides theirs.

    Raises:
        DataError: The text has another form, or no topic matches, or none has records there.
        KafkaUnavailableError: No broker answers.
    """

    def __init__(
        self, text: str, profile: Profile | None = None, client: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(text, profile)
        self._address = parse_address(text)
        self._client = dict(client or {})
        if self._address.bootstrap:
            self._client["bootstrap.servers"] = self._address.bootstrap
        if not self._client.get("bootstrap.servers"):
            raise DataError(f"no broker is named: {_FORM}, or kafka.bootstrap_servers")
        self._topics = self._matching()
        self._ranges = self._resolve()
        self._profiled()

    def _matching(self) -> dict[str, int]:
        """Partitions of each topic that matches."""
        admin = AdminClient({"log_level": 2, **self._client})
        try:
            known = admin.list_topics(timeout=_ANSWER).topics
        except KafkaException as error:
            servers = self._client["bootstrap.servers"]
            raise KafkaUnavailableError(
                f"no broker answers at {servers}: {error.args[0].str()}"
            ) from error
        found = {
            name: len(topic.partitions)
            for name, topic in sorted(known.items())
            if self._address.pattern.fullmatch(name) and not name.startswith("__")
        }
        if not found:
            pattern = self._address.pattern.pattern
            raise DataError(f"no topic matches '{pattern}', of {len(known)} topics", file=self.text)
        return found

    def _resolve(self) -> dict[str, list[OffsetRange]]:
        """Ranges of each topic that has records within the bounds."""
        admin = AdminClient({"log_level": 2, **self._client})
        places = {(topic, part) for topic, many in self._topics.items() for part in range(many)}
        low = offsets_of(admin, places, EARLIEST, _TIMEOUT)
        high = offsets_of(admin, places, LATEST, _TIMEOUT)

        def at(bound: Bound, inclusive: int) -> dict[Place, int]:
            if bound.kind == "earliest":
                return low
            if bound.kind == "latest":
                return high
            if bound.kind == "offset":
                return dict.fromkeys(places, bound.value + inclusive)
            spec = OffsetSpec.for_timestamp(bound.value)
            found = offsets_of(admin, places, spec, _TIMEOUT)
            # -1: no record is so late.
            return {p: high.get(p, 0) if value < 0 else value for p, value in found.items()}

        first, end = at(self._address.first, 0), at(self._address.end, 1)
        ranges: dict[str, list[OffsetRange]] = {}
        for place in sorted(low.keys() & high.keys()):
            begin = max(low[place], first.get(place, high[place]))
            last = min(high[place], end.get(place, 0)) - 1
            if last >= begin:
                ranges.setdefault(place[0], []).append(OffsetRange(*place, begin, last))
        empty = [topic for topic in self._topics if topic not in ranges]
        if not ranges:
            rule = f"no record of {', '.join(empty)} lies within from and to"
            raise DataError(rule, file=self.text)
        if empty:
            self.notes.append(f"without records within from and to: {', '.join(empty)}")
        return ranges

    @property
    def ranges(self) -> dict[str, list[OffsetRange]]:
        """What is read of each topic: the monitor's offsets of the same records."""
        return self._ranges

    def _profiled(self) -> None:
        mode = "one" if self._profile is None else self._profile.partitions
        ranges = [one for many in self._ranges.values() for one in many]
        self.streams = sorted({stream_of(one.topic, one.partition, mode) for one in ranges})

    def read(self, stream: str) -> StreamData:
        """Read a stream's records; see `Source.read`."""
        topic = topic_of(stream)
        if stream not in self.streams:
            raise DataError(f"there is no stream '{stream}'", file=self.text)
        each = self.profile.partitions == "each"
        ranges = [
            one for one in self._ranges[topic] if not each or stream == f"{topic}:{one.partition}"
        ]
        partitions = 1 if each else self._topics[topic]
        reason = refused(self.profile, partitions)
        if reason:
            raise DataError(reason, file=topic)
        decoder = RecordDecoder(self.profile)
        parts: dict[OffsetRange, Columns] = {}
        dead = []
        for piece, messages in self._messages(ranges):
            columns, letters = decoder.decode(piece.topic, piece.partition, *contents(messages))
            parts[piece] = columns
            dead += letters
        columns = Columns.concatenate([parts[piece] for piece in sorted(parts)])
        if not len(columns):
            why = f"; the first: {dead[0].detail}" if dead else ""
            raise DataError(f"none of {len(dead)} records can be read{why}", file=topic)
        notes = []
        if dead:
            notes.append(f"{len(dead)} records could not be read; the first: {dead[0].detail}")
        empty = set(range(partitions)) - {one.partition for one in ranges}
        if empty and not each:
            parts_ = ", ".join(map(str, sorted(empty)))
            notes.append(f"no records in partition {parts_}: it holds the whole stream back")
        if partitions > 1:
            columns = columns.select(_arrival(columns))
        return StreamData(stream, columns, partitions, len(dead), tuple(notes))

    def _messages(self, ranges: list[OffsetRange]) -> Iterator[tuple[OffsetRange, list[Message]]]:
        pieces = [
            one._replace(first=first, last=min(one.last, first + _PIECE - 1))
            for one in ranges
            for first in range(one.first, one.last + 1, _PIECE)
        ]
        try:
            yield from read_ranges(self._client, pieces, timeout=_TIMEOUT)
        except OffsetsExpiredError as error:
            raise DataError(f"records went away: {error}", file=ranges[0].topic) from error

    def preview(self) -> list[pa.Table]:
        """The first records of some topics; see `Source.preview`."""
        found = []
        for topic in list(self._ranges)[:PREVIEW_STREAMS]:
            first = self._ranges[topic][0]
            last = min(first.last, first.first + PREVIEW_ROWS - 1)
            for _, messages in self._messages([first._replace(last=last)]):
                found.append(table_of(contents(messages).values))
        return found

    def distinct(self, column: str, limit: int) -> set[str]:
        """See `Source.distinct`: of the first records of some topics alone."""
        found: set[str] = set()
        for table in self.preview():
            if column in table.column_names and len(found) < limit:
                found |= {as_text(value) or "" for value in table[column].unique().to_pylist()}
        return found - {""}


def _arrival(columns: Columns) -> Integers:
    """Order of records of several partitions: by the event time that each partition has reached."""
    reached = np.empty(len(columns))
    for partition in np.unique(columns.partitions):
        mine = columns.partitions == partition
        reached[mine] = np.maximum.accumulate(columns.ts[mine])
    return np.lexsort((columns.offsets, columns.partitions, reached))
