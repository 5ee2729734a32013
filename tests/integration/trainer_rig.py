"""A trainer's surroundings on a real Kafka: streams of synthetic records, requests, outcomes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import TopicSpec, driftloop_topics, ensure_topics
from driftloop.messages import (
    Event,
    ModelPublished,
    RetrainRequested,
    TrainingFinished,
    decode,
    encode,
    event_id,
)
from driftloop.settings import Settings, load_settings
from driftloop.trainer.service import TrainerService

_TOML = """
home = "{home}"
[kafka]
bootstrap_servers = "{servers}"
[topics]
retrain = "{prefix}.retrain"
models = "{prefix}.models"
trainings = "{prefix}.trainings"
commands = "{prefix}.commands"
evidence = "{prefix}.evidence"
status = "{prefix}.status"
dlq = "{prefix}.dlq"
partitions = 2
[store]
uri = "{store}"
[trainer]
group = "{prefix}.trainer"
instance = "{prefix}"
linger = "100ms"
device = "cpu"
{trainer}
[profiles.numbers]
topics = '{prefix}\\.streams\\..+'
task = "regression"
loss = "squared"
features = {{ numeric = ["a", "b"], categorical = ["c"] }}
model = {{ kind = "linear" }}
training = {{ records = 500, min_records = 40 }}
[profiles.curves]
topics = '{prefix}\\.curves\\..+'
task = "regression"
loss = "absolute"
features = {{ numeric = ["a", "b"], categorical = ["c"] }}
model = {{ kind = "mlp_regressor", hidden = [16], epochs = {epochs} }}
training = {{ records = 500, min_records = 40 }}
[profiles.labels]
topics = '{prefix}\\.labels\\..+'
task = "binary"
loss = "log_loss"
features = {{ numeric = ["a", "b"] }}
model = {{ kind = "mlp_classifier", hidden = [8], epochs = 30, batch_records = 32 }}
training = {{ records = 500, min_records = 40 }}
"""


class TrainerRig:
    """Topics with random names, and what a monitor would write to them."""

    def __init__(self, folder: Path, servers: str, *, trainer: str = "", epochs: int = 20) -> None:
        self.folder = folder
        self.servers = servers
        self.prefix = f"t{uuid.uuid4().hex[:10]}"
        self.store = folder / "store"
        self.config = folder / f"{self.prefix}.toml"
        self.config.write_text(
            _TOML.format(
                home=folder / "home",
                servers=servers,
                prefix=self.prefix,
                store=self.store,
                trainer=trainer,
                epochs=epochs,
            )
        )
        self.client = {"bootstrap.servers": servers}
        self.admin = AdminClient(self.client)
        self.made: list[str] = []
        self._next: dict[str, int] = {}  # offset of the next record of each stream
        specs = driftloop_topics(self.settings.topics)
        ensure_topics(self.client, specs)
        self.made += [spec.name for spec in specs]

    @property
    def settings(self) -> Settings:
        """The configuration as the trainer reads it."""
        before = os.environ.pop("KAFKA_BOOTSTRAP_SERVERS", None)
        try:
            return load_settings(self.config)
        finally:
            if before is not None:
                os.environ["KAFKA_BOOTSTRAP_SERVERS"] = before

    def stream(
        self,
        name: str,
        records: int = 120,
        *,
        seed: int = 0,
        slope: float = 1.0,
        split: bool = False,
        change: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda _i, record: record,
    ) -> tuple[str, str]:
        """Make a topic if it is missing, append records, and return it and their range."""
        topic = f"{self.prefix}.{name}"
        if topic not in self.made:
            ensure_topics(self.client, [TopicSpec(topic, 1)])
            self.made.append(topic)
        generator = np.random.default_rng(seed)
        first = self._next.get(topic, 0)
        produced = 0
        with CheckedProducer(self.client) as producer:
            for i in range(records):
                a, b = generator.standard_normal(2)
                y = slope * a - 2.0 * b + 0.1 * generator.standard_normal()
                if name.startswith("labels"):
                    y = float(y > 0.0)
                record = change(
                    i,
                    {
                        "id": f"{seed}-{i}",
                        "ts": 1_700_000_000_000 + 60_000 * i,
                        "x": {"a": a, "b": b, "c": "xyz"[i % 3]},
                        "y": y,
                    },
                )
                parts = [record]
                if split:  # the label comes in a record of its own
                    parts = [
                        {k: v for k, v in record.items() if k != "y"},
                        {k: record[k] for k in ("id", "ts", "y")},
                    ]
                for part in parts:
                    producer.produce(topic, value=json.dumps(part).encode())
                    produced += 1
        self._next[topic] = first + produced
        return topic, f"{topic}:0:{first}:{first + produced - 1}"

    def request(
        self,
        topic: str,
        *ranges: str,
        tag: object = "",
        profile: str = "numbers",
        version: str | None = None,
        reason: Literal["policy", "command", "initial"] = "policy",
        priority: float = 0.0,
    ) -> RetrainRequested:
        """Ask for a retrain; the same ranges and tag give the same id."""
        name = event_id(topic, "p", "retrain", [*ranges, tag])
        event = RetrainRequested(
            id=name,
            stream=topic,
            profile=profile,
            profile_hash="p",
            reason=reason,
            policy="reducible",
            grounds=[],
            data=list(ranges),
            current_version=version,
            decided_at=1_700_000_000_000,
            priority=priority,
        )
        with CheckedProducer(self.client) as producer:
            producer.produce(self.settings.topics.retrain, encode(event))
        return event

    def serve(self) -> None:
        """Run the trainer in this process until all that waits is served."""
        TrainerService(self.settings, once=True).run()

    def start(
        self, *arguments: str, through: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        """Run the trainer in a process of its own, started by the command `through`."""
        names = {k: v for k, v in os.environ.items() if k != "KAFKA_BOOTSTRAP_SERVERS"}
        with (self.folder / "trainer.log").open("ab") as log:
            return subprocess.Popen(
                [
                    *through,
                    *(sys.executable, "-m", "driftloop", "trainer"),
                    *("--config", str(self.config)),
                    *arguments,
                ],
                stdout=log,
                stderr=log,
                env={**names, **environment},
            )

    @property
    def log(self) -> str:
        """What trainers in processes of their own have written."""
        return (self.folder / "trainer.log").read_text()

    def events(self, topic: str) -> list[Event]:
        """All committed events of a topic."""
        return [decode(message.headers(), message.value()) for message in self.messages(topic)]

    def messages(self, topic: str) -> list[Any]:
        """All committed messages of a topic, partition by partition."""
        consumer = Consumer(
            {
                **self.client,
                "group.id": "rig",
                "fetch.wait.max.ms": 20,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )
        try:
            parts = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in parts])
            left, found = set(parts), []
            deadline = time.monotonic() + 30
            while left:
                assert time.monotonic() < deadline, f"{topic} could not be read"
                message = consumer.poll(0.5)
                if message is None:
                    continue
                if message.error():
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    left.discard(message.partition())
                else:
                    found.append(message)
            return found
        finally:
            consumer.close()

    def trainings(self) -> list[TrainingFinished]:
        """All outcomes."""
        found = self.events(self.settings.topics.trainings)
        return [event for event in found if isinstance(event, TrainingFinished)]

    def models(self) -> list[ModelPublished]:
        """All versions."""
        found = self.events(self.settings.topics.models)
        return [event for event in found if isinstance(event, ModelPublished)]

    def outcome(self, request: RetrainRequested) -> TrainingFinished:
        """The one outcome of a request."""
        found = [event for event in self.trainings() if event.request_id == request.id]
        assert len(found) == 1, found
        return found[0]

    def wait_for(self, requests: Sequence[RetrainRequested], seconds: float = 60.0) -> None:
        """Wait until each request has an outcome."""
        deadline = time.monotonic() + seconds
        wanted = {request.id for request in requests}
        while not wanted <= {event.request_id for event in self.trainings()}:
            assert time.monotonic() < deadline, "requests without an outcome"

    def clean(self) -> None:
        """Delete the topics."""
        for future in self.admin.delete_topics(self.made).values():
            future.exception(timeout=30)


def wait_until(happened: Callable[[], Any], seconds: float = 90.0) -> None:
    """Look again and again until something is so."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """Send a signal and wait for the exit code."""
    if process.poll() is None:
        process.send_signal(number)
    return process.wait(60)


def until(happened: Callable[[], Any], seconds: float = 120.0) -> None:
    """Look again and again whether something happened; fail where it did not in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)
