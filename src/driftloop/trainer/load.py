"""The records that requests name, from Kafka: all ranges of a batch by one consumer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import Message

from driftloop.errors import (
    KafkaError,
    KafkaUnavailableError,
    MessageError,
    OffsetsExpiredError,
    TrainingError,
)
from driftloop.kafka.contents import contents
from driftloop.kafka.ranges import expired_ranges, read_ranges
from driftloop.kafka.topics import partition_counts
from driftloop.messages import OffsetRange
from driftloop.records import Columns, RecordDecoder, join
from driftloop.settings import Profile
from driftloop.trainer.job import Check

_TRIES = 3
_TIMEOUT = 60.0


class Wanted(NamedTuple):
    """What one request wants to be loaded."""

    profile: Profile
    data: Sequence[str]


def load(
    client: Mapping[str, Any], wanted: Mapping[str, Wanted], check: Check
) -> dict[str, Columns | TrainingError]:
    """Read, decode and join the records of many requests.

    Args:
        client: Client properties.
        wanted: What to load, by request id.
        check: Called now and then; raises to give up.

    Returns:
        By request id its labelled records, ordered by completion, or why there are none:
        ``expired-offsets``, ``topic-missing``, ``topic-unreadable``, ``bad-ranges`` or
        ``bad-features``.

    Raises:
        KafkaUnavailableError: No broker answers; try again.
    """
    results: dict[str, Columns | TrainingError] = {}
    ranges: dict[str, list[OffsetRange]] = {}
    for name, one in wanted.items():
        try:
            ranges[name] = [OffsetRange.parse(text) for text in one.data]
        except MessageError as error:
            results[name] = TrainingError("bad-ranges", str(error))
        else:
            if not ranges[name]:
                del ranges[name]
                results[name] = TrainingError("bad-ranges", "the request names no records")
    for _ in range(_TRIES):
        check()
        results.update(_gone(client, ranges))
        open_ = {name: found for name, found in ranges.items() if name not in results}
        try:
            results.update(_read(client, wanted, open_, check))
            break
        except OffsetsExpiredError:
            continue  # retention passed between looking and reading: look again
        except KafkaUnavailableError:
            raise
        except KafkaError:
            results.update(_one_by_one(client, wanted, open_, check))
            break
    for name in ranges:
        if name not in results:
            results[name] = TrainingError(
                "expired-offsets", "the ranges expired while they were read; request again"
            )
    return results


def _gone(
    client: Mapping[str, Any], ranges: Mapping[str, Sequence[OffsetRange]]
) -> dict[str, TrainingError]:
    """Which requests cannot be served, because a range is not wholly in its topic."""
    faults = expired_ranges(
        client, sorted({one for found in ranges.values() for one in found}), timeout=_TIMEOUT
    )
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
        except KafkaError as error:
            advice = "the trainer needs the right Read on the topic"
            results[name] = TrainingError("topic-unreadable", f"{error}; {advice}")
    return results


def _read(
    client: Mapping[str, Any],
    wanted: Mapping[str, Wanted],
    ranges: Mapping[str, Sequence[OffsetRange]],
    check: Check,
) -> dict[str, Columns | TrainingError]:
    users: dict[OffsetRange, list[str]] = {}
    for name, found in ranges.items():
        for one in found:
            users.setdefault(one, []).append(name)
    parts: dict[str, dict[OffsetRange, Columns]] = {name: {} for name in ranges}
    for one, messages in read_ranges(client, list(users), timeout=_TIMEOUT):
        check()
        # Messages become columns at once: they are an order of magnitude smaller.
        decoded: dict[str, Columns] = {}
        for name in users[one]:
            profile = wanted[name].profile
            if profile.hash not in decoded:
                decoded[profile.hash] = _decode(profile, one, messages)
            parts[name][one] = decoded[profile.hash]
    results: dict[str, Columns | TrainingError] = {}
    for name, found in ranges.items():
        columns = [parts[name][one] for one in dict.fromkeys(found)]
        try:
            results[name] = _labelled(wanted[name].profile, columns)
        except TrainingError as error:
            results[name] = error
    return results


def _decode(profile: Profile, place: OffsetRange, messages: Sequence[Message]) -> Columns:
    columns, _ = RecordDecoder(profile).decode(
        place.topic,
        place.partition,
        *contents(messages),
    )
    return columns


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
