"""Driftloop on a Kafka with access control: users of docs/security.md, topics, running parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AclBinding

from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import TopicSpec, driftloop_topics, ensure_topics
from driftloop.messages import Event, decode, encode
from driftloop.settings import Settings, TopicSettings, load_settings
from tests.acls import parsed, sections
from tests.secured import ADMIN, SecuredBroker, shown

SECONDS = 90.0
START_MS = 1_700_000_000_000
STREAMS = (
    "streams.a",
    "streams.b",
    "streams.c",
    "streams.refused",
    "streams.kept",
    "streams.replayed",
)
_TOML = """
home = "{folder}/home-{user}"
[kafka]
bootstrap_servers = "{servers}"
[kafka.properties]
{properties}
"sasl.password" = {{ env = "SASL_PASSWORD" }}
[topics]
create = {create}
partitions = 1
[monitor]
shards = 4
discover = "300ms"
epoch = "300ms"
recovery = "{folder}/recovery-{user}"
[store]
uri = "{folder}/store"
[trainer]
instance = "one"
linger = "50ms"
device = "cpu"
[scorer]
recovery = "{folder}/recovery-scorer-{user}"
[profiles.numbers]
topics = 'streams\\..+'
task = "regression"
loss = "squared"
features = {{ numeric = ["a", "b"] }}
window = {{ kind = "count", records = 40 }}
model = {{ kind = "linear" }}
training = {{ initial = 120, records = 200, min_records = 60 }}
policy = "never"
"""


class SecuredSite:
    """A broker on which each part has its user, and each user what the page allows it.

    Args:
        folder: For all files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = SecuredBroker(folder)
        os.environ["SASL_PASSWORD"] = self.broker.password
        self.page = {name: parsed(commands) for name, commands in sections().items()}
        self.names = TopicSettings(partitions=1)
        self._producer = CheckedProducer(self.broker.client(ADMIN))
        self._sent: dict[str, int] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        streams = [TopicSpec(name, 1) for name in (*STREAMS, "features.c")]
        ensure_topics(self.broker.client(ADMIN), [*streams, *driftloop_topics(self.names)])
        users = {one.principal for found in self.page.values() for one in found}
        for user in sorted(users):
            self.broker.add_user(user.removeprefix("User:"))
        for part in ("monitor", "trainer", "scorer", "viewer", "operator", "downstream"):
            self.broker.allow(self.page[part])

    def config(self, user: str, *, create: bool = False) -> Path:
        """A configuration of a user."""
        properties = self.broker.properties(user)
        del properties["sasl.password"]
        file = self.folder / f"{user}-{create}.toml"
        file.write_text(
            _TOML.format(
                folder=self.folder,
                user=user,
                servers=self.broker.bootstrap_servers,
                properties=shown(properties),
                create=str(create).lower(),
            )
        )
        return file

    def settings(self, user: str, *, create: bool = False) -> Settings:
        """The same, read."""
        before = os.environ.pop("KAFKA_BOOTSTRAP_SERVERS", None)
        try:
            return load_settings(self.config(user, create=create))
        finally:
            if before is not None:
                os.environ["KAFKA_BOOTSTRAP_SERVERS"] = before

    @contextmanager
    def without(self, *bindings: AclBinding) -> Iterator[None]:
        """Take rights away for a while."""
        self.broker.forbid(bindings)
        try:
            yield
        finally:
            self.broker.allow(bindings)

    @contextmanager
    def having(self, bindings: Sequence[AclBinding]) -> Iterator[None]:
        """Give rights for a while."""
        self.broker.allow(bindings)
        try:
            yield
        finally:
            self.broker.forbid(bindings)

    # Topics, as the admin sees them

    def feed(self, topic: str, records: int = 40) -> str:
        """Append labelled records; the range of all that the topic has of them."""
        first = self._sent.get(topic, 0)
        generator = np.random.default_rng(first)
        for i in range(first, first + records):
            a, b = generator.standard_normal(2)
            y = a - 2.0 * b + 0.3 * generator.standard_normal()
            record = {"id": str(i), "ts": START_MS + 60_000 * i, "x": {"a": a, "b": b}, "y": y}
            self._producer.produce(topic, value=json.dumps(record).encode())
        self._producer.flush()
        self._sent[topic] = first + records
        return f"{topic}:0:0:{first + records - 1}"

    def send(self, topic: str, event: Event) -> None:
        """Append an event."""
        self._producer.produce(topic, encode(event))
        self._producer.flush()

    def put(self, topic: str, value: bytes | None, headers: Any = ()) -> None:
        """Append a message."""
        self._producer.produce(topic, key=b"k", value=value, headers=headers)
        self._producer.flush()

    def until(self, topic: str, done: Callable[[Any], Any], *, check: Any = None) -> Any:
        """Read a topic of one partition until a message, decoded, makes `done` true."""
        consumer = Consumer(
            {
                **self.broker.client(ADMIN),
                "group.id": "look",
                "fetch.wait.max.ms": 20,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        deadline = time.monotonic() + SECONDS
        try:
            while True:
                assert time.monotonic() < deadline, f"not in time on {topic}; {self.log()[-3000:]}"
                assert check is None or check.poll() is None, self.log()[-3000:]
                for message in consumer.consume(500, 0.1):
                    if message.error() is None and (found := done(_content(message))):
                        return found
        finally:
            consumer.close()

    # Processes

    def start(self, part: str) -> subprocess.Popen[bytes]:
        """Run a part in a process of its own, as its user."""
        names = {k: v for k, v in os.environ.items() if not k.startswith(("KAFKA_", "DRIFTLOOP_"))}
        config = self.config(f"driftloop-{part}")
        with (self.folder / "parts.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "driftloop", part, "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**names, "OPENBLAS_NUM_THREADS": "1"},
            )
        self._processes.append(process)
        return process

    def log(self) -> str:
        """What parts in processes of their own have written."""
        file = self.folder / "parts.log"
        return file.read_text() if file.exists() else ""

    def logged(self, process: subprocess.Popen[bytes], *words: str) -> None:
        """Wait until a line of the log holds all of these words."""
        deadline = time.monotonic() + SECONDS
        while not any(all(word in line for word in words) for line in self.log().splitlines()):
            assert time.monotonic() < deadline, f"{words} not logged: {self.log()[-3000:]}"
            assert process.poll() is None, self.log()[-3000:]
            time.sleep(0.05)

    def close(self) -> None:
        """End all of it."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait(SECONDS)
        self.broker.stop()
        os.environ.pop("SASL_PASSWORD", None)


def end(process: subprocess.Popen[bytes]) -> int:
    """Ask a part to end; its exit status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(SECONDS)


def _content(message: Any) -> Any:
    headers = dict(message.headers() or [])
    if "ce_type" in headers and message.value() is not None:
        return decode(message.headers(), message.value())
    try:
        return json.loads(message.value() or b"null")
    except ValueError:
        return message.value()
