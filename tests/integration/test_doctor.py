"""``driftloop doctor`` on a real Kafka: nothing to say where all fits, and each fault by name."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from driftloop.cli.app import app
from driftloop.heartbeat import Heartbeat
from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import driftloop_topics, ensure_topics
from driftloop.messages import encode
from driftloop.models import ModelStore
from driftloop.settings import StoreSettings, TopicSettings
from tests.scoring import World, make_world

_ROLES = ("retrain", "models", "trainings", "commands", "evidence", "status", "incidents", "dlq")


class Clinic:
    """A configuration with topics of its own."""

    def __init__(self, folder: Path, servers: str, prefix: str, admin: AdminClient) -> None:
        self.folder, self.prefix, self.admin = folder, prefix, admin
        self.servers = servers
        self.client = {"bootstrap.servers": servers}
        names = {role: f"{prefix}.{role}" for role in _ROLES}
        self.topics = TopicSettings(**names, partitions=2)
        self.made = list(names.values())

    def config(self, servers: str = "", **topics: Any) -> Path:
        """The configuration, with more keys of ``[topics]``."""
        keys = {role: f"{self.prefix}.{role}" for role in _ROLES} | topics
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in keys.items())
        file = self.folder / "driftloop.toml"
        file.write_text(
            f'home = "{self.folder}/home"\n'
            f'[kafka]\nbootstrap_servers = "{servers or self.servers}"\n[topics]\n{lines}\n'
            f'[store]\nuri = "{self.folder}/models"\n[monitor]\nrecovery = "{self.folder}/rec"\n'
            f"[profiles.numbers]\ntopics = '{self.prefix}\\.streams\\..+'\n"
            'features = { numeric = ["a"], categorical = ["b"] }\n'
            'training = { window = "14d", records = 100 }\n'
        )
        return file

    def examine(
        self, *arguments: str, status: int = 0, **options: Any
    ) -> dict[str, tuple[str, str]]:
        """State and text of each check, by the command; its exit status is as it should be."""
        command = ["doctor", "--json", *arguments, "--config", str(self.config(**options))]
        result = CliRunner(env={"KAFKA_BOOTSTRAP_SERVERS": None}).invoke(app, command)
        assert result.exit_code == status, result.output
        found = json.loads(result.stdout)
        assert found["ok"] == (status == 0)
        return {
            one["check"]: (one["state"], f"{one['found']} → {one['advice']}")
            for one in found["findings"]
        }


@pytest.fixture
def clinic(
    tmp_path: Path, kafka_bootstrap: str, admin: AdminClient, topic_name: Callable[..., str]
) -> Any:
    """Topics as they should be."""
    made = Clinic(tmp_path, kafka_bootstrap, topic_name("doctor"), admin)
    ensure_topics(made.client, driftloop_topics(made.topics))
    yield made
    for future in admin.delete_topics(made.made).values():
        future.exception(30)


def test_where_all_fits_nothing_is_said(clinic: Clinic, make_topic: Callable[..., str]) -> None:
    keep = {"retention.ms": str(30 * 86_400_000)}
    make_topic(f"{clinic.prefix}.streams.a", config=keep)
    Heartbeat(clinic.folder / "home", "monitor").beat()
    found = clinic.examine()
    assert {check: text for check, (state, text) in found.items() if state != "ok"} == {}
    for check in (
        *("configuration", "versions", "packages", "broker", "log-in", "rights: monitor"),
        *("rights: trainer", "rights: streams", "topics", "topics: clean-up", "store", "clock"),
        *("retention: numbers", "disk: home", "disk: recovery", "heartbeat: monitor", "device"),
    ):
        assert check in found
    trainer = clinic.examine("--part", "trainer")
    assert trainer["rights: transactions"][0] == "ok"
    assert "read and written" in trainer["store"][1]


def test_topics_that_are_not_as_they_should_be(
    clinic: Clinic, make_topic: Callable[..., str]
) -> None:
    compacted = make_topic(f"{clinic.prefix}.requests", config={"cleanup.policy": "compact"})
    brief = make_topic(f"{clinic.prefix}.streams.brief", config={"retention.ms": "86400000"})
    unkept = make_topic(f"{clinic.prefix}.streams.unkept", config={"cleanup.policy": "compact"})
    cut = make_topic(f"{clinic.prefix}.streams.cut", config={"retention.ms": "-1"})
    with CheckedProducer(clinic.client) as producer:
        for _ in range(50):
            producer.produce(cut, value=b"{}")
    place = TopicPartition(cut, 0, 20)
    clinic.admin.delete_records([place])[place].result(30)
    found = clinic.examine(status=1, retrain=compacted)
    assert found["topics: clean-up"][0] == "fail"
    assert f"{compacted} is compact, should be delete" in found["topics: clean-up"][1]
    assert found["topics: partitions"][0] == "fail"
    assert f"{compacted} 1" in found["topics: partitions"][1]
    findings = json.loads(
        CliRunner(env={"KAFKA_BOOTSTRAP_SERVERS": None})
        .invoke(app, ["doctor", "--json", "--config", str(clinic.config())])
        .stdout
    )["findings"]
    told = [
        (one["state"], one["found"]) for one in findings if one["check"].startswith("retention")
    ]
    assert ("fail", f"{brief}: kept 1d, and training.window is 14d") in told
    assert any(state == "fail" and unkept in text and "compacted" in text for state, text in told)
    assert any(state == "warn" and cut in text and "100 records" in text for state, text in told)


def test_topics_that_are_missing(clinic: Clinic) -> None:
    missing = f"{clinic.prefix}.nowhere"
    assert clinic.examine(status=0, dlq=missing)["topics"][0] == "warn"
    state, text = clinic.examine(status=1, dlq=missing, create=False)["topics"]
    assert state == "fail"
    assert missing in text
    assert clinic.examine()["streams"][0] == "warn"  # none matches yet


def test_a_clock_behind_the_brokers_events(clinic: Clinic) -> None:
    producer = Producer(clinic.client)
    late = round(time.time() * 1000) + 3_600_000
    producer.produce(clinic.topics.evidence, value=b"{}", partition=1, timestamp=late)
    assert producer.flush(30) == 0
    state, text = clinic.examine()["clock"]
    assert state == "warn"
    assert "ahead of this machine's clock" in text
    assert "NTP" in text


def test_models_that_are_damaged(clinic: Clinic) -> None:
    world = make_world(clinic.folder)
    store = ModelStore(StoreSettings(uri=f"{clinic.folder}/models"))
    stream = f"{clinic.prefix}.streams.a"
    event = World(world.settings, store).publish(stream, 1, 1.0)
    with CheckedProducer(clinic.client) as producer:
        producer.produce(clinic.topics.models, encode(event))
    assert clinic.examine()["store: versions"][0] == "ok"
    (manifest,) = Path(f"{clinic.folder}/models").rglob("model.json")
    manifest.write_bytes(manifest.read_bytes() + b" ")
    state, text = clinic.examine(status=1)["store: versions"]
    assert state == "fail"
    assert stream in text


def test_no_broker_no_store_and_a_part_that_stopped(clinic: Clinic, tmp_path: Path) -> None:
    Heartbeat(tmp_path / "home", "trainer", wall=lambda: time.time() - 3600).beat()
    (tmp_path / "models").write_text("a file where a folder should be")
    found = clinic.examine(status=1, servers="127.0.0.1:9")
    assert found["broker"][0] == "fail"
    assert "none answers at 127.0.0.1:9" in found["broker"][1]
    assert "rights: monitor" not in found
    assert found["heartbeat: trainer"][0] == "warn"
    state, text = clinic.examine("--part", "trainer", status=1, servers="127.0.0.1:9")["store"]
    assert state == "fail"
    assert "docs/model-store.md" in text


def test_faults_of_the_configuration_end_with_status_2(clinic: Clinic) -> None:
    runner = CliRunner(env={"KAFKA_BOOTSTRAP_SERVERS": None})
    file = clinic.config()
    file.write_text(file.read_text().replace("[topics]", "nonsense = 1\n[topics]"))
    assert runner.invoke(app, ["doctor", "--config", str(file)]).exit_code == 2
    assert runner.invoke(app, ["doctor", "--part", "cook"]).exit_code == 2


def test_it_fits_80_columns(clinic: Clinic) -> None:
    command = ["doctor", "--config", str(clinic.config(create=False, dlq="nowhere"))]
    environment = {"KAFKA_BOOTSTRAP_SERVERS": None, "COLUMNS": "80"}
    result = CliRunner(env=environment).invoke(app, command)
    assert result.exit_code == 1
    assert "✗ topics" in result.output
    assert "→ make them, or set topics.create = true" in " ".join(result.output.split())
    assert "1 failed" in result.output
