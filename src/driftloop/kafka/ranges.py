"""Reading the records that an event names: many offset ranges of many topics, by one consumer."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as ClientError
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftloop.errors import KafkaError, KafkaUnavailableError, OffsetsExpiredError
from driftloop.kafka import codes
from driftloop.kafka.rights import denied
from driftloop.kafka.topics import partition_counts
from driftloop.logs import client_logger
from driftloop.messages import OffsetRange

_BATCH = 10_000
_POLL_SECONDS = 0.2

Place = tuple[str, int]


def read_ranges(
    client: Mapping[str, Any], ranges: Sequence[OffsetRange], *, timeout: float = 60.0
) -> Iterator[tuple[OffsetRange, list[Message]]]:
    """Read ranges, each yielded once, as soon as it is complete; they may overlap.

    Offsets that hold no record (compacted away, transaction markers, aborted transactions) are
    left out: a range ends by position, not by count.

    Args:
        client: Client properties.
        ranges: What to read.
        timeout: Seconds without a single new record after which reading ends.

    Yields:
        The range and its messages in the order of their offsets.

    Raises:
        OffsetsExpiredError: A range is no longer, or not yet, wholly in its topic; nothing was
            yielded if that was so at the beginning. `expired_ranges` finds all of them.
        KafkaUnavailableError: Nothing came for `timeout` seconds.
        KafkaError: The broker refuses.
    """
    wanted = list(dict.fromkeys(ranges))
    faults = expired_ranges(client, wanted, timeout=timeout)
    if faults:
        raise next(iter(faults.values()))
    if wanted:
        yield from _read(client, wanted, timeout)


def expired_ranges(
    client: Mapping[str, Any], ranges: Sequence[OffsetRange], *, timeout: float = 60.0
) -> dict[OffsetRange, OffsetsExpiredError]:
    """The ranges that cannot be read wholly, and why; three requests, however many ranges.

    Raises:
        KafkaUnavailableError: No broker answers in time.
    """
    if not ranges:
        return {}
    admin = AdminClient({"log_level": 2, **client})
    places = {(found.topic, found.partition) for found in ranges}
    # A topic that is not there has no leader to ask: the client then only says that it found none.
    counts = partition_counts(client, sorted({topic for topic, _ in places}), timeout=timeout)
    places = {(topic, partition) for topic, partition in places if partition < counts.get(topic, 0)}
    first = offsets_of(admin, places, codes.EARLIEST, timeout)
    end = offsets_of(admin, places, codes.LATEST, timeout)
    faults = {}
    for found in ranges:
        low = first.get((found.topic, found.partition))
        high = end.get((found.topic, found.partition))
        if low is None or high is None:
            text = "the topic or partition no longer exists"
        elif found.first < low:
            text = (
                f"the topic now begins at offset {low}; retention must outlast the training window"
            )
        elif found.last >= high:
            text = f"the topic ends before offset {high}; was it deleted and made anew?"
        else:
            continue
        faults[found] = OffsetsExpiredError(f"range {found} cannot be read: {text}")
    return faults


def places_of(
    client: Mapping[str, Any], topics: Sequence[str], *, timeout: float = 10.0
) -> set[Place]:
    """Every partition of these topics; those that do not exist have none.

    Raises:
        KafkaUnavailableError: No broker answers in time.
        KafkaError: The broker refuses.
    """
    counts = partition_counts(client, topics, timeout=timeout)
    return {(topic, one) for topic, count in counts.items() for one in range(count)}


def ends_of(
    client: Mapping[str, Any], topics: Sequence[str], *, timeout: float = 10.0
) -> dict[Place, int]:
    """Where what is committed ends now, of every such partition; raises as `places_of`."""
    places = places_of(client, topics, timeout=timeout)
    return offsets_of(AdminClient({"log_level": 2, **client}), places, codes.LATEST, timeout)


def offsets_of(
    admin: AdminClient, places: set[Place], spec: OffsetSpec, timeout: float
) -> dict[Place, int]:
    """The committed offset of each partition that `spec` names; those that are gone are left out.

    Raises:
        KafkaUnavailableError: No broker answers in time.
        KafkaError: The broker refuses.
    """
    found: dict[Place, int] = {}
    if not places:
        return found
    futures = admin.list_offsets(
        {TopicPartition(topic, partition): spec for topic, partition in sorted(places)},
        # The end of what is committed: an open transaction's records cannot be read yet.
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=timeout,
    )
    for place, future in futures.items():
        try:
            found[place.topic, place.partition] = future.result(timeout + 1).offset
        except KafkaException as error:
            code = error.args[0].code()
            if code not in codes.GONE:
                raise _refused(error.args[0], f"{place.topic}[{place.partition}]") from error
    return found


def _refused(cause: ClientError, place: str) -> KafkaError:
    if cause.code() == ClientError.TOPIC_AUTHORIZATION_FAILED:
        return KafkaError(denied(f"topic {place.partition('[')[0]}", "Read"))
    text = f"{place}: {cause.name()}: {cause.str()}"
    return KafkaUnavailableError(text) if codes.passes(cause) else KafkaError(text)


class _Lane:
    """The ranges of one partition, in the order of their first offsets."""

    def __init__(self, ranges: Sequence[OffsetRange]) -> None:
        self._waiting = sorted(ranges)[::-1]
        self._open: dict[OffsetRange, list[Message]] = {}
        self.position = self._waiting[-1].first
        self._enter()

    def _enter(self) -> None:
        while self._waiting and self._waiting[-1].first <= self.position:
            self._open[self._waiting.pop()] = []

    def take(self, messages: list[Message], offsets: list[int]) -> bool:
        """File messages in the order of their offsets; whether any is of interest."""
        start = bisect_left(offsets, self.position)  # what was fetched before a jump is not
        if start == len(offsets):
            return False
        self.position = offsets[-1]
        self._enter()
        for found, kept in self._open.items():
            first = bisect_left(offsets, found.first, start)
            kept.extend(messages[first : bisect_right(offsets, found.last, first)])
        self.position += 1
        return True

    def complete(self) -> Iterator[tuple[OffsetRange, list[Message]]]:
        """Ranges that end before the position."""
        self._enter()
        for found in [found for found in self._open if found.last < self.position]:
            yield found, self._open.pop(found)

    @property
    def jump(self) -> int | None:
        """Where to go on when the next range lies ahead."""
        return self._waiting[-1].first if self._waiting and not self._open else None

    @property
    def done(self) -> bool:
        return not self._waiting and not self._open


def _read(
    client: Mapping[str, Any], ranges: Sequence[OffsetRange], timeout: float
) -> Iterator[tuple[OffsetRange, list[Message]]]:
    grouped: dict[Place, list[OffsetRange]] = defaultdict(list)
    for found in ranges:
        grouped[found.topic, found.partition].append(found)
    lanes = {place: _Lane(found) for place, found in grouped.items()}
    consumer = Consumer(
        {
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 65536,
            **client,
            "group.id": "driftloop-ranges",  # required by the client; nothing is committed to it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
        },
        logger=client_logger(),
    )
    try:
        consumer.assign([TopicPartition(*place, lane.position) for place, lane in lanes.items()])
        deadline = time.monotonic() + timeout
        while lanes:
            touched = _file(consumer.consume(_BATCH, _POLL_SECONDS), lanes)
            over = []
            for place in touched:
                lane = lanes[place]
                yield from lane.complete()
                if lane.done:
                    del lanes[place]
                    over.append(TopicPartition(*place))
                elif lane.jump is not None:
                    lane.position = lane.jump
                    consumer.seek(TopicPartition(*place, lane.position))
            if over:  # at once: the client takes its time for each call
                consumer.incremental_unassign(over)
            if touched:
                deadline = time.monotonic() + timeout
            elif time.monotonic() > deadline:
                topic, partition = next(iter(lanes))
                raise KafkaUnavailableError(
                    f"nothing came for {timeout:g} s from {len(lanes)} partition(s), as "
                    f"{topic}[{partition}]@{lanes[topic, partition].position}"
                )
    finally:
        consumer.close()


def _file(messages: list[Message], lanes: dict[Place, _Lane]) -> set[Place]:
    """File messages under their lanes, a run of one partition at a time; which lanes moved.

    Raises:
        OffsetsExpiredError: A partition went away.
        KafkaError: The broker refuses.
    """
    touched: set[Place] = set()
    places = zip(map(Message.topic, messages), map(Message.partition, messages), strict=True)
    faults = list(map(Message.error, messages))
    sound = set(map(type, faults)) <= {type(None)}  # the client cannot compare its errors
    at = 0
    for place, run in groupby(places):
        start, at = at, at + sum(1 for _ in run)
        for first, end in ((start, at),) if sound else _sound(faults, start, at):
            part = messages[first:end]
            lane = lanes.get(place)  # type: ignore[arg-type]  # a message has a place
            if lane is not None and lane.take(part, list(map(Message.offset, part))):  # type: ignore[arg-type]
                touched.add(place)  # type: ignore[arg-type]
        if not sound:
            for message in messages[start:at]:
                if message.error() is not None:
                    _heed(message, lanes, touched)
    return touched


def _sound(faults: list[ClientError | None], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Stretches without an error."""
    first = start
    for index in range(start, end):
        if faults[index] is not None:
            if first < index:
                yield first, index
            first = index + 1
    if first < end:
        yield first, end


def _heed(message: Message, lanes: dict[Place, _Lane], touched: set[Place]) -> None:
    """Act on an error."""
    place = (str(message.topic()), int(message.partition() or 0))
    lane = lanes.get(place)
    offset = int(message.offset() or 0)
    error = message.error()
    if error is None:
        return
    if error.code() == codes.PARTITION_EOF:
        # Markers and gaps at the end: the position passes them without a record.
        if lane is not None and offset > lane.position:
            lane.position = offset
            touched.add(place)
    elif error.code() in (*codes.GONE, *codes.RESET) and lane is not None:
        raise OffsetsExpiredError(
            f"{place[0]}[{place[1]}]@{lane.position} went away while it was read: {error.str()}"
        )
    elif error.fatal() or error.code() == ClientError.TOPIC_AUTHORIZATION_FAILED:
        raise _refused(error, f"{place[0]}[{place[1]}]")
    # All else passes, or ends in the timeout.


__all__ = ["Place", "expired_ranges", "offsets_of", "read_ranges"]
