"""Step decode: messages of a batch to their streams, dead letters aside, life and control too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Message

from driftloop.engine.items import ControlItem, Lifecycle, StreamBatch
from driftloop.messages import StreamStatus
from driftloop.monitor.decode import (
    ControlDecoder,
    Decoder,
    dead_letter,
    keyed_item,
    refused,
)
from driftloop.monitor.items import Control, Life, Records, StreamName, stream_of, topic_of
from driftloop.records import DeadLetter
from driftloop.settings import Profile, Settings
from tests.streams import command, published

SETTINGS = Settings(
    profiles={
        "first": Profile(topics=r"streams\.a.*"),
        "each": Profile(topics=r"streams\..+", partitions="each"),
    }
)


def consumed(offset: int, value: Any, key: bytes | None = None) -> Message:
    """A message as the client gives it to the decoder."""
    data = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return Message(offset=offset, value=data, key=key, timestamp=(1, 1000 + offset))


def batch(topic: str, partition: int, partitions: int, *values: Any) -> StreamBatch:
    messages = [consumed(10 + i, value, b"k%d" % i) for i, value in enumerate(values)]
    return StreamBatch(topic, partition, partitions, messages)


def test_a_batch_goes_to_the_stream_of_its_topic_under_the_first_profile_that_matches() -> None:
    ((key, item),) = Decoder(SETTINGS)([batch("streams.a1", 2, 3, {"y": 1}, {"y": 2})])
    assert key == "streams.a1"
    assert isinstance(item, Records)
    assert item.name == StreamName("streams.a1", "streams.a1", "first")
    assert (item.partitions, item.dead_letters) == (3, 0)
    assert item.rows.offsets.tolist() == [10, 11]
    assert item.rows.partitions.tolist() == [2, 2]
    assert item.rows.ts.tolist() == [1010, 1011]


def test_where_each_partition_is_a_stream_its_topic_counts_as_having_one() -> None:
    ((key, item),) = Decoder(SETTINGS)([batch("streams.b", 2, 3, {})])
    assert key == "streams.b:2"
    assert isinstance(item, Records)
    assert (item.partitions, item.name.profile) == (1, "each")


def test_bad_records_go_aside_and_are_counted_with_the_good_ones() -> None:
    out = list(Decoder(SETTINGS)([batch("streams.a", 0, 1, {"y": 1}, b"bad", {"y": 2})]))
    (letter,) = (found for found in map(dead_letter, out) if found is not None)
    assert (letter.offset, letter.key, letter.timestamp_ms) == (11, b"k1", 1011)
    (keyed,) = (found for found in map(keyed_item, out) if found is not None)
    assert isinstance(keyed[1], Records)
    assert (len(keyed[1].rows), keyed[1].dead_letters) == (2, 1)


def test_a_batch_of_bad_records_alone_still_tells_the_stream_how_many() -> None:
    *letters, keyed = Decoder(SETTINGS)([batch("streams.a", 0, 1, b"x", None)])
    assert [letter.reason for letter in letters if isinstance(letter, DeadLetter)] == [
        "not-json",
        "empty",
    ]
    assert isinstance(keyed, tuple)
    assert isinstance(keyed[1], Records)
    assert (len(keyed[1].rows), keyed[1].dead_letters) == (0, 2)


def test_topics_of_no_profile_are_left_alone() -> None:
    decoder = Decoder(SETTINGS)
    assert not list(decoder([batch("other", 0, 1, {}), Lifecycle("other", "appeared", 1)]))


def test_what_becomes_of_a_topic_is_told_to_each_of_its_streams() -> None:
    out = list(
        Decoder(SETTINGS)(
            [Lifecycle("streams.a", "appeared", 4), Lifecycle("streams.b", "silent", 2)]
        )
    )
    assert [(key, item.kind) for key, item in out if isinstance(item, Life)] == [
        ("streams.a", "appeared"),
        ("streams.b:0", "silent"),
        ("streams.b:1", "silent"),
    ]


def control(key: str, event: Any) -> ControlItem:
    return ControlItem(key, event, "driftloop.models", 0, 5)


def test_control_events_go_to_their_streams() -> None:
    out = list(
        ControlDecoder(SETTINGS)(
            [control("streams.a", published("v1")), control("streams.b:1", command("pin"))]
        )
    )
    assert [(key, item.name.topic, item.name.profile) for key, item in out] == [
        ("streams.a", "streams.a", "first"),
        ("streams.b:1", "streams.b", "each"),
    ]
    assert all(isinstance(item, Control) for _, item in out)


def test_tombstones_other_events_and_unknown_streams_are_passed_over() -> None:
    status = StreamStatus(
        id="s", stream="streams.a", profile="first", state="silent", model_version=None,
        event_time=None,
    )  # fmt: skip
    items = [
        control("streams.a", None),
        control("streams.a", status),
        control("elsewhere", published("v1")),
    ]
    assert not list(ControlDecoder(SETTINGS)(items))


def test_control_events_that_cannot_be_read_go_aside() -> None:
    letter = DeadLetter("driftloop.models", 0, 5, 0, b"k", b"v", "bad-event", "…")
    assert list(ControlDecoder(SETTINGS)([letter])) == [letter]


@pytest.mark.parametrize(
    ("window", "mode", "partitions", "allowed"),
    [
        ({"kind": "count"}, "one", 1, True),
        ({"kind": "count"}, "one", 2, False),
        ({"kind": "count"}, "each", 2, True),
        ({"kind": "cycle", "length": "1d"}, "one", 2, True),
    ],
)
def test_windows_by_count_over_several_partitions_are_refused_with_what_to_do(
    window: Any, mode: Any, partitions: int, *, allowed: bool
) -> None:
    why = refused(Profile(window=window, partitions=mode), partitions)
    assert (why == "") == allowed
    assert allowed or 'partitions = "each"' in why


def test_a_streams_id_tells_its_topic() -> None:
    for mode in ("one", "each"):
        assert topic_of(stream_of("streams.a", 3, mode)) == "streams.a"
