"""The control source on a real Kafka: events of topics known by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink
from confluent_kafka.admin import AdminClient, NewPartitions

from driftloop.engine import ControlItem, ControlSource
from driftloop.kafka.producer import CheckedProducer
from driftloop.messages import Command, encode, new_traceparent
from driftloop.records import DeadLetter
from tests.integration.engine_rig import Running, until

MakeTopic = Callable[..., str]


def command(number: int, stream: str = "s") -> Command:
    return Command(
        id=str(number), stream=stream, profile="p", action="pin", who="me", why="", issued_at=0
    )


def control_flow(bootstrap: str, topics: list[str], found: list[Any]) -> Dataflow:
    flow = Dataflow("control")
    source = ControlSource(
        {"bootstrap.servers": bootstrap}, topics, name="control", discover_seconds=0.5
    )
    op.output("out", op.input("in", flow, source), TestingSink(found))
    return flow


def ids(found: list[Any]) -> list[str]:
    return [item.event.id for item in found if isinstance(item, ControlItem) and item.event]


def test_events_tombstones_and_dead_letters_come_in_order_and_once(
    kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic(prefix="commands")
    found: list[Any] = []
    with CheckedProducer({"bootstrap.servers": kafka_bootstrap}) as producer:
        producer.produce(topic, encode(command(1)))
        producer.produce(topic, key=b"s")
        producer.produce(topic, key=b"s", value=b"{}", headers=[("ce_type", b"unknown")])
        producer.produce(topic, key=b"other", value=encode(command(2)).value,
                         headers=encode(command(2)).headers)  # fmt: skip
        producer.produce(topic)
        producer.produce(topic, encode(command(3)))
    with Running(control_flow(kafka_bootstrap, [topic], found), recovery=tmp_path):
        until(lambda: len(found) == 6, "six items")
    first = command(1)
    assert found[0] == ControlItem("s", first, topic, 0, 0, new_traceparent(first.id))
    assert found[1] == ControlItem("s", None, topic, 0, 1)
    letters = found[2:5]
    assert all(isinstance(letter, DeadLetter) for letter in letters)
    assert [(letter.offset, letter.reason) for letter in letters] == [
        (2, "bad-event"), (3, "bad-event"), (4, "bad-event")
    ]  # fmt: skip
    assert letters[0].value == b"{}"
    assert letters[0].timestamp_ms > 0
    assert ids(found) == ["1", "3"]
    with CheckedProducer({"bootstrap.servers": kafka_bootstrap}) as producer:
        producer.produce(topic, encode(command(4)))
    with Running(control_flow(kafka_bootstrap, [topic], found), recovery=tmp_path):
        until(lambda: len(found) == 7, "the one that came while it was down")
    assert ids(found) == ["1", "3", "4"]


def test_a_missing_topic_is_waited_for_and_not_made(
    kafka_bootstrap: str,
    make_topic: MakeTopic,
    topic_name: Callable[..., str],
    admin: AdminClient,
) -> None:
    there, missing = make_topic(prefix="commands"), topic_name("models")
    found: list[Any] = []
    with Running(control_flow(kafka_bootstrap, [there, missing], found)):
        with CheckedProducer({"bootstrap.servers": kafka_bootstrap}) as producer:
            producer.produce(there, encode(command(1)))
        until(lambda: ids(found) == ["1"], "the first event")
        assert missing not in admin.list_topics(timeout=10).topics
        make_topic(missing)
        with CheckedProducer({"bootstrap.servers": kafka_bootstrap}) as producer:
            producer.produce(missing, encode(command(2)))
        until(lambda: ids(found) == ["1", "2"], "the event of the new topic")


def test_added_partitions_are_noticed(
    kafka_bootstrap: str, make_topic: MakeTopic, admin: AdminClient
) -> None:
    topic = make_topic(prefix="commands")
    found: list[Any] = []
    with Running(control_flow(kafka_bootstrap, [topic], found)):
        admin.create_partitions([NewPartitions(topic, 4)])[topic].result(timeout=30)
        until(
            lambda: len(admin.list_topics(timeout=10).topics[topic].partitions) == 4, "4 partitions"
        )
        with CheckedProducer({"bootstrap.servers": kafka_bootstrap}) as producer:
            for number in range(40):
                producer.produce(topic, encode(command(number, stream=f"s{number}")))
        until(lambda: len(found) == 40, "all events")
    assert {item.partition for item in found} == {0, 1, 2, 3}
