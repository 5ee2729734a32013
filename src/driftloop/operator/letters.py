"""Dead letters: what lies on ``driftloop.dlq``, why, and what of it was sent again.

A marker on the same topic says that a letter was sent again: a message with the key of its letter,
in the same partition, with the header ``driftloop.replay-of``. So whoever reads the topic knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftloop.errors import Fault, ReplayError, SettingsError
from driftloop.kafka import codes
from driftloop.kafka.dead_letters import PREFIX, is_marker, replayed_place
from driftloop.kafka.follower import Follower
from driftloop.kafka.ranges import offsets_of
from driftloop.kafka.topics import partition_counts
from driftloop.settings import Settings

_SECONDS = 30.0
_GROUP = "driftloop-dead-letters"


class LetterPlace(NamedTuple):
    """Where a dead letter lies on the topic of dead letters; as text ``partition:offset``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """That a dead letter was sent again, once.

    Attributes:
        place: The letter, as ``partition:offset``.
        topic: The topic that it came from, and went to.
        partition: The partition, likewise.
        offset: Where it lies now; -1 where that is not told.
        who: Who sent it.
        why: Why.
        at: When, milliseconds since the epoch.
        changed: Whether other bytes were sent than those of the letter.
    """

    place: str
    topic: str
    partition: int
    offset: int = -1
    who: str
    why: str
    at: int
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    Attributes:
        place: Where it lies.
        at: When it was written there, milliseconds since the epoch.
        topic: Where the message came from; empty where a letter does not say.
        partition: Its partition; -1 likewise.
        offset: Its offset; -1 likewise.
        timestamp: Its Kafka timestamp, milliseconds since the epoch; -1 where there was none.
        key: Its key, unchanged.
        value: Its value, unchanged.
        reason: Code of the reason, as ``not-json``.
        detail: The reason in words.
        headers: All headers of the letter, as text.
        replayed: That it was sent again, or None.
    """

    place: LetterPlace
    at: int
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    reason: str
    detail: str
    headers: dict[str, str]
    replayed: Replay | None = None


def parse_place(text: str, topic: str) -> LetterPlace:
    """The place that ``partition:offset`` or ``topic:partition:offset`` names.

    Raises:
        SettingsError: It is neither, or on another topic.

    >>> parse_place("driftloop.dlq:0:17", "driftloop.dlq")
    LetterPlace(partition=0, offset=17)
    """
    before, _, offset = text.rpartition(":")
    named, _, partition = before.rpartition(":")
    if named not in {"", topic} or not (partition.isdecimal() and offset.isdecimal()):
        rule = f"partition:offset, or {topic}:partition:offset, as 'driftloop dlq list' shows"
        raise SettingsError([Fault("PLACE", repr(text), rule)])
    return LetterPlace(int(partition), int(offset))


def listing(
    settings: Settings,
    *,
    limit: int,
    reason: str | None = None,
    topic: str | None = None,
    since_ms: int | None = None,
) -> list[Letter]:
    """Dead letters, the newest first.

    Args:
        settings: The configuration.
        limit: At most so many; 0 for all.
        reason: Only those with this code.
        topic: Only those that came from this topic.
        since_ms: Only those written from then on.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """
    found: list[Letter] = []
    replays: dict[LetterPlace, Replay] = {}
    for message in _messages(settings, since_ms):
        if _note(message, replays):
            continue
        letter = _letter(message)
        if reason in {None, letter.reason} and topic in {None, letter.topic}:
            found.append(letter)
            if limit and len(found) > 2 * limit + 1000:  # a long topic is not held whole
                found = _newest(found, limit)
    shown = _newest(found, limit)
    return [replace(one, replayed=replays.get(one.place)) for one in shown]


def _newest(found: list[Letter], limit: int) -> list[Letter]:
    found = sorted(found, key=lambda one: (one.at, one.place), reverse=True)
    return found[:limit] if limit else found


def read(settings: Settings, place: str | LetterPlace) -> Letter:
    """One dead letter.

    Raises:
        SettingsError: The text is no place.
        ReplayError: Nothing lies there.
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """
    topic = settings.topics.dlq
    wanted = parse_place(place, topic) if isinstance(place, str) else place
    return letters_at(settings, [wanted])[wanted]


def letters_at(settings: Settings, places: Collection[LetterPlace]) -> dict[LetterPlace, Letter]:
    """The letters at these places, and whether each was sent again.

    A partition is read from the first of them to its end, for the markers that follow them.

    Raises:
        ReplayError: Nothing lies at one of them; names all.
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """
    begin: dict[int, int] = {}
    for one in places:
        begin[one.partition] = min(one.offset, begin.get(one.partition, one.offset))
    wanted = set(places)
    found: dict[LetterPlace, Letter] = {}
    replays: dict[LetterPlace, Replay] = {}
    for message in _messages(settings, begin=begin):
        if not _note(message, replays) and _place(message) in wanted:
            found[_place(message)] = _letter(message)
    lost = sorted(wanted - found.keys())
    if lost:
        names = ", ".join(map(str, lost))
        raise ReplayError(
            f"no dead letter lies at {names} of {settings.topics.dlq}: retention removed it, or it "
            "never was; 'driftloop dlq list' shows those that are there"
        )
    return {place: replace(one, replayed=replays.get(place)) for place, one in found.items()}


def _note(message: Message, replays: dict[LetterPlace, Replay]) -> bool:
    """Keep what a marker says; whether it is one. One that makes no sense is no letter either."""
    if not is_marker(message.headers()):
        return False
    place = replayed_place(message.headers())
    with suppress(msgspec.MsgspecError):
        if place is not None:
            made = msgspec.json.decode(message.value() or b"", type=Replay)
            replays[LetterPlace(*place)] = made
    return True


def _messages(
    settings: Settings, since_ms: int | None = None, begin: dict[int, int] | None = None
) -> Iterator[Message]:
    """All that is committed on the topic of dead letters now."""
    client, topic = settings.kafka.client(), settings.topics.dlq
    count = partition_counts(client, [topic], timeout=_SECONDS).get(topic, 0)
    numbers: Sequence[int] = range(count)
    if begin is not None:
        numbers = [one for one in numbers if one in begin]
    places = {(topic, number) for number in numbers}
    admin = AdminClient({"log_level": 2, **client})
    first = offsets_of(admin, places, codes.EARLIEST, _SECONDS)
    end = offsets_of(admin, places, codes.LATEST, _SECONDS)
    if since_ms is not None:
        spec = OffsetSpec.for_timestamp(since_ms)
        later = offsets_of(admin, places, spec, _SECONDS)
        first = {one: later[one] if later.get(one, -1) >= 0 else end[one] for one in first}
    if begin is not None:
        first = {one: max(at, begin[one[1]]) for one, at in first.items()}
    left = {one: at for one, at in end.items() if first[one] < at}
    if not left:
        return
    follower = Follower(client, _GROUP, first)
    try:
        for message in follower.read_to(left, timeout=_SECONDS):
            if (message.offset() or 0) < left[topic, message.partition() or 0]:
                yield message
    finally:
        follower.close()


def _headers(message: Message) -> dict[str, str]:
    found: Any = message.headers() or []
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
        for name, value in found
    }


def _place(message: Message) -> LetterPlace:
    return LetterPlace(message.partition() or 0, message.offset() or 0)


def _letter(message: Message) -> Letter:
    headers = _headers(message)
    raw: dict[str, Any] = dict(message.headers() or [])
    return Letter(
        place=_place(message),
        at=message.timestamp()[1],
        topic=headers.get(PREFIX + "topic", ""),
        partition=_number(headers, PREFIX + "partition"),
        offset=_number(headers, PREFIX + "offset"),
        timestamp=_number(headers, "driftloop.timestamp"),
        key=raw.get("driftloop.key"),
        value=message.value(),
        reason=headers.get(PREFIX + "exception", ""),
        detail=headers.get(PREFIX + "message", ""),
        headers=headers,
    )


def _number(headers: dict[str, str], name: str) -> int:
    try:
        return int(headers[name])
    except (KeyError, ValueError):
        return -1
