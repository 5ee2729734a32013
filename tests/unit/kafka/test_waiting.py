"""Waiting for Kafka: given up when asked to, and hints that name what to do."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from driftloop.kafka import waiting
from driftloop.kafka.broker import BrokerStatus


def test_waiting_tells_at_once_and_ends_when_asked_to() -> None:
    asked: list[bool] = []
    beats: list[bool] = []

    def ended() -> bool:
        asked.append(True)
        return len(asked) > 3

    with capture_logs() as lines:
        client = {"bootstrap.servers": "127.0.0.1:1"}
        assert not waiting.wait_for_kafka(client, ended, lambda: beats.append(True))
    told = [line for line in lines if line["event"] == "kafka.waiting"]
    assert 1 <= len(told) < 4
    assert len(beats) == 3, "who waits is alive"
    assert told[0]["servers"] == "127.0.0.1:1"


@pytest.mark.parametrize(
    ("servers", "named", "local", "told"),
    [
        ("127.0.0.1:9092", False, True, "export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:5"),
        ("127.0.0.1:9092", False, False, "driftloop kafka up"),
        ("127.0.0.1:9092", True, True, "correct kafka.bootstrap_servers"),
        ("other:1", False, True, "correct kafka.bootstrap_servers"),
    ],
)
def test_the_hint_is_what_can_be_done(
    monkeypatch: pytest.MonkeyPatch,
    servers: str,
    named: bool,  # noqa: FBT001
    local: bool,  # noqa: FBT001
    told: str,
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    if named:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    found = BrokerStatus("java", "127.0.0.1:5", running=local, topics=0 if local else None)
    monkeypatch.setattr(waiting, "broker_status", lambda: found)
    assert told in waiting.hint(servers)
