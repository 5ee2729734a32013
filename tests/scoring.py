"""What the scorer's tests share: settings, models whose predictions are known, version events."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import TopicSpec, driftloop_topics, ensure_topics
from driftloop.messages import Cost, ModelPublished, encode
from driftloop.models import Encoding, ModelArtifact, ModelStore
from driftloop.scorer.scoring import Batch
from driftloop.settings import (
    Features,
    Profile,
    ScorerSettings,
    Settings,
    StoreSettings,
    TopicSettings,
    load_settings,
)

SITE_SECONDS = 60.0


def linear_model(stream: str, version: str, slope: float) -> ModelArtifact:
    """A model that predicts slope · a, whatever b is."""
    encoding = Encoding(("a",), ("b",), np.zeros(1), np.ones(1), (("p", "q"),))
    weights = {"weight.0": np.array([[slope], [0.0], [0.0], [0.0]]), "bias.0": np.zeros(1)}
    return ModelArtifact(
        kind="linear",
        task="regression",
        stream=stream,
        version=version,
        request_id=f"request-{version}",
        encoding=encoding,
        weights=weights,
    )


@dataclass(frozen=True)
class World:
    """Settings, and a store to publish into."""

    settings: Settings
    store: ModelStore

    def publish(
        self, stream: str, sequence: int, slope: float, *, sha256: str | None = None
    ) -> ModelPublished:
        """Save a model of that slope and return its version event, with another hash if given."""
        version = f"v{sequence}"
        uri, digest = self.store.save(stream, version, linear_model(stream, version, slope))
        return ModelPublished(
            id=f"{stream}-{version}",
            stream=stream,
            profile="default",
            version=version,
            sequence=sequence,
            parent_version=f"v{sequence - 1}" if sequence > 1 else None,
            kind="linear",
            uri=uri,
            sha256=sha256 or digest,
            format="safetensors",
            champion=None,
            challenger={"loss": 1.0},
            data=[f"{stream}:0:0:9"],
            cost=Cost(seconds=0.1, records=10, device="cpu"),
            request_id=f"request-{version}",
            published_at=0,
        )


def make_world(folder: Path, **settings: object) -> World:
    """Settings for topics features.* and streams.* with features a (number) and b (category)."""
    made = Settings(
        home=folder,
        store=StoreSettings(uri=str(folder / "models")),
        scorer=ScorerSettings(recovery=str(folder / "recovery")),
        profiles={"default": Profile(features=Features(numeric=["a"], categorical=["b"]))},
        **settings,  # type: ignore[arg-type]
    )
    return World(made, ModelStore(made.store))


def batch(first: int, *values: bytes | None, topic: str = "features.s") -> Batch:
    """Messages at consecutive offsets."""
    n = len(values)
    return Batch(
        topic,
        0,
        [b"k"] * n,
        list(values),
        np.arange(first, first + n),
        1_000 + np.arange(first, first + n),
    )


def records(first: int, count: int) -> list[bytes | None]:
    """Records whose a is their number."""
    return [
        b'{"id":"%d","ts":5,"x":{"a":%d,"b":"p"}}' % (i, i) for i in range(first, first + count)
    ]


class Site:
    """A configuration with topics of its own, and the processes that a test starts on it."""

    def __init__(self, folder: Path, prefix: str, servers: str, streams: int) -> None:
        self.folder = folder
        self.prefix = prefix
        self.config = folder / "driftloop.toml"
        self.config.write_text(_configuration(folder, prefix, servers), encoding="utf-8")
        self.settings: Settings = load_settings(self.config)
        self.client = self.settings.kafka.client()
        self.world = World(self.settings, ModelStore(self.settings.store))
        self.inputs = [f"{prefix}.features.{i}" for i in range(streams)]
        self.streams = [f"{prefix}.streams.{i}" for i in range(streams)]
        specs = [TopicSpec(name, 1) for name in [*self.inputs, *self.streams]]
        ensure_topics(self.client, [*specs, *driftloop_topics(self.settings.topics)])

    def send(self, topic: str, values: list[bytes | None]) -> None:
        """Produce values in order."""
        with CheckedProducer(self.client) as producer:
            for value in values:
                producer.produce(topic, key=b"k", value=value)

    def publish(self, stream: str, sequence: int, **options: Any) -> None:
        """Save and announce a version whose slope is its sequence."""
        event = self.world.publish(stream, sequence, float(sequence), **options)
        with CheckedProducer(self.client) as producer:
            producer.produce(self.settings.topics.models, encode(event))

    def read(self, topic: str, done: Callable[[list[Any]], bool]) -> list[Any]:
        """Messages of partition 0 from the beginning, until `done` says so."""
        consumer = Consumer({**self.client, "group.id": "test", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[Any] = []
        deadline = time.monotonic() + SITE_SECONDS
        try:
            while not done(found):
                assert time.monotonic() < deadline, f"{topic}: {len(found)} messages in time"
                found += [m for m in consumer.consume(1000, 0.1) if m.error() is None]
        finally:
            consumer.close()
        return found

    def rows(self, stream: str, least: int) -> list[Any]:
        """Records of a stream as objects, once there are `least` different ones."""
        rows: list[Any] = []
        ids: set[str] = set()

        def done(messages: list[Any]) -> bool:
            for message in messages[len(rows) :]:
                rows.append(orjson.loads(message.value()))
                ids.add(rows[-1]["id"])
            return len(ids) >= least

        self.read(stream, done)
        return rows

    def remove(self, admin: AdminClient) -> None:
        """Delete the topics."""
        names = [*self.inputs, *self.streams, *self.settings.topics.names.values()]
        for future in admin.delete_topics(names).values():
            future.result(30)

    @contextmanager
    def scorer(
        self, *options: str, command: Sequence[str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """``driftloop scorer``, or another command, as a process group that ends with the block."""
        own = ["-m", "driftloop", "scorer", "--config", str(self.config), *options]
        with (self.folder / "scorer.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *(command or own)],
                cwd=Path(__file__).parents[1],  # where the flows are
                env={**os.environ, "DRIFTLOOP_CONFIG": str(self.config)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _configuration(folder: Path, prefix: str, servers: str) -> str:
    topics = "\n".join(f'{role} = "{prefix}.driftloop.{role}"' for role in TopicSettings().names)
    return f"""
home = "{folder}"
[kafka]
bootstrap_servers = "{servers}"
[topics]
partitions = 1
{topics}
[monitor]
shards = 4
discover = "500ms"
epoch = "500ms"
[scorer]
topics = '{prefix}\\.features\\.(.+)'
output = '{prefix}.streams.\\1'
recovery = "{folder}/recovery"
[store]
uri = "{folder}/models"
[profiles.default]
topics = '{prefix}\\.streams\\..+'
features.numeric = ["a"]
features.categorical = ["b"]
"""
