"""Sink and checked producer on a real Kafka: no message is lost in silence."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource
from confluent_kafka import Consumer, TopicPartition

from driftloop.engine import KafkaSink, Outgoing, run_flow
from driftloop.errors import DeliveryError
from driftloop.kafka.producer import CheckedProducer

MakeTopic = Callable[..., str]


def sink_flow(client: dict[str, object], messages: list[Outgoing], patience: float) -> Dataflow:
    flow = Dataflow("sink")
    stream = op.input("in", flow, TestingSource(messages, batch_size=50))
    keyed = op.map("key", stream, lambda item: ((item.key or b"").decode(), item))
    op.output("out", keyed, KafkaSink(client, parts=4, patience=patience))
    return flow


def read(bootstrap: str, topic: str, count: int) -> list[tuple[bytes | None, bytes | None, object]]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "t"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = consumer.consume(count, 30)
    found += consumer.consume(1, 0.3)
    consumer.close()
    return [(m.key(), m.value(), m.headers()) for m in found]


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address where nobody ever answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize("workers", [1, 2])
def test_every_message_arrives_once_with_its_headers_and_a_keys_order(
    kafka_bootstrap: str, make_topic: MakeTopic, workers: int
) -> None:
    topic = make_topic(prefix="out")
    sent = [
        Outgoing(topic, f"k{n % 7}".encode(), None if n % 50 == 0 else str(n).encode(),
                 [("h", str(n).encode())])
        for n in range(1000)
    ]  # fmt: skip
    client = {"bootstrap.servers": kafka_bootstrap}
    run_flow(sink_flow(client, sent, 30), workers=workers, epoch_seconds=0.1)
    found = read(kafka_bootstrap, topic, 1000)
    assert sorted(map(str, found)) == sorted(str((m.key, m.value, m.headers)) for m in sent)
    for key in {m.key for m in sent}:
        assert [f[2] for f in found if f[0] == key] == [m.headers for m in sent if m.key == key]


def test_a_full_queue_waits_instead_of_losing(kafka_bootstrap: str, make_topic: MakeTopic) -> None:
    topic = make_topic(prefix="out")
    sent = [Outgoing(topic, b"k", str(n).encode(), []) for n in range(5000)]
    client = {"bootstrap.servers": kafka_bootstrap, "queue.buffering.max.messages": 10}
    run_flow(sink_flow(client, sent, 30))
    assert [f[1] for f in read(kafka_bootstrap, topic, 5000)] == [m.value for m in sent]


def test_an_undelivered_message_fails_the_flow_and_is_named(
    kafka_bootstrap: str, topic_name: Callable[..., str], tmp_path: Path
) -> None:
    missing = topic_name("missing")
    client = {
        "bootstrap.servers": kafka_bootstrap,
        "delivery.timeout.ms": 2000,
        "allow.auto.create.topics": False,
        "topic.metadata.propagation.max.ms": 500,
    }
    flow = sink_flow(client, [Outgoing(missing, b"key-7", b"v", [])], 10)
    with pytest.raises(DeliveryError, match=rf"{missing}.*key-7.*UNKNOWN_TOPIC") as raised:
        run_flow(flow, recovery=tmp_path / "r", epoch_seconds=0.1)
    assert "1 message(s) were not acknowledged" in str(raised.value)


def test_a_silent_broker_fails_the_flow_within_its_patience(deaf: str) -> None:
    flow = sink_flow({"bootstrap.servers": deaf}, [Outgoing("t", b"k", b"v", [])], 1)
    with pytest.raises(DeliveryError, match="had no delivery report for 1 s"):
        run_flow(flow)


def test_a_message_that_the_client_refuses_is_named(
    kafka_bootstrap: str, make_topic: MakeTopic
) -> None:
    topic = make_topic(prefix="out")
    flow = sink_flow(
        {"bootstrap.servers": kafka_bootstrap, "message.max.bytes": 2000},
        [Outgoing(topic, b"big", b"x" * 3000, [])],
        10,
    )
    with pytest.raises(DeliveryError, match=rf"{topic}.*big.*MSG_SIZE_TOO_LARGE"):
        run_flow(flow)


def test_the_checked_producer_raises_on_leaving_for_what_was_not_delivered(deaf: str) -> None:
    client = {"bootstrap.servers": deaf, "delivery.timeout.ms": 1000, "log_level": 0}
    said = r"topic t, key 'k'.*_MSG_TIMED_OUT"
    with pytest.raises(DeliveryError, match=said), CheckedProducer(client) as producer:
        producer.produce("t", key=b"k", value=b"v")


def test_an_error_in_the_block_is_not_hidden_by_delivery(deaf: str) -> None:
    client = {"bootstrap.servers": deaf, "log_level": 0}
    with pytest.raises(ValueError, match="mine"):
        _fail_inside(client)


def _fail_inside(client: dict[str, object]) -> None:
    with CheckedProducer(client) as producer:
        producer.produce("t", key=b"k", value=b"v")
        int("mine")
