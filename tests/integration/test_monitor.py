"""The monitor on a real Kafka, one process for all tests of this file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Message

from driftloop.kafka.dead_letters import PREFIX
from driftloop.messages import (
    Command,
    Cost,
    Evidence,
    ModelPublished,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    decode,
)
from driftloop.messages.ranges import OffsetRange
from driftloop.settings import Settings
from tests.integration.monitor_rig import START_MS, WINDOW, MonitorRig, Tail, jumping


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[MonitorRig]:
    """A running monitor; it must outlive all tests and drain at the end."""
    with MonitorRig(tmp_path_factory.mktemp("monitor"), kafka_bootstrap) as rig:
        process = rig.start()
        yield rig
        assert rig.stop(process) == 0


@pytest.fixture
def tail(rig: MonitorRig) -> Iterator[Tail]:
    """What the monitor emits."""
    with rig.tail("evidence", "retrain", "status") as tail:
        yield tail


def test_a_jump_gives_exactly_the_events_of_the_pure_parts(rig: MonitorRig, tail: Tail) -> None:
    topic = rig.make("streams.jump")
    values = jumping(20 * WINDOW)
    expected = rig.expected({topic: values})
    assert any(b'"reason":"policy"' in body for body in expected.values())
    rig.produce(topic, values)
    last = next(
        event
        for event in reversed(rig.decisions(topic, values, batch=11))
        if isinstance(event, StreamStatus)
    )
    tail.until(lambda: tail.status(topic) == last, "the last status")
    tail.gather(expected)
    assert _own(tail, topic) == {name: {body} for name, body in expected.items()}
    ids = [e.id for e in tail.events(topic) if not isinstance(e, StreamStatus)]
    assert len(ids) == len(set(ids)), "nothing is emitted twice"


def _own(tail: Tail, topic: str) -> dict[str, set[bytes]]:
    ids = {event.id for event in tail.events(topic)}
    return {name: bodies for name, bodies in tail.bodies().items() if name in ids}


def test_health_says_that_the_monitor_is_alive_also_when_nothing_comes(
    rig: MonitorRig, tail: Tail
) -> None:
    topic = rig.make("streams.idle")
    tail.until(lambda: tail.status(topic), "the monitor runs")
    file = rig.settings.home / "monitor.alive"
    first = json.loads(file.read_text())
    tail.until(lambda: json.loads(file.read_text())["time"] > first["time"], "another beat")
    health = rig.run("health", "monitor", "--config", str(rig.config))
    assert health.returncode == 0, health.stderr
    assert "monitor (process" in health.stdout


def test_topics_that_appear_vanish_and_come_again_need_no_restart(
    rig: MonitorRig, tail: Tail
) -> None:
    """The look for topics is every five seconds by default: within ten, both its halves fit."""
    assert Settings().monitor.discover.total_seconds() <= 5
    topic = rig.make("streams.comes")
    tail.until(lambda: tail.status(topic), "the new topic is seen before its first record")
    assert tail.status(topic).state == "warming-up"  # type: ignore[union-attr]  # it is there
    first = jumping(2 * WINDOW, seed=1)
    rig.produce(topic, first)
    expected = rig.expected({topic: first})
    tail.gather(expected)

    rig.delete(topic)
    tail.until(lambda: tail.status(topic).state == "retired", "the topic is gone")  # type: ignore[union-attr]

    assert rig.make("streams.comes") == topic
    second = jumping(2 * WINDOW, seed=2)
    rig.produce(topic, second)
    again = rig.expected({topic: second})
    both = {name: {expected.get(name, body), body} for name, body in again.items()}
    tail.until(
        lambda: both.items() <= _own(tail, topic).items(), "evidence from offset 0 once more"
    )
    last = [e for e in rig.decisions(topic, second, 9) if isinstance(e, StreamStatus)][-1]
    tail.until(lambda: tail.status(topic) == last, "counters that began anew")


def test_a_topic_made_anew_at_once_starts_afresh(rig: MonitorRig, tail: Tail) -> None:
    topic = rig.make("streams.swift")
    first = jumping(3 * WINDOW, seed=3)
    rig.produce(topic, first)
    tail.gather(rig.expected({topic: first}))
    second = jumping(2 * WINDOW, seed=4)
    rig.remake(topic, second)
    last = [e for e in rig.decisions(topic, second, 9) if isinstance(e, StreamStatus)][-1]
    tail.until(lambda: tail.status(topic) == last, "the status of a new stream")


POISON: list[tuple[bytes | None, str]] = [
    (b'{"id": "broken', "not-json"),
    (b"\xff\xfe\x00", "not-json"),
    (b"[1, 2, 3]", "wrong-type"),
    (b'{"id": "t", "x": {"a": "text", "b": 1}, "y": 1, "y_pred": 1}', "wrong-type"),
    (b'{"id": "t", "x": {"a": 1, "b": 1}, "y": {"deep": [1]}, "y_pred": 1}', "wrong-type"),
    (b"", "empty"),
    (None, "empty"),
    (b'{"id": "t", "ts": "yesterday", "y": 1, "y_pred": 1}', "bad-timestamp"),
    (b'{"id": "t", "ts": 1e18, "y": 1, "y_pred": 1}', "bad-timestamp"),
]


def test_poisoned_records_go_aside_unchanged_and_the_good_ones_all_count(
    rig: MonitorRig, tail: Tail
) -> None:
    topic = rig.make("streams.poison")
    good = jumping(4 * WINDOW, seed=5)
    nan = json.loads(good[3])
    nan["x"]["a"] = float("nan")
    good[3] = json.dumps(nan).encode()
    assert b"NaN" in good[3]
    values: list[bytes | None] = list(good)
    reasons = {}
    for i, (value, _) in enumerate(POISON):
        values.insert(9 * i, value)
    for i, (_, reason) in enumerate(POISON):
        reasons[9 * i] = reason
    rig.produce(topic, values, key=b"the key")
    tail.until(lambda: (found := tail.status(topic)) and found.windows == 4, "four windows")
    status = tail.status(topic)
    assert status is not None
    assert (status.records, status.losses) == (len(good), len(good))
    assert (status.dead_letters, status.missing) == (len(POISON), 1)
    with rig.tail("dlq") as dlq:

        def letters() -> list[Message]:
            return [m for m in dlq.messages if m.key() == topic.encode()]

        dlq.until(lambda: len(letters()) >= len(POISON), "all dead letters")
        dlq.poll()
        found = letters()
        assert len(found) == len(POISON), "each once"
        for message in found:
            headers = dict(message.headers() or [])
            offset = int(headers[PREFIX + "offset"])
            assert headers[PREFIX + "exception"].decode() == reasons.pop(offset)
            assert headers[PREFIX + "topic"].decode() == topic
            assert headers[PREFIX + "partition"] == b"0"
            assert f"{topic}[0]@{offset}".encode() in headers[PREFIX + "message"]
            assert headers["driftloop.key"] == b"the key"
            assert message.value() == values[offset]
    assert not reasons


def test_a_record_from_far_ahead_goes_aside_where_it_would_close_all_windows(
    rig: MonitorRig, tail: Tail
) -> None:
    topic = rig.make("hours.ahead")
    good = jumping(150, seed=9)  # two hours and a half, a record a minute
    expected = rig.expected({topic: good})
    ahead = b'{"id": "t", "ts": 4102444800000, "x": {"a": 1, "b": 1}, "y": 1, "y_pred": 1}'
    rig.produce(topic, [*good, ahead])
    tail.gather(expected)
    with rig.tail("dlq") as dlq:
        found = dlq.until(
            lambda: [m for m in dlq.messages if m.key() == topic.encode()], "the dead letter"
        )
    assert [m.value() for m in found] == [ahead]
    assert dict(found[0].headers())[PREFIX + "exception"] == b"bad-timestamp"
    tail.poll()
    assert _own(tail, topic) == {name: {body} for name, body in expected.items()}


def test_commands_and_outcomes_steer_a_stream(rig: MonitorRig, tail: Tail) -> None:
    topic = rig.make("streams.steered")
    names = rig.settings.topics
    values = jumping(3 * WINDOW, seed=6, jump=1.0)
    rig.produce(topic, values)
    tail.until(lambda: (found := tail.status(topic)) and found.windows == 3, "three windows")

    def order(number: int, action: str, **more: int) -> None:
        command = Command(
            id=f"{topic}-{number}",
            stream=topic,
            action=action,  # type: ignore[arg-type]  # one of the actions
            who="ann",
            why="a test",
            issued_at=int(1000 * time.time()),
            **more,
        )
        rig.send(names.commands, command)

    def state(wanted: str) -> None:
        tail.until(lambda: tail.status(topic).state == wanted, wanted)  # type: ignore[union-attr]

    order(1, "pin")
    state("pinned")
    order(2, "unpin")
    state("monitoring")
    order(3, "snooze", until=START_MS + 10**9)
    state("snoozed")
    rig.produce(names.commands, [b"no command"], key=topic.encode())  # and the monitor goes on
    order(4, "retrain")
    requests = tail.until(
        lambda: [e for e in tail.events(topic) if isinstance(e, RetrainRequested)], "a request"
    )
    assert [request.reason for request in requests] == ["command"]
    assert requests[0].grounds[0].detail == "ann: a test"
    assert [OffsetRange.parse(text) for text in requests[0].data] == [
        OffsetRange(topic, 0, 0, len(values) - 1)
    ]
    with rig.tail("dlq") as dlq:
        bad = dlq.until(
            lambda: [m for m in dlq.messages if m.key() == names.commands.encode()],
            "the bad command",
        )
        assert [m.value() for m in bad] == [b"no command"]
        assert dict(bad[0].headers())[PREFIX + "exception"] == b"bad-event"

    cost = Cost(seconds=0.1, records=90, device="cpu")
    metrics: dict[str, float | None] = {"loss": 0.1}
    rig.send(
        names.models,
        ModelPublished(
            id=f"{topic}-m",
            stream=topic,
            profile="numbers",
            version="v1",
            sequence=1,
            parent_version=None,
            kind="linear",
            uri="file:///nowhere",
            sha256="0" * 64,
            format="safetensors",
            champion=None,
            challenger=metrics,
            data=requests[0].data,
            cost=cost,
            request_id=requests[0].id,
            published_at=0,
        ),
    )
    rig.send(
        names.trainings,
        TrainingFinished(
            id=f"{topic}-t",
            stream=topic,
            profile="numbers",
            request_id=requests[0].id,
            outcome="published",
            version="v1",
            cost=cost,
            finished_at=0,
        ),
    )
    tail.until(
        lambda: (
            (found := tail.status(topic))
            and (found.model_version, found.detail) == ("v1", "last training published")
        ),
        "version and outcome in the status",
    )
    rig.produce(topic, jumping(WINDOW, seed=7))
    tail.until(
        lambda: [
            e
            for e in tail.events(topic)
            if isinstance(e, Evidence) and e.model_version == "v1" and "loss" in e.metrics
        ],
        "evidence of the new version",
    )


def test_events_are_cloud_events_keyed_by_their_stream(rig: MonitorRig, tail: Tail) -> None:
    topic = rig.make("streams.form")
    rig.produce(topic, jumping(WINDOW, seed=8))
    tail.until(lambda: (found := tail.status(topic)) and found.windows == 1, "a window")
    own = [m for m in tail.messages if m.key() == topic.encode()]
    for message in own:
        headers = dict(message.headers() or [])
        event = decode(message.headers(), message.value())
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_source"] == b"driftloop/monitor"
        assert headers["ce_id"].decode() == event.id
        assert headers["traceparent"] == headers["ce_traceparent"]
    assert len(own) >= 3
