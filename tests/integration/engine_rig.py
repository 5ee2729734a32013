"""A small flow that counts and hashes the records of each topic, and what runs and checks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from confluent_kafka import Consumer, TopicPartition

from driftloop.engine import (
    KafkaSink,
    Lifecycle,
    Outgoing,
    StreamBatch,
    StreamSource,
    run_flow,
    stop,
)
from driftloop.kafka.producer import CheckedProducer

HERE = Path(__file__)
DEADLINE = 60.0
DISCOVER = 0.5


def until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Wait until `condition` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def spread(items: list[StreamBatch | Lifecycle]) -> list[tuple[str, Any]]:
    """Batches as plain values, keyed by topic."""
    return [
        (item.topic, item.kind)
        if isinstance(item, Lifecycle)
        else (item.topic, (item.partition, [message.value() or b"" for message in item.messages]))
        for item in items
    ]


class Tally(op.StatefulBatchLogic[Any, dict[str, Any], dict[str, Any]]):
    """Count, and checksum by partition, of a topic's records; what became of the topic."""

    def __init__(self, state: dict[str, Any] | None) -> None:
        self.state = state or {"count": 0, "sums": {}, "kinds": []}

    def on_batch(self, values: list[Any]) -> tuple[list[dict[str, Any]], bool]:
        for value in values:
            if isinstance(value, str):
                self.state["kinds"].append(value)
                if value == "recreated":
                    self.state["count"], self.state["sums"] = 0, {}
            else:
                partition, records = value
                total = self.state["sums"].get(str(partition), 0)
                for record in records:
                    total = zlib.crc32(record, total)
                self.state["sums"][str(partition)] = total
                self.state["count"] += len(records)
        return [self.copy()], self.RETAIN

    def copy(self) -> dict[str, Any]:
        return {**self.state, "sums": dict(self.state["sums"]), "kinds": list(self.state["kinds"])}

    def snapshot(self) -> dict[str, Any]:
        return self.copy()


def build_flow(bootstrap: str, prefix: str, out: str, **options: Any) -> Dataflow:
    """Topics that begin with `prefix`, tallied into topic `out`: its last value is the total."""
    client = {"bootstrap.servers": bootstrap}
    sink = {name: options.pop(name) for name in ("patience",) if name in options}
    produce = {**client, **options.pop("produce", {})}
    options = {"discover_seconds": DISCOVER, "shards": 8, **options}
    source = StreamSource(client, lambda name: name.startswith(prefix), name="tally", **options)
    flow = Dataflow("tally")
    records = op.flat_map_batch("plain", op.input("in", flow, source), spread)
    totals = op.stateful_batch("tally", records, Tally)
    routed = op.map(
        "route",
        totals,
        lambda item: (
            item[0],
            Outgoing(out, item[0].encode(), json.dumps(item[1], sort_keys=True).encode(), []),
        ),
    )
    told = op.inspect("routed", routed)  # the log tells what is on its way to the sink
    op.output("out", told, KafkaSink(produce, parts=4, **sink))
    return flow


class Totals:
    """The last total of each topic, read from the flow's output."""

    def __init__(self, bootstrap: str, out: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "totals", "enable.auto.commit": False}
        )
        self._consumer.assign([TopicPartition(out, 0, 0)])
        self.last: dict[str, dict[str, Any]] = {}
        self.seen: list[tuple[str, int]] = []

    def read(self) -> dict[str, dict[str, Any]]:
        for message in self._consumer.consume(10_000, 0.05):
            if message.error() is None:
                key, value = (message.key() or b"").decode(), json.loads(message.value() or b"")
                self.last[key] = value
                self.seen.append((key, value["count"]))
        return self.last

    def count(self, topic: str) -> int:
        return int(self.read().get(topic, {"count": -1})["count"])

    def kinds(self, topic: str) -> list[str]:
        return list(self.read().get(topic, {"kinds": []})["kinds"])

    def close(self) -> None:
        self._consumer.close()


def records(topic: str, count: int, first: int = 0) -> list[bytes]:
    """Records that tell topic and number."""
    return [f"{topic} {number:07d} {'.' * 60}".encode() for number in range(first, first + count)]


def produce(bootstrap: str, topic: str, values: Iterable[bytes]) -> None:
    """Produce and check, each with a key of its own: many reach every partition."""
    with CheckedProducer({"bootstrap.servers": bootstrap}) as producer:
        for number, value in enumerate(values):
            producer.produce(topic, key=b"%d" % number, value=value)


def checksum(values: Iterable[bytes]) -> int:
    """Checksum of records in their order."""
    total = 0
    for value in values:
        total = zlib.crc32(value, total)
    return total


class Running:
    """A flow that runs in a thread of this process, until the block is left."""

    def __init__(self, flow: Dataflow, **options: Any) -> None:
        self.error: BaseException | None = None
        self._flow = flow
        self._options = {"epoch_seconds": 0.2, **options}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            run_flow(self._flow, **self._options)
        except BaseException as error:  # noqa: BLE001  # handed to the test
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            stop.request()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "the flow does not end"
        stop.reset()
        if self.error is not None:
            raise self.error


def start_process(arguments: dict[str, Any], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """The flow in a process of its own, as `driftloop monitor` would run it."""
    call = {"arguments": arguments, "epoch_seconds": 0.3, **options}
    code = (
        "import json, sys; from pathlib import Path; from driftloop.engine import run_flow;"
        "call = json.loads(sys.argv[1]);"
        "call['recovery'] = Path(call['recovery']) if call.get('recovery') else None;"
        f"run_flow({f'{HERE}:build_flow'!r}, **call)"
    )
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(call)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "RUST_BACKTRACE": "0", "PYTHONUNBUFFERED": "1"},
            cwd=HERE.parents[2],
        )


def plain_flow(bootstrap: str, prefix: str, out: str) -> Dataflow:
    """`build_flow` for ``python -m bytewax.run``, which handles no SIGTERM by itself."""
    stop.install()
    return build_flow(bootstrap, prefix, out)
