"""Step emit: each event to its topic, dead letters with KIP-1034's headers."""

from __future__ import annotations

import pytest

from driftloop.kafka.dead_letters import to_message
from driftloop.messages import Evidence, FleetIncident, RetrainRequested, StreamStatus, decode
from driftloop.monitor.emit import Router
from driftloop.records import DeadLetter
from driftloop.settings import TopicSettings
from tests.streams import STREAM, make_profile, make_stream, play

ROUTER = Router(TopicSettings(evidence="own.evidence"))
LETTER = DeadLetter("streams.a", 3, 17, 1234, b"key", b"\xff\x00", "not-json", "why é \ud800")


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        (RetrainRequested, "driftloop.retrain"),
        (Evidence, "own.evidence"),
        (StreamStatus, "driftloop.status"),
    ],
)
def test_each_event_goes_to_its_topic_keyed_by_stream_and_reads_back(
    kind: type, topic: str
) -> None:
    profile = make_profile(policy={"min_records": 20, "cost": 2.0})
    event = play(profile, make_stream(profile, 0, 200, drift_at=90)).of(kind)[0]
    key, message = ROUTER.event((STREAM, event))
    assert key == STREAM
    assert (message.topic, message.key) == (topic, STREAM.encode())
    assert decode(message.headers, message.value) == event
    assert dict(message.headers)["ce_source"] == b"driftloop/monitor"


def test_an_incident_goes_to_its_topic_keyed_by_profile() -> None:
    event = FleetIncident(id="i", profile="flights", action="opened", opened_at=0)
    key, message = ROUTER.event(("flights", event))
    assert (key, message.topic, message.key) == ("flights", "driftloop.incidents", b"flights")
    assert decode(message.headers, message.value) == event


def test_a_dead_letter_keeps_its_bytes_and_tells_reason_and_coordinates() -> None:
    key, message = ROUTER.dead_letter(LETTER)
    assert key == "streams.a"
    assert (message.topic, message.key, message.value) == (
        "driftloop.dlq",
        b"streams.a",
        b"\xff\x00",
    )
    assert dict(message.headers) == {
        "__streams.errors.exception": b"not-json",
        "__streams.errors.message": "why é ?".encode(),
        "__streams.errors.topic": b"streams.a",
        "__streams.errors.partition": b"3",
        "__streams.errors.offset": b"17",
        "driftloop.timestamp": b"1234",
        "driftloop.key": b"key",
    }


def test_a_dead_letter_without_key_or_value_has_none() -> None:
    message = to_message(DeadLetter("t", 0, 0, -1, None, None, "empty", ""))
    assert message.value is None
    assert "driftloop.key" not in dict(message.headers)
