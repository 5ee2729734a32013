"""Streams on Kafka: topics by a pattern, between offsets or times; see `address` for the form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftloop.backtest.address import FORM, Bound, parse_address
from driftloop.backtest.jsonlines import table_of
from driftloop.backtest.source import PREVIEW_ROWS, PREVIEW_STREAMS, Source, StreamData
from driftloop.errors import DataError, KafkaError, KafkaUnavailableError
from driftloop.kafka import codes
from driftloop.kafka.contents import contents
from driftloop.kafka.ranges import Place, offsets_of, read_ranges
from driftloop.messages import OffsetRange
from driftloop.monitor.decode import refused
from driftloop.monitor.items import stream_of, topic_of
from driftloop.records import Columns, DeadLetter, RecordDecoder
from driftloop.records.columns import Integers
from driftloop.records.decode import as_text
from driftloop.settings import Profile

_PIECE = 50_000
"""Offsets read at a time: messages are an order of magnitude larger than columns."""

_BATCH = 300_000
"""Offsets, about, that one consumer reads for several streams; their columns are held in memory."""

_TIMEOUT = 60.0
_ANSWER = 10.0
_HEAD = PREVIEW_ROWS // 4  # JSON is slower than columns


class _Decoded(NamedTuple):
    """Records of a stream by piece, and those that could not be read."""

    parts: dict[OffsetRange, Columns]
    dead: list[DeadLetter]


class KafkaSource(Source):
    """Topics that match a pattern: what the monitor would read of them, by the same decoder.

    Args:
        text: See `address`.
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
            raise DataError(f"no broker is named: {FORM}, or kafka.bootstrap_servers")
        self._preview: list[pa.Table] | None = None
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
        low = offsets_of(admin, places, codes.EARLIEST, _TIMEOUT)
        high = offsets_of(admin, places, codes.LATEST, _TIMEOUT)

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
        ranges = self._wanted(stream)
        return self._made(stream, ranges, self._decoded({stream: ranges})[stream])

    def read_all(self, streams: Sequence[str]) -> Iterator[tuple[str, StreamData | DataError]]:
        """Read streams, many by one consumer; see `Source.read_all`."""
        batch: dict[str, list[OffsetRange]] = {}
        size = 0
        for stream in streams:
            try:
                batch[stream] = self._wanted(stream)
            except DataError as error:
                yield stream, error
                continue
            size += sum(one.size for one in batch[stream])
            if size >= _BATCH:
                yield from self._batch(batch)
                batch, size = {}, 0
        yield from self._batch(batch)

    def _batch(
        self, wanted: Mapping[str, list[OffsetRange]]
    ) -> Iterator[tuple[str, StreamData | DataError]]:
        try:
            decoded = self._decoded(wanted)
        except DataError:  # one of them: find which
            yield from super().read_all(list(wanted))
            return
        for stream, ranges in wanted.items():
            try:
                yield stream, self._made(stream, ranges, decoded.pop(stream))
            except DataError as error:
                yield stream, error

    def _wanted(self, stream: str) -> list[OffsetRange]:
        """The ranges of a stream that the monitor would take."""
        if stream not in self.streams:
            raise DataError(f"there is no stream '{stream}'", file=self.text)
        topic = topic_of(stream)
        reason = refused(self.profile, self._partitions(topic))
        if reason:
            raise DataError(reason, file=topic)
        return [
            one
            for one in self._ranges[topic]
            if stream_of(topic, one.partition, self.profile.partitions) == stream
        ]

    def _partitions(self, topic: str) -> int:
        return 1 if self.profile.partitions == "each" else self._topics[topic]

    def _decoded(self, wanted: Mapping[str, list[OffsetRange]]) -> dict[str, _Decoded]:
        decoder = RecordDecoder(self.profile)
        found = {stream: _Decoded({}, []) for stream in wanted}
        for piece, messages in self._messages([one for many in wanted.values() for one in many]):
            columns, dead = decoder.decode(piece.topic, piece.partition, *contents(messages))
            stream = stream_of(piece.topic, piece.partition, self.profile.partitions)
            found[stream].parts[piece] = columns
            found[stream].dead.extend(dead)
        return found

    def _made(self, stream: str, ranges: list[OffsetRange], decoded: _Decoded) -> StreamData:
        parts, dead = decoded
        topic = topic_of(stream)
        columns = Columns.concatenate([parts[piece] for piece in sorted(parts)])
        dead.sort(key=lambda letter: (letter.partition, letter.offset))
        if not len(columns):
            why = f"; the first: {dead[0].detail}" if dead else ""
            raise DataError(f"none of {len(dead)} records can be read{why}", file=topic)
        notes = []
        if dead:
            notes.append(f"{len(dead)} records could not be read; the first: {dead[0].detail}")
        partitions = self._partitions(topic)
        if partitions > 1:
            columns = columns.select(_arrival(columns))
            empty = sorted(set(range(partitions)) - {one.partition for one in ranges})
            if empty:
                named = ", ".join(map(str, empty))
                notes.append(f"no records in partition {named}: it holds the whole stream back")
        return StreamData(stream, columns, partitions, len(dead), tuple(notes))

    def _messages(self, ranges: list[OffsetRange]) -> Iterator[tuple[OffsetRange, list[Message]]]:
        pieces = [
            one._replace(first=first, last=min(one.last, first + _PIECE - 1))
            for one in ranges
            for first in range(one.first, one.last + 1, _PIECE)
        ]
        try:
            yield from read_ranges(self._client, pieces, timeout=_TIMEOUT)
        except KafkaUnavailableError:
            raise
        except KafkaError as error:
            raise DataError(f"cannot be read: {error}", file=ranges[0].topic) from error

    def preview(self) -> list[pa.Table]:
        """The first records of some topics; see `Source.preview`."""
        if self._preview is None:
            firsts = [many[0] for many in list(self._ranges.values())[:PREVIEW_STREAMS]]
            heads = [one._replace(last=min(one.last, one.first + _HEAD - 1)) for one in firsts]
            values: dict[str, list[bytes | None]] = {one.topic: [] for one in heads}
            for piece, messages in sorted(self._messages(heads), key=itemgetter(0)):
                values[piece.topic] += contents(messages).values
            self._preview = [table_of(many) for many in values.values()]
        return self._preview

    def distinct(self, column: str, limit: int) -> set[str]:
        """See `Source.distinct`: of the first records of some topics alone."""
        found: set[str] = set()
        for table in self.preview():
            if column in table.column_names and len(found) < limit:
                found |= {as_text(value) or "" for value in table[column].unique().to_pylist()}
        return found - {""}

    def __getstate__(self) -> dict[str, Any]:
        """Without the records that were looked at."""
        return {**self.__dict__, "_preview": None}


def _arrival(columns: Columns) -> Integers:
    """Order of records of several partitions: by the event time that each partition has reached."""
    reached = np.empty(len(columns))
    for partition in np.unique(columns.partitions):
        mine = columns.partitions == partition
        reached[mine] = np.maximum.accumulate(columns.ts[mine])
    return np.lexsort((columns.offsets, columns.partitions, reached))
