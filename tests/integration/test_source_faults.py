"""The engine on a real Kafka, disturbed: killed, its broker restarted, asked to stop."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from driftloop.kafka.broker import LocalBroker
from driftloop.kafka.producer import CheckedProducer
from tests.integration.engine_rig import (
    HERE,
    Totals,
    checksum,
    produce,
    records,
    start_process,
    until,
)

MakeTopic = Callable[..., str]
TOPICS = 6


class Flow:
    """The counting flow as processes, and what it counts."""

    def __init__(self, bootstrap: str, prefix: str, out: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.arguments = {"bootstrap": bootstrap, "prefix": prefix, "out": out}
        self.topics = [f"{prefix}.{number}" for number in range(TOPICS)]
        self.totals = Totals(bootstrap, out)
        self.recovery = folder / "recovery"
        self.log = folder / "log"
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        process = start_process(self.arguments, self.log, recovery=str(self.recovery), **options)
        self.started.append(process)
        return process

    def total(self) -> int:
        last = self.totals.read()
        return sum(last[topic]["count"] for topic in self.topics if topic in last)

    def is_exact(self, count: int) -> None:
        """Every topic's total is `count`, and its checksum that of its records in order."""
        for topic in self.topics:
            assert self.totals.last[topic]["count"] == count, topic
            assert self.totals.last[topic]["sums"] == {"0": checksum(records(topic, count))}, topic

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.totals.close()


@pytest.fixture
def flow(
    kafka_bootstrap: str, make_topic: MakeTopic, topic_name: Callable[..., str], tmp_path: Path
) -> Iterator[Flow]:
    made = Flow(kafka_bootstrap, topic_name("f"), make_topic(prefix="out"), tmp_path)
    for topic in made.topics:
        make_topic(topic)
    yield made
    made.end()


def feed(flow: Flow, first: int, count: int) -> None:
    """Records `first` and on, of every topic, interleaved."""
    with CheckedProducer({"bootstrap.servers": flow.bootstrap}) as producer:
        lanes = [(topic, records(topic, count, first)) for topic in flow.topics]
        for number in range(count):
            for topic, values in lanes:
                producer.produce(topic, value=values[number])


@pytest.mark.parametrize(("processes", "rounds"), [(1, 5), (2, 2)])
def test_a_flow_killed_again_and_again_counts_every_record_once(
    flow: Flow, processes: int, rounds: int
) -> None:
    seeded = random.Random(7)
    sent = 0
    for _ in range(rounds):
        target = flow.total() + seeded.randrange(200, 1500)
        process = flow.start(processes=processes)
        feed(flow, sent, 400)
        sent += 400
        least = min(target, sent * TOPICS)
        until(lambda least=least: flow.total() >= least, "some progress")
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        # Its children see the end of their parent, and end: none writes on.
        psutil.wait_procs(children, timeout=20)
        assert not [child for child in children if child.is_running()]
    process = flow.start(processes=processes)
    feed(flow, sent, 100)
    sent += 100
    until(lambda: flow.total() == sent * TOPICS, "all records")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    flow.is_exact(sent)


def test_a_process_that_dies_ends_its_cluster_with_a_status(flow: Flow) -> None:
    process = flow.start(processes=2)
    feed(flow, 0, 10)
    until(lambda: flow.total() == 10 * TOPICS, "all records")
    children = psutil.Process(process.pid).children(recursive=True)
    children[1].kill()
    assert process.wait(30) == 1
    psutil.wait_procs(children, timeout=20)
    assert not [child for child in children if child.is_running()]
    assert b"process 1 of the flow ended with status -9" in flow.log.read_bytes()


@pytest.mark.parametrize(
    ("number", "processes", "workers"),
    [(signal.SIGTERM, 1, 1), (signal.SIGINT, 1, 2), (signal.SIGTERM, 2, 1)],
)
def test_a_signal_drains_with_status_0_and_nothing_is_repeated(
    flow: Flow, number: signal.Signals, processes: int, workers: int
) -> None:
    feed(flow, 0, 50)
    # An epoch that never ends by itself: what is stored then is the drain's.
    process = flow.start(processes=processes, workers=workers, epoch_seconds=600)
    until(lambda: flow.total() == 50 * TOPICS, "all records")
    process.send_signal(number)
    assert process.wait(30) == 0, flow.log.read_text()
    outputs = len(flow.totals.seen)
    process = flow.start(processes=processes, workers=workers)
    feed(flow, 50, 5)
    until(lambda: flow.total() == 55 * TOPICS, "the rest")
    process.send_signal(number)
    assert process.wait(30) == 0
    assert all(count > 50 for _, count in flow.totals.seen[outputs:])
    flow.is_exact(55)


def test_a_second_signal_ends_a_flow_that_cannot_drain(flow: Flow, make_topic: MakeTopic) -> None:
    out = make_topic(prefix="out")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        flow.arguments |= {
            "out": out,
            # A broker that never answers: the sink waits for its acknowledgements.
            "produce": {"bootstrap.servers": f"127.0.0.1:{deaf.getsockname()[1]}"},
        }
        process = flow.start()
        feed(flow, 0, 5)
        # Before that, it could drain at once.
        until(lambda: b"tally.routed" in flow.log.read_bytes(), "the sink has something to send")
        process.send_signal(signal.SIGTERM)
        until(lambda: b"stop.requested" in flow.log.read_bytes(), "it was asked to stop")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 130


@pytest.mark.parametrize("workers", ["1", "2"])
def test_plain_bytewax_run_drains_on_sigterm(flow: Flow, workers: str) -> None:
    feed(flow, 0, 20)
    arguments = flow.arguments
    call = "plain_flow({bootstrap!r}, {prefix!r}, {out!r})".format(**arguments)
    with flow.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bytewax.run", f"{HERE}:{call}", "-w", workers],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[2])},
        )
    flow.started.append(process)
    until(lambda: flow.total() == 20 * TOPICS, "all records")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, flow.log.read_text()
    flow.is_exact(20)


def test_a_broker_restarted_under_load_loses_and_repeats_nothing(
    own_broker: Callable[..., LocalBroker], tmp_path: Path
) -> None:
    broker = own_broker()
    bootstrap = broker.bootstrap_servers
    flow = Flow(bootstrap, "load", "out", tmp_path)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [NewTopic(name, 1, 1) for name in [*flow.topics, "out"]]
    for future in admin.create_topics(new).values():
        future.result(timeout=30)
    rounds, size = 20, 100
    fault: list[BaseException] = []

    def load() -> None:
        try:
            for number in range(rounds):
                feed(flow, number * size, size)
        except BaseException as error:  # noqa: BLE001  # handed to the test
            fault.append(error)

    try:
        process = flow.start()
        thread = threading.Thread(target=load)
        thread.start()
        until(lambda: flow.total() > 2 * size * TOPICS, "some progress")
        broker.restart()
        until(lambda: flow.total() > 6 * size * TOPICS, "progress after a restart")
        broker.restart(grace=0)
        thread.join(120)
        assert not fault, fault
        until(lambda: flow.total() == rounds * size * TOPICS, "all records")
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        flow.is_exact(rounds * size)
    finally:
        flow.end()


def test_a_broker_that_dies_fails_the_flow_and_nothing_is_missing_afterwards(
    flow: Flow, own_broker: Callable[..., LocalBroker]
) -> None:
    target = own_broker()
    outside = AdminClient({"bootstrap.servers": target.bootstrap_servers})
    outside.create_topics([NewTopic("out", 1, 1)])["out"].result(timeout=30)
    flow.totals.close()
    flow.totals = Totals(target.bootstrap_servers, "out")
    flow.arguments |= {
        "out": "out",
        "produce": {"bootstrap.servers": target.bootstrap_servers, "delivery.timeout.ms": 3000},
    }
    process = flow.start()
    feed(flow, 0, 50)
    until(lambda: flow.total() == 50 * TOPICS, "the first records")
    target.kill()
    for topic in flow.topics:
        produce(flow.bootstrap, topic, records(topic, 30, 50))
    assert process.wait(60) == 1
    assert b"DeliveryError" in flow.log.read_bytes()
    target.restart()
    process = flow.start()
    until(lambda: flow.total() == 80 * TOPICS, "all records")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    flow.is_exact(80)
