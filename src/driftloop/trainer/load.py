"""The records that requests name, from Kafka: all ranges of a batch by one consumer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from driftloop.errors import (
    KafkaError,
    KafkaUnavailableError,
    MessageError,
    OffsetsExpiredError,
    TrainingError,
)
from driftloop.garbage import rare_collections
from driftloop.kafka.contents import contents
from driftloop.kafka.ranges import expired_ranges, read_ranges
from driftloop.kafka.topics import partition_counts
from driftloop.messages import OffsetRange
from driftloop.records import Columns, DeadLetter, RecordDecoder, join
from driftloop.settings import Profile
from driftloop.trainer.job import Check
from driftloop.trainer.memory import available, shown

_TRIES = 3
_TIMEOUT = 60.0
_PIECE = 20_000
_ADVICE = "the trainer needs the right Read on the topic"
_RECORD_BYTES = 350
"""Of a record without its features: its columns, twice while they are joined, and its id."""


class Wanted(NamedTuple):
    """What one request wants to be loaded."""

    profile: Profile
    data: Sequence[str]


def load(
    client: Mapping[str, Any],
    wanted: Mapping[str, Wanted],
    check: Check,
    *,
    most: int = 2_000_000,
) -> dict[str, Columns | TrainingError]:
    """Read, decode and join the records of many requests.

    Args:
        client: Client properties.
        wanted: What to load, by request id.
        check: Called now and then; raises to give up.
        most: Records that a request may name, as ``trainer.max_records``.

    Returns:
        By request id its labelled records, ordered by completion, or why there are none:
        ``expired-offsets``, ``topic-missing``, ``topic-unreadable``, ``bad-ranges``,
        ``too-many-records``, ``out-of-memory`` or ``bad-features``.

    Raises:
        KafkaUnavailableError: No broker answers; try again.
    """
    results: dict[str, Columns | TrainingError] = {}
    ranges: dict[str, list[OffsetRange]] = {}
    free = available()
    for name, one in wanted.items():
        try:
            ranges[name] = _parsed(one, most, free)
        except TrainingError as error:
            results[name] = error
    for _ in range(_TRIES):
        check()
        results.update(_gone(client, ranges))
        open_ = {name: found for name, found in ranges.items() if name not in results}
        try:
            with rare_collections():
                results.update(_read(client, wanted, open_, check))
            break
        except OffsetsExpiredError:
            continue  # retention passed between looking and reading: look again
        except KafkaUnavailableError:
            raise
        except (KafkaError, MemoryError):
            results.update(_one_by_one(client, wanted, open_, check))
            break
    for name in ranges:
        if name not in results:
            results[name] = TrainingError(
                "expired-offsets", "the ranges expired while they were read; request again"
            )
    return results


def _parsed(wanted: Wanted, most: int, free: int) -> list[OffsetRange]:
    """The ranges of a request.

    Raises:
        TrainingError: ``bad-ranges``; ``too-many-records``, where they are more than `most`, or
            need more than `free` bytes.
    """
    try:
        found = [OffsetRange.parse(text) for text in wanted.data]
    except MessageError as error:
        raise TrainingError("bad-ranges", str(error)) from error
    if not found:
        raise TrainingError("bad-ranges", "the request names no records")
    records, size = sum(one.size for one in set(found)), bytes_of(wanted)
    if records > most:
        rule = f"trainer.max_records is {most:,}"
        advice = "raise it where memory allows"
    elif size > free:
        rule = f"{shown(free)} are free"
        advice = "give the trainer more memory (the container's limit)"
    else:
        return found
    raise TrainingError(
        "too-many-records",
        f"the ranges name {records:,} records, about {shown(size)} of memory, and {rule}: narrow "
        f"training.window or training.records, or {advice}",
    )


def bytes_of(wanted: Wanted) -> int:
    """Bytes that the records of a request take while they are loaded, about; 0 for bad ranges."""
    try:
        found = {OffsetRange.parse(text) for text in wanted.data}
    except MessageError:
        return 0
    return sum(one.size for one in found) * record_bytes(wanted.profile)


def record_bytes(profile: Profile) -> int:
    """Bytes that a record takes while it is loaded, about."""
    features = profile.features
    return _RECORD_BYTES + 16 * len(features.numeric) + 16 * len(features.categorical)


def _gone(
    client: Mapping[str, Any], ranges: Mapping[str, Sequence[OffsetRange]]
) -> dict[str, TrainingError]:
    """Which requests cannot be served, because a range is not wholly in its topic."""
    wanted = sorted({one for found in ranges.values() for one in found})
    try:
        faults = expired_ranges(client, wanted, timeout=_TIMEOUT)
    except KafkaUnavailableError:
        raise
    except KafkaError:
        return _unreadable(client, ranges)
    if not faults:
        return {}
    topics = sorted({one.topic for one in faults})
    there = partition_counts(client, topics)
    gone = {}
    for name, found in ranges.items():
        fault = next((one for one in found if one in faults), None)
        if fault is not None:
            missing = fault.topic not in there
            advice = (
                "make the topic again, or retire the stream"
                if missing
                else "lengthen the topic's retention; the stream asks again after its cool-down"
            )
            gone[name] = TrainingError(
                "topic-missing" if missing else "expired-offsets", f"{faults[fault]}; {advice}"
            )
    return gone


def _unreadable(
    client: Mapping[str, Any], ranges: Mapping[str, Sequence[OffsetRange]]
) -> dict[str, TrainingError]:
    """Which requests fail because the broker tells nothing of their topics; the others go on."""
    faults: dict[str, TrainingError] = {}
    open_ = dict(ranges)
    for name, found in ranges.items():
        try:
            expired_ranges(client, found, timeout=_TIMEOUT)
        except KafkaUnavailableError:
            raise
        except KafkaError as error:
            faults[name] = TrainingError("topic-unreadable", f"{error}; {_ADVICE}")
            del open_[name]
    if open_ and faults:
        faults.update(_gone(client, open_))
    return faults


def _one_by_one(
    client: Mapping[str, Any],
    wanted: Mapping[str, Wanted],
    ranges: Mapping[str, Sequence[OffsetRange]],
    check: Check,
) -> dict[str, Columns | TrainingError]:
    """Find which requests the broker refuses."""
    results: dict[str, Columns | TrainingError] = {}
    for name, found in ranges.items():
        try:
            results.update(_read(client, wanted, {name: found}, check))
        except KafkaUnavailableError:
            raise
        except OffsetsExpiredError as error:
            results[name] = TrainingError("expired-offsets", str(error))
        except MemoryError:
            size = sum(one.size for one in found)
            results[name] = TrainingError(
                "out-of-memory",
                f"no memory was left for the {size:,} records of the request: narrow "
                "training.window or training.records, or give the trainer more memory",
            )
        except KafkaError as error:
            results[name] = TrainingError("topic-unreadable", f"{error}; {_ADVICE}")
    return results


def _read(
    client: Mapping[str, Any],
    wanted: Mapping[str, Wanted],
    ranges: Mapping[str, Sequence[OffsetRange]],
    check: Check,
) -> dict[str, Columns | TrainingError]:
    users: dict[OffsetRange, list[str]] = {}
    pieces = {name: list(dict.fromkeys(_pieces(found))) for name, found in ranges.items()}
    for name, found in pieces.items():
        for one in found:
            users.setdefault(one, []).append(name)
    parts: dict[str, dict[OffsetRange, Columns]] = {name: {} for name in ranges}
    profiles = {id(wanted[name].profile): wanted[name].profile for name in ranges}
    decoders = {key: RecordDecoder(profile) for key, profile in profiles.items()}
    unread: dict[str, int] = dict.fromkeys(ranges, 0)
    first: dict[str, DeadLetter] = {}
    for one, messages in read_ranges(client, list(users), timeout=_TIMEOUT):
        check()
        # Messages become columns at once: they are an order of magnitude smaller.
        decoded: dict[int, tuple[Columns, list[DeadLetter]]] = {}
        held = contents(messages)
        for name in users[one]:
            kind = id(wanted[name].profile)
            if kind not in decoded:
                decoded[kind] = decoders[kind].decode(one.topic, one.partition, *held)
            parts[name][one], letters = decoded[kind]
            unread[name] += len(letters)
            if letters:
                first.setdefault(name, letters[0])
    results: dict[str, Columns | TrainingError] = {}
    for name, found in pieces.items():
        columns = [parts[name].pop(one) for one in found]
        if name in first and not sum(map(len, columns)):
            results[name] = TrainingError(
                "unreadable-records",
                f"none of {unread[name]:,} records can be read, the first for: "
                f"{first[name].detail}; check fields and features of the profile",
            )
            continue
        try:
            results[name] = _labelled(wanted[name].profile, columns)
        except TrainingError as error:
            results[name] = error
    return results


def _pieces(ranges: Sequence[OffsetRange]) -> Iterator[OffsetRange]:
    """Ranges cut to what is decoded at a time: the messages of a long one are never all kept."""
    for one in ranges:
        for first in range(one.first, one.last + 1, _PIECE):
            yield one._replace(first=first, last=min(one.last, first + _PIECE - 1))


def _labelled(profile: Profile, parts: Sequence[Columns]) -> Columns:
    columns = Columns.concatenate(parts) if parts else Columns.empty(profile)
    labels = int(np.isfinite(columns.y).sum())
    if labels and not columns.has_features.any():
        features = profile.features
        named = ", ".join([*features.numeric, *features.categorical]) or "(none named)"
        raise TrainingError(
            "bad-features",
            f"{labels} records carry a label, none carries any of the features {named}: check "
            "features and fields.x of the profile",
        )
    if len(np.unique(columns.partitions)) > 1:  # several partitions meet in event time
        columns = columns.select(np.argsort(columns.ts, kind="stable"))
    return join(columns)
