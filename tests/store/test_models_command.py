"""``driftloop models`` beside a real broker: what is current, its parent, and pinned."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from driftloop.cli.app import app
from driftloop.errors import DriftloopError
from driftloop.kafka.held import HeldVersions
from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import driftloop_topics, ensure_topics
from driftloop.messages import Command, CommandAnswered, Cost, ModelPublished, encode
from driftloop.models import ModelStore
from driftloop.settings import Settings, load_settings
from tests.artifacts import artifact

_HOURS = 2 * 3600.0


class Rig:
    """A store, its configuration, and Driftloop's topics on a real broker."""

    def __init__(self, folder: Path, servers: str, prefix: str) -> None:
        names = ("retrain", "models", "trainings", "commands", "evidence", "status", "dlq")
        topics = "\n".join(f'{name} = "{prefix}.{name}"' for name in names)
        self.config = folder / "driftloop.toml"
        self.config.write_text(
            f'[kafka]\nbootstrap_servers = "{servers}"\n[topics]\npartitions = 2\n{topics}\n'
            f'incidents = "{prefix}.incidents"\n[store]\nuri = "{folder / "models"}"\nkeep = 2\n'
        )
        self.folder = folder
        self.settings: Settings = load_settings(self.config)
        self.specs = driftloop_topics(self.settings.topics)
        ensure_topics(self.settings.kafka.client(), self.specs)
        self.store = ModelStore(self.settings.store)

    def send(self, *events: ModelPublished | Command) -> None:
        topics = self.settings.topics
        with CheckedProducer(self.settings.kafka.client()) as producer:
            for event in events:
                topic = topics.models if isinstance(event, ModelPublished) else topics.commands
                producer.produce(topic, encode(event))

    def save(self, stream: str, count: int) -> list[tuple[str, str]]:
        saved = [
            self.store.save(stream, f"v{i}", artifact(version=f"v{i}", stream=stream))
            for i in range(1, count + 1)
        ]
        moment = time.time() - _HOURS
        for path in (self.folder / "models").rglob("*"):
            os.utime(path, (moment, moment))
        return saved

    def run(self, *words: str, status: int = 0) -> Any:
        ended = CliRunner().invoke(app, ["models", *words, "--json", "--config", str(self.config)])
        assert ended.exit_code == status, ended.output
        return json.loads(ended.stdout)

    def marks(self, stream: str) -> dict[str, str]:
        found = self.run("list", stream)
        assert found["note"] == ""
        return {one["version"]: one["mark"] for one in found["versions"]}


def published(
    stream: str, number: int, place: tuple[str, str], parent: str | None
) -> ModelPublished:
    return ModelPublished(
        id=f"{stream}-{number}-{parent}",
        stream=stream,
        profile="default",
        version=f"v{number}",
        sequence=number,
        parent_version=parent,
        kind="mlp_regressor",
        uri=place[0],
        sha256=place[1],
        format="safetensors",
        champion=None,
        challenger={"loss": 0.5},
        data=[],
        cost=Cost(seconds=0.1, records=10, device="cpu"),
        request_id="r",
        published_at=1,
    )


def command(action: Any, stream: str, version: str | None, *, ago: float = _HOURS) -> Command:
    moment = round((time.time() - ago) * 1000)
    return Command(
        id=f"{action}{version}{ago}",
        stream=stream,
        action=action,
        who="t",
        why="t",
        issued_at=moment,
        version=version,
    )


def answered(order: Command, outcome: Any) -> CommandAnswered:
    return CommandAnswered(
        id=f"answer-{order.id}",
        stream=order.stream,
        profile="p",
        command_id=order.id,
        action=order.action,
        outcome=outcome,
        answered_at=1,
    )


@pytest.fixture
def rig(
    kafka_bootstrap: str,
    tmp_path: Path,
    admin: AdminClient,
    topic_name: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Rig]:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    made = Rig(tmp_path, kafka_bootstrap, topic_name("m"))
    yield made
    for future in admin.delete_topics([spec.name for spec in made.specs]).values():
        future.exception(timeout=30)


def test_marks_follow_events_and_pruning_leaves_what_is_marked(rig: Rig) -> None:
    saved = rig.save("streams.a", 9)
    rig.save("streams.b", 4)
    rig.send(
        published("streams.a", 5, saved[4], "v4"),
        published("streams.a", 6, saved[5], "v3"),  # the newest event counts, as after a rollback
        command("pin", "streams.a", "v1"),
        command("pin", "streams.b", "v1"),
        command("unpin", "streams.b", None),
    )
    marks = {name: mark for name, mark in rig.marks("streams.a").items() if mark}
    assert marks == {"v6": "current", "v3": "parent", "v1": "pinned"}
    assert rig.run("show", "streams.a")["manifest"]["version"] == "v6"
    assert rig.run("show", "streams.a")["parent"] == "v3"
    planned = rig.run("prune")
    assert planned["removed"] is False
    gone = {(one["stream"], one["version"]) for one in planned["gone"]}
    assert gone == {("streams.a", name) for name in ("v7", "v5", "v4", "v2")} | {
        ("streams.b", "v1"),
        ("streams.b", "v2"),
    }
    assert len(rig.store.versions("streams.a")) == 9, "shown only"
    assert {(one["stream"], one["version"]) for one in rig.run("prune", "--yes")["gone"]} == gone
    left = [one.version for one in rig.store.versions("streams.a")]
    assert left == ["v9", "v8", "v6", "v3", "v1"]
    assert rig.run("prune", "--yes")["gone"] == []
    assert rig.run("verify")["faults"] == []


def test_a_first_version_has_no_parent_and_of_others_none_is_known(rig: Rig) -> None:
    saved = rig.save("streams.a", 2)
    rig.send(published("streams.a", 1, saved[0], None))

    def parent(*words: str) -> list[str]:
        ended = CliRunner().invoke(app, ["models", "show", *words, "--config", str(rig.config)])
        assert ended.exit_code == 0, ended.output
        return [line.split(maxsplit=1)[1] for line in ended.stdout.splitlines() if "parent" in line]

    assert [one.strip() for one in parent("streams.a")] == ["none"]
    assert rig.run("show", "streams.a")["parent"] is None
    unknown = "- (known of the current version alone)"
    assert [one.strip() for one in parent("streams.a", "v2")] == [unknown]
    assert [one.strip() for one in parent("streams.a", "--offline")] == [unknown]
    rig.send(published("streams.a", 2, saved[1], "v1"))
    assert [one.strip() for one in parent("streams.a")] == ["v1"]


def test_what_a_command_named_of_late_stays(rig: Rig) -> None:
    saved = rig.save("streams.a", 6)
    rig.send(
        published("streams.a", 6, saved[5], "v5"), command("rollback", "streams.a", "v2", ago=5)
    )
    rig.run("prune", "--yes")
    assert [one.version for one in rig.store.versions("streams.a")] == ["v6", "v5", "v2"]


def test_a_current_version_that_is_gone_or_another_one_is_a_fault(rig: Rig) -> None:
    saved = rig.save("streams.a", 2)
    rig.send(published("streams.a", 3, (f"{saved[1][0]}x", saved[1][1]), "v2"))
    rig.send(published("streams.b", 1, (saved[0][0], "0" * 64), None))
    faults = {one["stream"]: one["why"] for one in rig.run("verify", status=1)["faults"]}
    assert "no model.json lies at" in faults["streams.a"]
    assert "must have the sha256 000" in faults["streams.b"]


def test_another_stores_kafka_is_not_trusted(rig: Rig) -> None:
    """No version event of any stream of the store: most likely the wrong broker."""
    rig.save("streams.a", 5)
    words = ["models", "prune", "--yes", "--config", str(rig.config)]
    ended = CliRunner().invoke(app, words)
    assert isinstance(ended.exception, DriftloopError)
    assert "nothing is removed" in str(ended.exception)
    assert len(rig.store.versions("streams.a")) == 5


def test_a_command_that_is_sent_again_holds_and_frees_nothing(rig: Rig) -> None:
    """As the monitor does not carry it out: an old unpin leaves what was pinned since."""
    topics, client = rig.settings.topics, rig.settings.kafka.client()
    held = HeldVersions(client, topics.models, topics.commands, recent=0)
    pin, unpin = command("pin", "s", "v1", ago=900), command("unpin", "s", None, ago=800)
    others = [command("dismiss", "s", None, ago=700 - one) for one in range(70)]
    try:
        rig.send(pin, unpin, pin)
        held.catch_up()
        assert held.pinned == {}
        rig.send(command("pin", "s", "v2", ago=1), *others, unpin, pin)
        held.catch_up()
        assert held.pinned == {"s": "v2"}
    finally:
        held.close()


def test_held_versions_are_followed_as_they_come(rig: Rig) -> None:
    topics, client = rig.settings.topics, rig.settings.kafka.client()
    held = HeldVersions(client, topics.models, topics.commands, recent=3600)
    now = time.time()
    try:
        held.catch_up()
        assert not held.of("s", now).versions
        rig.send(published("s", 2, ("file:///x", "0"), "v1"))
        held.catch_up()
        assert held.of("s", now).versions == {"v2": "current", "v1": "parent"}
        assert held.of("s", now).uris == {"file:///x": "current"}
        rig.send(command("pin", "s", "v7"), command("pin", "s", "v8", ago=60))
        held.catch_up()
        assert held.of("s", now).versions == {"v2": "current", "v1": "parent", "v8": "pinned"}
        refused = command("pin", "s", "v9")
        rig.send(refused, answered(refused, "refused"))
        held.catch_up()
        assert held.of("s", now).versions["v8"] == "pinned", "what was pinned before is still"
        kept = command("pin", "s", "v8", ago=40)
        rig.send(kept, answered(kept, "done"))
        with CheckedProducer(client) as producer:
            producer.produce(topics.models, key=b"s", value=None)
        held.catch_up()
        assert held.of("s", now).versions == {"v8": "pinned"}, "the stream was retired"
    finally:
        held.close()
