"""``driftloop trainer --dry-run`` shows the queue as it is then served, and touches nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner

from driftloop.cli.app import app
from driftloop.kafka.producer import CheckedProducer
from driftloop.messages import Command, CommandAnswered, VersionOrdered, encode
from driftloop.messages.signing import make_keys, parse_key
from driftloop.operator.sending import signed
from driftloop.trainer.service import TrainerService
from tests.integration.trainer_rig import TrainerRig
from tests.unit.trainer.requests import judged

START_MS = 1_767_225_600_000


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[TrainerRig]:
    """A trainer that trains two requests at a time, cleaned afterwards."""
    made = TrainerRig(tmp_path, kafka_bootstrap, trainer="max_requests = 2")
    yield made
    made.clean()


def _dry_run(rig: TrainerRig, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    words = ["trainer", "--dry-run", "--config", str(rig.config), *arguments]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output


def _queue(rig: TrainerRig, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_dry_run(rig, monkeypatch, "--json"))
    return found


def _serve(rig: TrainerRig) -> list[str]:
    order: list[str] = []
    TrainerService(
        rig.settings,
        once=True,
        report=lambda results, _: order.extend(
            one.request.stream for one in results if one.finished.outcome != "superseded"
        ),
    ).run()
    return order


def _group(rig: TrainerRig) -> tuple[int, list[int]]:
    """Members of the trainers' group, and its committed offsets."""
    name = f"{rig.prefix}.trainer"
    described = rig.admin.describe_consumer_groups([name])[name].result(10)
    consumer = Consumer({**rig.client, "group.id": name})
    try:
        places = [TopicPartition(rig.settings.topics.retrain, one) for one in (0, 1)]
        return len(described.members), [one.offset for one in consumer.committed(places, timeout=9)]
    finally:
        consumer.close()


def test_it_shows_what_is_then_served_and_touches_nothing(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _queue(rig, monkeypatch)["queue"] == []
    streams = {name: rig.stream(f"streams.{name}", 80, seed=i) for i, name in enumerate("abcdef")}
    rig.request(*streams["a"])
    _serve(rig)
    before = _group(rig)
    older = rig.request(*streams["b"], tag="older", priority=9.0)
    for i, name in enumerate("bcde"):
        rig.request(*streams[name], priority=float(i + 1))
    rig.request(*streams["f"], reason="command")
    with CheckedProducer(rig.client) as producer:
        pin = Command(
            id="pin", stream=streams["e"][0], action="pin", who="ada", why="audit", issued_at=0
        )
        producer.produce(rig.settings.topics.commands, encode(pin))
        producer.produce(rig.settings.topics.retrain, key=b"k", value=b"no request")
    found = _queue(rig, monkeypatch)
    assert _group(rig) == before
    rows = found["queue"]
    served = [row for row in rows if row["state"] == "served"]
    assert [row["stream"][-1] for row in served] == ["f", "e", "d", "b", "c"]
    assert [row["rank"] for row in served] == [1, 2, 3, 4, 5]
    assert [row["why"] for row in served] == [
        "ordered or approved by a person",
        "by value",
        "by value",
        "waits longest",
        "by value",
    ]
    assert [row["stream"][-1] for row in rows if row["pinned"]] == ["e"]
    (gone,) = [row for row in rows if row["state"] == "superseded"]
    assert gone["request_id"] == older.id
    assert (found["first_batch"], found["unreadable"]) == (2, 1)
    # The one training before tells how long others take: seconds a record of its profile.
    cost = rig.trainings()[0].cost
    assert cost is not None
    for row in served:
        assert row["seconds"] == pytest.approx(max(80 * cost.seconds / cost.records, 1e-3))
        assert row["value"] == pytest.approx(row["saving"] / row["seconds"])
        assert 0 <= row["age"] < 300
    assert [row["saving"] for row in served] == [0.0, 4.0, 3.0, 1.0, 2.0]
    table = _dry_run(rig, monkeypatch)
    for text in ("waits longest", "its stream is pinned", streams["e"][0], "superseded by"):
        assert text in table
    # Of a batch, results come in the order of their places.
    assert _serve(rig) == [row["stream"] for row in served]
    assert _queue(rig, monkeypatch)["queue"] == []
    assert f"Nothing waits in group {rig.prefix}.trainer" in _dry_run(rig, monkeypatch)


def test_only_pins_that_the_monitor_carries_out_are_shown(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those without a signature where one must be, by another key, or that were refused."""
    keys = {name: make_keys("ed25519") for name in ("ada", "eve")}
    table = f'keys = {{ ada = "{keys["ada"][1]}" }}'
    text = f"{rig.config.read_text()}\n[commands]\nrequire_signature = true\n{table}\n"
    rig.config.write_text(text)
    names = ("signed", "plain", "forged", "refused")
    streams = {name: rig.stream(f"streams.{name}", 80) for name in names}
    signers = {"signed": "ada", "forged": "eve", "refused": "ada"}
    for name, (topic, data) in streams.items():
        rig.request(topic, data)
        pin = Command(
            id=name, stream=topic, action="pin", who="ada", why="audit", issued_at=START_MS
        )
        key = parse_key(keys[signers[name]][0]) if name in signers else None
        with CheckedProducer(rig.client) as producer:
            producer.produce(rig.settings.topics.commands, signed(encode(pin), key, "ada"))
    refusal = CommandAnswered(
        id="answer",
        stream=streams["refused"][0],
        profile="numbers",
        command_id="refused",
        action="pin",
        outcome="refused",
        answered_at=START_MS,
    )
    with CheckedProducer(rig.client) as producer:
        producer.produce(rig.settings.topics.commands, encode(refusal))
    rows = _queue(rig, monkeypatch)["queue"]
    assert len(rows) == len(names)
    assert [row["stream"] for row in rows if row["pinned"]] == [streams["signed"][0]]


def test_it_shows_what_waits_for_the_budget_and_what_is_spent(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = rig.config.read_text()
    limits = "budget = { profiles = { numbers = 1e-9 } }"
    rig.config.write_text(text.replace("[trainer]\n", f"[trainer]\n{limits}\n"))
    topic, data = rig.stream("streams.a", 80)
    rig.request(topic, data)
    _serve(rig)
    other, newer = rig.stream("streams.b", 80)
    rig.request(other, newer, priority=5.0)
    found = _queue(rig, monkeypatch)
    (row,) = found["queue"]
    assert (row["rank"], row["state"], row["stream"]) == (None, "budget", other)
    (budget,) = found["budgets"]
    cost = rig.trainings()[0].cost
    assert cost is not None
    assert budget == {"profile": "numbers", "limit": 1e-9, "spent": cost.seconds, "left": 0.0}
    assert found["resets_at"].endswith("T00:00:00Z")
    table = _dry_run(rig, monkeypatch)
    assert "the budget of profile numbers is spent for today" in table
    assert "raise trainer.budget" in table
    assert _serve(rig) == []


def test_it_shows_orders_and_the_request_that_one_gives_up(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, data = rig.stream("streams.a", 80)
    asked = rig.request(topic, data, priority=9.0)
    order = VersionOrdered(
        id="order",
        stream=topic,
        profile="numbers",
        action="discard",
        version=None,
        against=None,
        request_id=asked.id,
        reason="command",
        detail="ada pinned it",
        decided_at=0,
    )
    with CheckedProducer(rig.client) as producer:
        producer.produce(rig.settings.topics.retrain, encode(order))
    found = _queue(rig, monkeypatch)
    (row,) = found["queue"]
    assert (row["state"], row["why"], row["rank"]) == ("withdrawn", "ada pinned it", None)
    assert (found["orders"], found["unreadable"]) == (1, 0)
    _serve(rig)
    assert (rig.outcome(asked).outcome, rig.outcome(asked).reason) == ("rejected", "pinned")
    assert _queue(rig, monkeypatch)["queue"] == []


def test_a_promise_is_corrected_by_what_the_ledger_says_of_the_stream(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It promised 600 on windows of 300 records; live records say that it saved 1 a record."""
    topic, data = rig.stream("streams.a", 80)
    first = rig.request(topic, data, priority=600.0)
    _serve(rig)
    (outcome,) = rig.trainings()
    assert outcome.promised == 2.0
    with CheckedProducer(rig.client) as producer:
        producer.produce(rig.settings.topics.trainings, encode(judged(first, 1.0)))
    rig.request(topic, data, tag=2, priority=600.0)
    (row,) = _queue(rig, monkeypatch)["queue"]
    assert row["ratio"] == pytest.approx((4 * (4.5 / 5) + 0.5) / 5)
    assert row["saving"] == pytest.approx(600.0 * row["ratio"])


def test_json_needs_a_dry_run_and_missing_topics_are_told(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    result = CliRunner().invoke(app, ["trainer", "--json", "--config", str(rig.config)])
    assert result.exit_code == 2
    assert "--dry-run" in result.output
    text = rig.config.read_text()
    rig.config.write_text(text.replace(f"{rig.prefix}.trainings", f"{rig.prefix}.nowhere"))
    result = CliRunner().invoke(app, ["trainer", "--dry-run", "--config", str(rig.config)])
    assert result.exit_code == 1
    assert f"{rig.prefix}.nowhere are missing" in str(result.exception)
