"""The source on a real Kafka: topics that come, go, are made anew, grow and fall silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from tests.integration.engine_rig import (
    Running,
    Totals,
    build_flow,
    checksum,
    produce,
    records,
    until,
)

MakeTopic = Callable[..., str]


class Rig:
    """One prefix of topics, one output topic."""

    def __init__(self, bootstrap: str, make_topic: MakeTopic, prefix: str) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self._make = make_topic
        self.out = make_topic(prefix="out")
        self.totals = Totals(bootstrap, self.out)

    def topic(self, name: str, partitions: int = 1) -> str:
        return self._make(f"{self.prefix}.{name}", partitions=partitions)

    def produce(self, topic: str, count: int, first: int = 0) -> list[bytes]:
        values = records(topic, count, first)
        produce(self.bootstrap, topic, values)
        return values

    def running(self, recovery: Path | None = None, workers: int = 1, **options: object) -> Running:
        flow = build_flow(self.bootstrap, self.prefix, self.out, **options)
        return Running(flow, recovery=recovery, workers=workers)

    def has(self, topic: str, count: int) -> None:
        until(lambda: self.totals.count(topic) == count, f"{count} of {topic}: {self.totals.last}")

    def becomes(self, topic: str, kind: str) -> None:
        until(lambda: kind in self.totals.kinds(topic), f"{topic} {kind}: {self.totals.last}")


@pytest.fixture
def rig(
    kafka_bootstrap: str, make_topic: MakeTopic, topic_name: Callable[..., str]
) -> Iterator[Rig]:
    made = Rig(kafka_bootstrap, make_topic, topic_name("t"))
    yield made
    made.totals.close()


def delete(admin: AdminClient, topic: str) -> None:
    """Delete a topic, and wait until the broker no longer lists it."""
    admin.delete_topics([topic])[topic].result(timeout=30)
    until(lambda: topic not in admin.list_topics(timeout=10).topics, f"{topic} is deleted")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_record_of_every_partition_comes_once_and_in_order(rig: Rig, workers: int) -> None:
    topics = [rig.topic(f"s{number}") for number in range(12)]
    sent = {topic: rig.produce(topic, 500) for topic in topics}
    wide = rig.topic("wide", partitions=3)
    rig.produce(wide, 900)
    with rig.running(workers=workers):
        for topic in topics:
            rig.has(topic, 500)
        rig.has(wide, 900)
    for topic in topics:
        assert rig.totals.last[topic]["sums"] == {"0": checksum(sent[topic])}
        assert rig.totals.last[topic]["kinds"] == ["appeared"]


def test_a_topic_that_appears_is_read_from_its_beginning_even_with_start_latest(rig: Rig) -> None:
    old = rig.topic("old")
    rig.produce(old, 50)
    with rig.running(start="latest"):
        rig.becomes(old, "appeared")
        new = rig.topic("new")
        rig.produce(new, 70)
        began = time.monotonic()
        rig.has(new, 70)
        assert time.monotonic() - began < 10
        rig.produce(old, 5, first=50)
        rig.has(old, 5)


def test_start_latest_skips_nothing_that_comes_while_the_flow_is_down(
    rig: Rig, tmp_path: Path
) -> None:
    topic = rig.topic("a")
    rig.produce(topic, 30)
    with rig.running(tmp_path / "r", start="latest"):
        rig.becomes(topic, "appeared")
    rig.produce(topic, 40, first=30)
    with rig.running(tmp_path / "r", start="latest"):
        rig.has(topic, 40)
    assert rig.totals.last[topic]["kinds"] == ["appeared"]


def test_a_resumed_flow_goes_on_where_it_ended(rig: Rig, tmp_path: Path) -> None:
    topic = rig.topic("a", partitions=1)
    sent = rig.produce(topic, 100)
    with rig.running(tmp_path / "r"):
        rig.has(topic, 100)
    sent += rig.produce(topic, 60, first=100)
    with rig.running(tmp_path / "r", workers=2):
        rig.has(topic, 160)
    assert rig.totals.last[topic] == {
        "count": 160, "kinds": ["appeared"], "sums": {"0": checksum(sent)}
    }  # fmt: skip


def test_a_topic_that_vanishes_while_running_is_reported_once(rig: Rig, admin: AdminClient) -> None:
    gone, stays = rig.topic("gone"), rig.topic("stays")
    rig.produce(gone, 10)
    with rig.running():
        rig.has(gone, 10)
        delete(admin, gone)
        rig.becomes(gone, "deleted")
        rig.produce(stays, 3)
        rig.has(stays, 3)
    assert rig.totals.kinds(gone) == ["appeared", "deleted"]


def test_a_topic_that_vanishes_while_the_flow_is_down_is_reported(
    rig: Rig, admin: AdminClient, tmp_path: Path
) -> None:
    topic = rig.topic("gone")
    rig.produce(topic, 10)
    with rig.running(tmp_path / "r"):
        rig.has(topic, 10)
    delete(admin, topic)
    with rig.running(tmp_path / "r"):
        rig.becomes(topic, "deleted")
    assert rig.totals.kinds(topic) == ["appeared", "deleted"]


@pytest.mark.parametrize("count", [10, 300], ids=["shorter", "longer"])
def test_a_topic_made_anew_between_two_looks_is_read_from_its_start(
    rig: Rig, admin: AdminClient, count: int
) -> None:
    topic = rig.topic("again")
    rig.produce(topic, 100)
    with rig.running(discover_seconds=2.0):
        rig.has(topic, 100)
        delete(admin, topic)
        rig.topic("again")
        sent = rig.produce(topic, count, first=1000)
        rig.becomes(topic, "recreated")
        rig.has(topic, count)
        sent += rig.produce(topic, 5, first=5000)
        rig.has(topic, count + 5)
    assert rig.totals.last[topic]["kinds"] == ["appeared", "recreated"]
    assert rig.totals.last[topic]["sums"] == {"0": checksum(sent)}


def test_a_topic_made_anew_while_the_flow_is_down_is_read_from_its_start(
    rig: Rig, admin: AdminClient, tmp_path: Path
) -> None:
    topic = rig.topic("again")
    rig.produce(topic, 20)
    with rig.running(tmp_path / "r"):
        rig.has(topic, 20)
    delete(admin, topic)
    rig.topic("again", partitions=2)
    rig.produce(topic, 50, first=100)
    with rig.running(tmp_path / "r"):
        rig.has(topic, 50)
    assert rig.totals.last[topic]["kinds"] == ["appeared", "recreated"]


@pytest.mark.parametrize("down", [False, True], ids=["running", "down"])
def test_added_partitions_are_read_from_their_beginning(
    rig: Rig, admin: AdminClient, tmp_path: Path, *, down: bool
) -> None:
    topic = rig.topic("wide")
    rig.produce(topic, 10)

    def widen() -> None:
        admin.create_partitions([NewPartitions(topic, 3)])[topic].result(timeout=30)
        known = admin.list_topics
        until(lambda: len(known(timeout=10).topics[topic].partitions) == 3, "three partitions")
        rig.produce(topic, 600, first=10)

    with rig.running(tmp_path / "r"):
        rig.has(topic, 10)
        if not down:
            widen()
            rig.has(topic, 610)
    if down:
        widen()
        with rig.running(tmp_path / "r"):
            rig.has(topic, 610)
    assert rig.totals.last[topic]["kinds"] == ["appeared", "partitions"]
    assert len(rig.totals.last[topic]["sums"]) == 3


def test_a_silent_topic_is_reported_and_so_is_its_next_record(rig: Rig) -> None:
    topic = rig.topic("quiet")
    rig.produce(topic, 5)
    with rig.running(silent_after=_a_second):
        rig.becomes(topic, "silent")
        rig.produce(topic, 1, first=5)
        rig.has(topic, 6)
        rig.becomes(topic, "active")
    assert rig.totals.last[topic]["kinds"][:3] == ["appeared", "silent", "active"]


def _a_second(_topic: str) -> float:
    return 1.0


@pytest.mark.parametrize("down", [False, True], ids=["first-start", "resumed"])
def test_records_deleted_by_retention_are_skipped_and_the_rest_is_read(
    rig: Rig, admin: AdminClient, tmp_path: Path, *, down: bool
) -> None:
    topic = rig.topic("short")
    rig.produce(topic, 20)
    if down:
        with rig.running(tmp_path / "r"):
            rig.has(topic, 20)
    rig.produce(topic, 40, first=20)
    for future in admin.delete_records([TopicPartition(topic, 0, 50)]).values():
        future.result(timeout=30)
    with rig.running(tmp_path / "r"):
        rig.has(topic, (20 if down else 0) + 10)
        rig.produce(topic, 7, first=60)
        rig.has(topic, (20 if down else 0) + 17)


def test_emission_is_capped_until_an_epoch_ends_and_nothing_is_lost(rig: Rig) -> None:
    topic = rig.topic("many")
    sent = rig.produce(topic, 2000)
    with rig.running(epoch_records=300, max_records=100):
        rig.has(topic, 2000)
    assert rig.totals.last[topic]["sums"] == {"0": checksum(sent)}
