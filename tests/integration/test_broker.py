"""The local Kafka: one a home, found again, never confused with another process or broker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka import broker_process
from driftloop.kafka.broker import LocalBroker, broker_status, ensure_broker, stop_broker
from driftloop.kafka.broker_probe import free_ports

Start = Callable[..., LocalBroker]


@pytest.fixture(autouse=True)
def _no_foreign_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests start brokers even where the environment names one."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


def _write(bootstrap: str, topic: str, values: list[bytes]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if topic not in admin.list_topics(timeout=10).topics:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(timeout=20)
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def _read(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = consumer.consume(count, timeout=30)
    consumer.close()
    return [message.value() for message in messages]


def test_restart_keeps_address_and_records_after_a_stop_and_after_a_crash(
    own_broker: Start,
) -> None:
    broker = own_broker()
    address = broker.bootstrap_servers
    _write(address, "kept", [b"a", b"b"])
    broker.restart()
    assert broker.bootstrap_servers == address
    _write(address, "kept", [b"c"])
    broker.kill()
    assert not broker.is_running()
    assert broker.topics(timeout=0.5) is None
    broker.restart()
    assert broker.bootstrap_servers == address
    assert _read(address, "kept", 3) == [b"a", b"b", b"c"]


def test_a_second_call_finds_the_first_ones_broker_and_a_crashed_one_is_started_again(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    first = ensure_broker(home, tied=True)
    try:
        second = ensure_broker(home)
        assert first.started
        assert not second.started
        assert second.bootstrap_servers == first.bootstrap_servers
        assert not second.stop(), "what a call did not start, its handle does not stop"
        assert broker_status(home).answers

        assert first.broker is not None
        first.broker.kill()
        status = broker_status(home)
        assert not status.running
        assert not status.answers

        third = ensure_broker(home, tied=True)
        assert third.started
        assert third.bootstrap_servers == first.bootstrap_servers
        assert stop_broker(home)
        assert not third.stop(), "it is gone already"
    finally:
        stop_broker(home)
    assert not stop_broker(home), "a stopped broker is not stopped twice"
    assert (home / "kafka" / "data").is_dir(), "its data stays"
    stop_broker(home, purge=True)
    assert not (home / "kafka").exists()


def test_two_homes_hold_two_brokers_on_loopback_only(own_broker: Start) -> None:
    one, other = own_broker(), own_broker()
    assert one.bootstrap_servers != other.bootstrap_servers
    _write(one.bootstrap_servers, "only-here", [b"x"])
    assert one.topics() == 1
    assert other.topics() == 0
    with pytest.raises(KafkaUnavailableError, match="already"):
        LocalBroker.start(one.folder.home)


def test_a_taken_port_is_refused_with_its_number(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(KafkaUnavailableError, match=f"port {port} .* is taken"):
            LocalBroker.start(tmp_path, port=port)


def test_a_port_that_is_lost_in_the_race_costs_another_try(
    own_broker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program takes the port between the look and the start: the broker moves on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        answers = [[taken]]
        monkeypatch.setattr(
            "driftloop.kafka.broker_local.free_ports",
            lambda count: answers.pop() if answers else free_ports(count),
        )
        broker = own_broker(how="java")
    assert not answers
    assert broker.topics() == 0
    assert broker.bootstrap_servers != f"127.0.0.1:{taken}"


def test_a_tied_broker_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from driftloop.kafka.broker import LocalBroker\n"
        "LocalBroker.start(pathlib.Path(sys.argv[1]))\n"
        "print('up', flush=True); sys.stdin.read()\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        broker = LocalBroker.find(tmp_path)
        assert broker is not None
        if broker.state.how != "java":
            pytest.skip("a container is not tied to its starter")
        assert broker.is_running()
    finally:
        starter.send_signal(signal.SIGKILL)
        starter.communicate()
    deadline = time.monotonic() + 30
    while broker.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not broker.is_running()


def test_a_process_that_only_has_the_brokers_pid_is_left_alone(tmp_path: Path) -> None:
    """The pid of a broker that is gone may belong to anyone: here, to this very test."""
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "broker.json").write_text(
        '{"how": "java", "cluster": "c", "port": 1, "controller_port": 2, "heap": "64m",'
        f' "pid": {os.getpid()}, "start": "an earlier boot:1", "container": ""}}'
    )
    assert not stop_broker(tmp_path)
    assert broker_process.start_of(os.getpid()) is not None
    assert not broker_status(tmp_path).running


def test_a_named_kafka_that_is_silent_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr("driftloop.kafka.broker._FOREIGN_SECONDS", 0.5)
    with pytest.raises(KafkaUnavailableError, match=r"KAFKA_BOOTSTRAP_SERVERS=127\.0\.0\.1:1 does"):
        ensure_broker(tmp_path)
    assert not any(tmp_path.iterdir()), "nothing is started beside it"


def test_the_command_starts_finds_and_stops_a_broker(tmp_path: Path) -> None:
    """``driftloop kafka up | status | down``, as a person types them."""
    command = str(Path(sys.executable).parent / "driftloop")
    environment = {**os.environ, "DRIFTLOOP_HOME": str(tmp_path)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, "kafka", *words], env=environment, capture_output=True, text=True, check=False
        )

    assert run("status").returncode == 1
    try:
        up = run("up")
        assert up.returncode == 0, up.stderr
        assert "Started: Kafka at 127.0.0.1:" in up.stdout
        assert "Already there" in run("up").stdout
        status = run("status")
        assert status.returncode == 0
        assert "answers" in status.stdout
    finally:
        down = run("down", "--purge")
    assert "Stopped" in down.stdout
    assert run("status").returncode == 1


def test_the_sessions_kafka_takes_and_gives_records(
    kafka_bootstrap: str, make_topic: Callable[..., str]
) -> None:
    topic = make_topic()
    _write(kafka_bootstrap, topic, [b"x"])
    assert _read(kafka_bootstrap, topic, 1) == [b"x"]
