"""Loading the records of many retrain requests from a real Kafka, beside a consumer a topic.

``python -m benchmarks.loading [--topics 256] [--records 2000] [--rounds 3]`` fills topics of a
local Kafka once, then runs the cases in turn, each in a process of its own, and writes the medians
with hardware, versions and date to ``benchmarks/results/loading.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.progress import track

from benchmarks.cases import Meter
from benchmarks.throughput import RESULTS, hardware
from driftloop.kafka.broker import LocalBroker
from driftloop.settings import Features, Profile

WIDTH = 10
PACKAGES = ("confluent-kafka", "msgspec", "numpy")
FIGURES = ("cpu_us_per_record", "records_per_s", "peak_rss_mb")
NAMES = [f"f{index}" for index in range(WIDTH)]


def _topics(count: int) -> list[str]:
    return [f"load.{index:05d}" for index in range(count)]


def fill(servers: str, topics: int, records: int, console: Console) -> int:
    """Produce seeded records of ten features; bytes of a record."""
    admin = AdminClient({"bootstrap.servers": servers})
    names = _topics(topics)
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        future.result(timeout=120)
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 200,
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1_000_000,
            "compression.type": "lz4",
        }
    )
    generator, size = np.random.default_rng(1), 0
    for row in track(range(records), description="Filling topics", console=console):
        values = generator.standard_normal((topics, WIDTH + 1)).round(5).tolist()
        for name, (y, *x) in zip(names, values, strict=True):
            record = {
                "id": str(row),
                "ts": 1_700_000_000_000 + row * 1000,
                "x": dict(zip(NAMES, x, strict=True)),
                "y": y,
            }
            value = json.dumps(record)
            producer.produce(name, value)
            size += len(value)
        producer.poll(0)
        while len(producer) > 1_000_000:
            producer.poll(0.1)
    producer.flush()
    return round(size / (topics * records))


def driftloop(servers: str, topics: list[str], records: int) -> dict[str, Any]:
    """The trainer's loading: all ranges by one consumer, decoded to columns and joined."""
    from driftloop.trainer.load import Wanted, load  # noqa: PLC0415  # the other case has no torch

    profile = Profile(topics=r"load\..+", features=Features(numeric=NAMES))
    wanted = {name: Wanted(profile, [f"{name}:0:0:{records - 1}"]) for name in topics}
    meter = Meter()
    meter.start()
    found = load({"bootstrap.servers": servers}, wanted, lambda: None)
    figures = meter.report(len(topics) * records)
    assert all(len(found[name]) == records for name in topics)  # type: ignore[arg-type]
    return figures


def naive(servers: str, topics: list[str], records: int) -> dict[str, Any]:
    """A consumer for each topic, one after the other, ``json.loads``, one array at the end."""
    meter = Meter()
    meter.start()
    for name in topics:
        consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "bench-naive",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
            }
        )
        consumer.assign([TopicPartition(name, 0, 0)])
        rows: list[list[float]] = []
        while len(rows) < records:
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                record = json.loads(message.value())
                rows.append([*(record["x"][feature] for feature in NAMES), record["y"]])
        consumer.close()
        assert np.array(rows[:records]).shape == (records, WIDTH + 1)
    return meter.report(len(topics) * records)


CASES = {"driftloop": driftloop, "naive": naive}


def measure(case: str, servers: str, topics: int, records: int) -> dict[str, Any]:
    """Run a case in a process of its own."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.loading", "--case", case, "--servers", servers),
            *("--topics", str(topics), "--records", str(records)),
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise SystemExit(f"case {case} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def render(result: dict[str, Any]) -> str:
    """The result as a page."""
    cases = result["cases"]
    base = cases["naive"]
    lines = [
        "# Loading records to train on",
        "",
        _MADE.format(load=result["load"]),
        "",
        f"{result['topics']:,} topics x {result['records_per_topic']:,} records of "
        f"{result['bytes_per_record']} bytes with {WIDTH} features, one request a topic; "
        f"{result['rounds']} rounds; {result['date']}; {result['hardware']}; "
        f"Python {result['python']}; "
        + ", ".join(f"{name} {value}" for name, value in result["versions"].items())
        + ".",
        "",
        _HEAD,
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in cases.items():
        cpu = one["cpu_us_per_record"]
        lines.append(
            f"| {name} | {cpu:.2f} | {1e6 / cpu:,.0f} | {one['records_per_s']:,.0f} | "
            f"{one['peak_rss_mb']:,.0f} | {cpu / base['cpu_us_per_record']:.2f} | "
            f"{one['records_per_s'] / base['records_per_s']:.1f} |"
        )
    lines += ["", _NOTES]
    return "\n".join(lines) + "\n"


_MADE = (
    "Made by `python -m benchmarks.loading`. Medians of the rounds. Machines are noisy: compare "
    "the ratios. Mean number of processes that wanted a core meanwhile: {load:.0f}."
)
_HEAD = (
    "| case | CPU, µs a record | records a CPU second | records/s | peak RSS, MB "
    "| CPU against naive | records/s against naive |"
)
_NOTES = (
    "`driftloop`: `driftloop.trainer.load`, one consumer for all ranges, looks for expired ranges "
    "first, typed decoding to columns, join of late labels; the client's own threads count, and "
    "torch is in its memory, as it is in the trainer's. "
    "`naive`: a consumer a topic, one after the other, `json.loads`, a list of rows. The broker "
    "runs on the same machine. CPU a record says how many records a core takes; a process decodes "
    "in one thread, so that further cores help the client's threads, or another trainer."
)


def main() -> None:
    """Fill, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topics", type=int, default=256)
    parser.add_argument("--records", type=int, default=2000, help="records a topic")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--servers", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        case = CASES[options.case]
        print(json.dumps(case(options.servers, _topics(options.topics), options.records)))
        return
    console = Console()
    rounds: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
    with (
        tempfile.TemporaryDirectory() as home,
        LocalBroker.start(Path(home), heap="1g") as broker,
    ):
        size = fill(broker.bootstrap_servers, options.topics, options.records, console)
        for turn in range(options.rounds):
            for case, done in rounds.items():
                with console.status(f"round {turn + 1} of {options.rounds}: {case}"):
                    done.append(
                        measure(case, broker.bootstrap_servers, options.topics, options.records)
                    )
                console.print(
                    f"{case:>10}: {done[-1]['cpu_us_per_record']:6.2f} µs of CPU a record, "
                    f"{done[-1]['records_per_s']:10,.0f} records/s"
                )
    result = {
        "topics": options.topics,
        "records_per_topic": options.records,
        "bytes_per_record": size,
        "rounds": options.rounds,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "load": os.getloadavg()[2],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "cases": {
            case: {name: statistics.median(one[name] for one in done) for name in FIGURES}
            for case, done in rounds.items()
        },
        "all": rounds,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "loading.json").write_text(json.dumps(result, indent=2) + "\n")
    (options.out / "loading.md").write_text(render(result))
    console.print(f"\nWritten to {options.out / 'loading.md'}")


if __name__ == "__main__":
    main()
