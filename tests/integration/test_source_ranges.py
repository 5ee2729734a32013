"""Offset ranges on a real Kafka: read by position, refused when they are gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.errors import KafkaUnavailableError, OffsetsExpiredError
from driftloop.kafka.ranges import expired_ranges, read_ranges
from driftloop.messages import OffsetRange
from tests.integration.engine_rig import produce, records

MakeTopic = Callable[..., str]


def read(bootstrap: str, ranges: list[OffsetRange]) -> dict[OffsetRange, list[int]]:
    client = {"bootstrap.servers": bootstrap}
    found = {}
    for wanted, messages in read_ranges(client, ranges, timeout=20):
        assert wanted not in found, "each range is yielded once"
        assert all(m.topic() == wanted.topic for m in messages)
        found[wanted] = [m.offset() or 0 for m in messages]
    return found


def test_many_ranges_of_many_topics_overlapping_nested_and_apart(
    kafka_bootstrap: str, make_topic: MakeTopic
) -> None:
    topics = [make_topic() for _ in range(5)]
    for topic in topics:
        produce(kafka_bootstrap, topic, records(topic, 1000))
    bounds = [(0, 99), (50, 149), (60, 70), (149, 149), (500, 520), (990, 999), (990, 999)]
    ranges = [OffsetRange(topic, 0, *bound) for topic in topics for bound in bounds]
    found = read(kafka_bootstrap, ranges)
    assert found == {r: list(range(r.first, r.last + 1)) for r in ranges}


def test_transaction_markers_and_aborted_records_are_passed_over(
    kafka_bootstrap: str, make_topic: MakeTopic, topic_name: Callable[..., str]
) -> None:
    topic = make_topic()
    producer = Producer(
        {"bootstrap.servers": kafka_bootstrap, "transactional.id": topic_name("tx")}
    )
    producer.init_transactions(30)
    for number in range(4):
        producer.begin_transaction()
        for _ in range(3):
            producer.produce(topic, value=b"v")
        producer.flush(30)
        if number % 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    # Offsets: 0-2, marker 3, aborted 4-6, marker 7, 8-10, marker 11, aborted 12-14, marker 15.
    ranges = [OffsetRange(topic, 0, *bound) for bound in [(0, 15), (3, 7), (9, 15), (12, 15)]]
    assert read(kafka_bootstrap, ranges) == {
        ranges[0]: [0, 1, 2, 8, 9, 10],
        ranges[1]: [],
        ranges[2]: [9, 10],
        ranges[3]: [],
    }


def test_an_expired_range_is_refused_with_the_first_offset_that_is_left(
    kafka_bootstrap: str, make_topic: MakeTopic, admin: AdminClient
) -> None:
    topic, other = make_topic(), make_topic()
    for name in (topic, other):
        produce(kafka_bootstrap, name, records(name, 100))
    for future in admin.delete_records([TopicPartition(topic, 0, 50)]).values():
        future.result(timeout=30)
    gone, partly, left = (OffsetRange(topic, 0, *b) for b in [(0, 9), (49, 60), (50, 99)])
    ahead, missing = OffsetRange(topic, 0, 90, 100), OffsetRange(f"{topic}-no", 0, 0, 1)
    fine = OffsetRange(other, 0, 0, 99)
    client = {"bootstrap.servers": kafka_bootstrap}
    faults = expired_ranges(client, [gone, partly, left, ahead, missing, fine])
    assert set(faults) == {gone, partly, ahead, missing}
    assert str(faults[partly]) == (
        f"range {partly} cannot be read: the topic now begins at offset 50; "
        "retention must outlast the training window"
    )
    assert "ends before offset 100" in str(faults[ahead])
    assert "no longer exists" in str(faults[missing])
    with pytest.raises(OffsetsExpiredError, match=f"range {gone} cannot be read"):
        list(read_ranges(client, [left, gone]))
    assert list(read(kafka_bootstrap, [left, fine])) != []


def test_no_ranges_need_no_broker() -> None:
    assert list(read_ranges({"bootstrap.servers": "127.0.0.1:1"}, [])) == []


def test_a_broker_that_does_not_answer_is_named_so() -> None:
    client = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    with pytest.raises(KafkaUnavailableError):
        list(read_ranges(client, [OffsetRange("t", 0, 0, 1)], timeout=1))


def test_a_range_is_read_whole_where_others_of_its_partition_are_jumped_to(
    kafka_bootstrap: str, make_topic: MakeTopic
) -> None:
    topic = make_topic()
    produce(kafka_bootstrap, topic, records(topic, 30_000))
    bounds = [(0, 25_000), (9_990, 10_010), (29_000, 29_999), (29_500, 29_500)]
    ranges = [OffsetRange(topic, 0, *bound) for bound in bounds]
    assert read(kafka_bootstrap, ranges) == {
        one: list(range(one.first, one.last + 1)) for one in ranges
    }
