"""What `benchmarks.throughput` measures, each case in a process of its own.

``bare``: one librdkafka consumer, batches of 10,000, typed decoding, absolute error: the least that
any monitor in Python costs. ``naive``: what the documentation of Bytewax leads to: its KafkaSource,
orjson, one ADWIN a key. ``monitor``: Driftloop's flow with its defaults: ADWIN, reducible loss on
the features, KS on the features, windows, evidence to Kafka, recovery on.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

PATTERN = r"bench\..+"


class X(msgspec.Struct):
    """Features of a record."""

    a: float
    b: float
    c: float


class Record(msgspec.Struct):
    """A record, as the bare case decodes it."""

    id: str
    ts: int
    x: X
    y_pred: float
    y: float


def prefix() -> str:
    """How the topics' names begin."""
    return "bench."


class Meter:
    """CPU and wall time from the first record on."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.cpu = 0.0

    def start(self) -> None:
        """The first record is here."""
        if not self.wall:
            self.wall, self.cpu = time.perf_counter(), time.process_time()

    def report(self, records: int) -> dict[str, Any]:
        """Figures of so many records."""
        wall = time.perf_counter() - self.wall
        cpu = time.process_time() - self.cpu
        return {
            "records": records,
            "cpu_us_per_record": cpu / records * 1e6,
            "records_per_s": records / wall,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def bare(servers: str, topics: list[str], records: int) -> dict[str, Any]:
    """Consume and decode."""
    from confluent_kafka import (  # noqa: PLC0415  # each case loads only what it measures
        Consumer,
        TopicPartition,
    )

    decode = msgspec.json.Decoder(Record).decode
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "bench-bare",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 262144,
            "queued.min.messages": 200000,
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0) for topic in topics])
    meter, seen, total = Meter(), 0, 0.0
    while seen < records:
        messages = consumer.consume(10_000, 0.5)
        if messages:
            meter.start()
        for message in messages:
            record = decode(message.value())
            total += abs(record.y - record.y_pred)
        seen += len(messages)
    figures = meter.report(seen)
    consumer.close()
    return figures


def naive(servers: str, topics: list[str], records: int) -> dict[str, Any]:
    """KafkaSource, orjson, ADWIN."""
    import bytewax.operators as op  # noqa: PLC0415
    import orjson  # noqa: PLC0415
    from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage  # noqa: PLC0415
    from bytewax.connectors.stdio import StdOutSink  # noqa: PLC0415
    from bytewax.dataflow import Dataflow  # noqa: PLC0415
    from bytewax.testing import run_main  # noqa: PLC0415
    from river import drift  # noqa: PLC0415

    meter, seen = Meter(), 0
    figures: dict[str, Any] = {}

    def keyed(message: KafkaSourceMessage[bytes, bytes]) -> tuple[str, Any]:
        nonlocal seen
        meter.start()
        seen += 1
        if seen == records:
            figures.update(meter.report(seen))
        return str(message.topic), orjson.loads(message.value)

    def update(detector: Any, record: Any) -> tuple[Any, bool]:
        detector = detector or drift.ADWIN()
        detector.update(abs(record["y"] - record["y_pred"]))
        return detector, detector.drift_detected

    flow = Dataflow("naive")
    messages = op.input("in", flow, KafkaSource([servers], topics, batch_size=1000, tail=False))
    alarms = op.stateful_map("adwin", op.map("decode", messages, keyed), update)
    drifted = op.filter("drifted", alarms, lambda alarm: bool(alarm[1]))
    op.output("out", op.map("text", drifted, lambda _: ("", "")), StdOutSink())
    run_main(flow)
    return figures


def monitor(servers: str, topics: list[str], records: int) -> dict[str, Any]:
    """Driftloop's own flow, until it has decoded all records and is drained."""
    del topics
    import structlog  # noqa: PLC0415

    from driftloop.engine import stop  # noqa: PLC0415
    from driftloop.engine.run import run_flow  # noqa: PLC0415
    from driftloop.kafka.topics import driftloop_topics, ensure_topics  # noqa: PLC0415
    from driftloop.monitor import metrics  # noqa: PLC0415
    from driftloop.monitor.flow import build_flow  # noqa: PLC0415
    from driftloop.settings import Features, KafkaSettings, Profile, Settings  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    profile = Profile(topics=PATTERN, features=Features(numeric=["a", "b", "c"]))
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=servers), profiles={"bench": profile})
    ensure_topics(settings.kafka.client(), driftloop_topics(settings.topics))
    meter = Meter()

    def watch() -> None:
        for _ in _ticks():
            count = int(metrics.RECORDS._value.get())  # noqa: SLF001  # reads no other way
            if count:
                meter.start()
            if count >= records:
                stop.request()
                return

    threading.Thread(target=watch, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        run_flow(build_flow(settings), recovery=Path(folder) / "recovery")
        # With the last epoch: its output acknowledged, its snapshots stored.
        return meter.report(records)


def _ticks() -> Iterator[None]:
    pause = threading.Event()
    while not pause.wait(0.01):
        yield


CASES = {"bare": bare, "naive": naive, "monitor": monitor}

if __name__ == "__main__":
    case, servers_, topics_, records_ = sys.argv[1:5]
    names = [f"{prefix()}{index:05d}" for index in range(int(topics_))]
    print(json.dumps(CASES[case](servers_, names, int(records_))))
