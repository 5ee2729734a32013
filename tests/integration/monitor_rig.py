"""A monitor's surroundings on a real Kafka: streams that jump, the process, what it emits."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import psutil
import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from driftloop.detection.stream import StreamTracker
from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import driftloop_topics, ensure_topics
from driftloop.messages import Event, PartReported, StreamStatus, decode, encode
from driftloop.policy import StreamDecider, StreamTester
from driftloop.records import RecordDecoder
from driftloop.settings import Settings, load_settings

WINDOW = 30
START_MS = 1_700_000_000_000
MARGIN = 120.0
"""Seconds for what takes one or two on an idle machine."""

_TOML = """
home = "{folder}/home"
[kafka]
bootstrap_servers = "{servers}"
[topics]
retrain = "{prefix}.retrain"
models = "{prefix}.models"
trainings = "{prefix}.trainings"
commands = "{prefix}.commands"
evidence = "{prefix}.evidence"
status = "{prefix}.status"
incidents = "{prefix}.incidents"
dlq = "{prefix}.dlq"
partitions = 2
[monitor]
shards = 8
discover = "500ms"
epoch = "500ms"
recovery = "{folder}/recovery"
{monitor}
[profiles.numbers]
topics = '{prefix}\\.streams\\..+'
task = "regression"
loss = "squared"
features = {{ numeric = ["a", "b"], categorical = ["c"] }}
window = {{ kind = "count", records = {window} }}
training = {{ records = 150 }}
{profile}
[profiles.numbers.policy]
cost = 10
min_records = 60
outcome_timeout = "2h"
detectors = ["adwin", "page_hinkley"]
[profiles.hours]
topics = '{prefix}\\.hours\\..+'
task = "regression"
loss = "absolute"
features = {{ numeric = ["a", "b"], categorical = ["c"] }}
window = {{ kind = "cycle", length = "1h", lateness = "5m" }}
training = {{ records = 150 }}
[profiles.hours.policy]
kind = "mlma"
alpha_per_year = 50
min_records = 60
"""


class MonitorRig:
    """Topics with random names, a configuration, and monitors that run with it."""

    def __init__(self, folder: Path, servers: str, *, monitor: str = "", profile: str = "") -> None:
        self.folder = folder
        self.client = {"bootstrap.servers": servers, "log_level": 0}
        self.prefix = f"m{uuid.uuid4().hex[:10]}"
        self.config = folder / "driftloop.toml"
        self.config.write_text(
            _TOML.format(
                folder=folder,
                servers=servers,
                prefix=self.prefix,
                monitor=monitor,
                profile=profile,
                window=WINDOW,
            )
        )
        self.log = folder / "monitor.log"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name != "KAFKA_BOOTSTRAP_SERVERS" and not name.startswith("DRIFTLOOP_")
        } | {"OPENBLAS_NUM_THREADS": "1"}
        self.settings = self._load()
        self.admin = AdminClient(self.client)
        self.made = [spec.name for spec in driftloop_topics(self.settings.topics)]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._producer = CheckedProducer(self.client)
        ensure_topics(self.client, driftloop_topics(self.settings.topics))

    def _load(self) -> Settings:
        before = os.environ.pop("KAFKA_BOOTSTRAP_SERVERS", None)
        try:
            return load_settings(self.config)
        finally:
            if before is not None:
                os.environ["KAFKA_BOOTSTRAP_SERVERS"] = before

    # Streams

    def make(self, name: str) -> str:
        """Make a stream's topic, as ``streams.a`` or ``hours.b``, of one partition."""
        topic = f"{self.prefix}.{name}"
        deadline = time.monotonic() + MARGIN
        while True:
            error = self.admin.create_topics([NewTopic(topic, 1, 1)])[topic].exception(timeout=30)
            if error is None:
                break
            # A topic of that name is still being deleted.
            assert error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, error
            assert time.monotonic() < deadline, f"{topic} does not go away"
        self.made.append(topic)
        return topic

    def remake(self, topic: str, values: Sequence[bytes]) -> None:
        """Delete a topic that holds records, make it anew and give it these.

        For a moment the broker still appends to, and acknowledges from, the log that it deletes.
        """
        self.delete(topic)
        self.make(topic.removeprefix(f"{self.prefix}."))
        consumer = Consumer({**self.client, "group.id": "remake"})
        place = TopicPartition(topic, 0)
        deadline = time.monotonic() + MARGIN
        while True:
            with contextlib.suppress(KafkaException):
                if consumer.get_watermark_offsets(place, timeout=30)[1] == 0:
                    break
            assert time.monotonic() < deadline, f"{topic} does not become empty"
        consumer.close()
        self.produce(topic, values)

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        self.admin.delete_topics([topic])[topic].result(timeout=30)
        self.made.remove(topic)

    def produce(self, topic: str, values: Sequence[bytes | None], key: bytes | None = None) -> None:
        """Append records, acknowledged."""
        for value in values:
            self._producer.produce(topic, key=key, value=value)
        self._producer.flush()

    def send(self, topic: str, *events: Event) -> None:
        """Append events, acknowledged."""
        for event in events:
            self._producer.produce(topic, encode(event))
        self._producer.flush()

    def decisions(self, topic: str, values: Sequence[bytes | None], batch: int) -> list[Event]:
        """All events that the pure parts make of these records, cut into batches of that size."""
        found = self.settings.profile_of(topic)
        assert found is not None
        name, profile = found
        decoder = RecordDecoder(profile)
        tracker, tester = StreamTracker(topic, profile), StreamTester(profile)
        decider = StreamDecider(topic, name, profile)
        events: list[Event] = []
        for output in tracker.state("appeared"):
            events += decider.decide(tester.test(output))
        for start in range(0, len(values), batch):
            part = values[start : start + batch]
            offsets = range(start, start + len(part))
            stamps = [int(1000 * time.time())] * len(part)
            rows, dead = decoder.decode(topic, 0, part, offsets, stamps)
            for output in tracker.records(rows, 1, len(dead)):
                events += decider.decide(tester.test(output))
        return events

    def expected(self, streams: dict[str, list[bytes]], batch: int = 7) -> dict[str, bytes]:
        """Id and body of every decision and of all evidence that the pure parts come to."""
        return {
            event.id: encode(event).value
            for topic, values in streams.items()
            for event in self.decisions(topic, values, batch)
            if not isinstance(event, StreamStatus)
        }

    # Processes

    def start(
        self, *arguments: str, command: Sequence[str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Run ``driftloop monitor``, or another command, in a process of its own."""
        own = ["-m", "driftloop", "monitor", "--config", str(self.config), *arguments]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *(command or own)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment,
            )
        self._processes.append(process)
        return process

    def started(self, process: subprocess.Popen[bytes], seconds: float = MARGIN) -> None:
        """Wait until the monitor's loop turns, by its heartbeat."""
        deadline = time.monotonic() + seconds
        file = self.settings.home / "monitor.alive"
        while True:
            assert process.poll() is None, "the monitor ended while it was started"
            assert time.monotonic() < deadline, f"the monitor did not start in {seconds:g} s"
            if file.exists():
                pid = json.loads(file.read_text())["pid"]
                if pid == process.pid or pid in _children(process.pid):
                    return
            time.sleep(0.02)

    def stop(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        """Send a signal to a monitor that has started, and wait for the exit status."""
        if process.poll() is None:
            self.started(process)
        process.send_signal(number)
        return process.wait(MARGIN)

    def check(self) -> None:
        """See that the process that was started last has not failed by itself."""
        status = self._processes[-1].poll() if self._processes else None
        assert status is None or status <= 0, f"the monitor ended with status {status}"

    def run(self, *arguments: str, timeout: float = MARGIN) -> subprocess.CompletedProcess[str]:
        """Run a ``driftloop`` command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "driftloop", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self.environment,
            timeout=timeout,
        )

    def tail(self, *roles: str) -> Tail:
        """Follow Driftloop's own topics of these roles."""
        return Tail(self, [self.settings.topics.names[role] for role in roles])

    def close(self) -> None:
        """End what still runs, delete the topics."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait(MARGIN)
        for future in self.admin.delete_topics(self.made).values():
            future.exception(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.log.exists():
            error.add_note("the monitor's log ends:\n" + self.log.read_text()[-6000:])
        self.close()


def _children(pid: int) -> set[int]:
    try:
        return {child.pid for child in psutil.Process(pid).children()}
    except psutil.NoSuchProcess:
        return set()


class Tail:
    """Everything written to some topics, in the order in which it is read."""

    def __init__(self, rig: MonitorRig, topics: Sequence[str]) -> None:
        self.reports: list[PartReported] = []
        self.messages: list[Message] = []
        self._events: dict[str, list[Event]] = {}
        self._bodies: dict[str, set[bytes]] = {}
        self._status: dict[str, StreamStatus] = {}
        self._rig = rig
        self._consumer = Consumer(
            {**rig.client, "group.id": "tail", "fetch.wait.max.ms": 20, "enable.auto.commit": False}
        )
        counts = self._consumer.list_topics(timeout=30).topics
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in topics
                for partition in counts[topic].partitions
            ]
        )

    def poll(self, seconds: float = 0.1) -> list[Message]:
        """New messages; waits for at least one so long."""
        found = [
            message
            for message in self._consumer.consume(1000, timeout=seconds)
            if message.error() is None
        ]
        self.messages += found
        for message in found:
            headers = dict(message.headers() or [])
            if "ce_type" not in headers:
                continue  # a dead letter
            value = message.value() or b""
            event = decode(message.headers(), value)
            if isinstance(event, PartReported):
                self.reports.append(event)
                continue
            self._events.setdefault(event.stream, []).append(event)
            if isinstance(event, StreamStatus):
                self._status[event.stream] = event
            else:
                self._bodies.setdefault(event.id, set()).add(value)
        return found

    def until(self, done: Callable[[], Any], what: str, seconds: float = MARGIN) -> Any:
        """Read on until `done` gives something true; the answer is that."""
        deadline = time.monotonic() + seconds
        while not (found := done()):
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
            self._rig.check()
            self.poll()
        return found

    def gather(self, expected: dict[str, bytes], seconds: float = MARGIN) -> None:
        """Read on until all these events were seen."""
        deadline = time.monotonic() + seconds
        while missing := expected.keys() - self.bodies().keys():
            if time.monotonic() > deadline:
                shown = "\n".join(expected[name].decode()[:300] for name in sorted(missing)[:5])
                pytest.fail(f"{len(missing)} events did not come in {seconds:g} s, as\n{shown}")
            self._rig.check()
            self.poll()

    def events(self, stream: str | None = None) -> list[Event]:
        """What was read of one stream, or of all, one stream after the other."""
        if stream is not None:
            return self._events.get(stream, [])
        return [event for events in self._events.values() for event in events]

    def bodies(self) -> dict[str, set[bytes]]:
        """The different bodies of each event id, status aside."""
        return self._bodies

    def status(self, stream: str) -> StreamStatus | None:
        """The last status of a stream, as compaction would leave it."""
        return self._status.get(stream)

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def jumping(
    records: int, *, seed: int = 0, versions: int = 0, jump: float = 0.5, size: float = 4.0
) -> list[bytes]:
    """Records whose labels follow other coefficients after the share `jump` of them.

    Args:
        records: How many.
        seed: Other records by another seed.
        versions: Model versions that predict, one after the other; 0: none is named.
        jump: Where the coefficients change, in [0, 1].
        size: By how much.
    """
    generator = np.random.default_rng(seed)
    values = []
    for i in range(records):
        a, b = generator.standard_normal(2)
        late = i >= jump * records
        record = {
            "id": f"{seed}-{i}",
            "ts": START_MS + 60_000 * i,
            "x": {"a": a, "b": b, "c": "xyzuvw"[int(generator.integers(1 + min(5, i // 40)))]},
            "y": a - 2 * b + size * late * a + 0.3 * generator.standard_normal(),
            "y_pred": a - 2 * b,
        }
        if versions:
            record["model_version"] = f"v{1 + i * versions // records}"
        values.append(json.dumps(record).encode())
    return values
