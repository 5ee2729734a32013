"""Monitor throughput on a real Kafka, beside bare consuming and a naive Bytewax flow.

``python -m benchmarks.throughput [--topics 960] [--records 2000] [--rounds 3]`` fills topics of a
local Kafka once, then runs the cases in turn, each in a process of its own (the naive one, which
starts thousands of threads, in the first round only), and writes the medians with hardware,
versions and date to ``benchmarks/results/throughput.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.progress import track

from benchmarks.cases import CASES, prefix
from driftloop.kafka.broker import LocalBroker

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("bytewax", "confluent-kafka", "river", "numpy", "msgspec", "orjson")
FIGURES = ("cpu_us_per_record", "records_per_s", "peak_rss_mb")


def fill(servers: str, topics: int, records: int, console: Console) -> int:
    """Produce seeded records of about 110 bytes, round robin over the topics."""
    admin = AdminClient({"bootstrap.servers": servers})
    names = [f"{prefix()}{index:05d}" for index in range(topics)]
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        future.result(timeout=120)
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 200,
            "batch.num.messages": 10000,
            "queue.buffering.max.messages": 2000000,
            "queue.buffering.max.kbytes": 1000000,
            "compression.type": "lz4",
            "enable.idempotence": True,
        }
    )
    seeded = random.Random(1)
    size = 0
    for row in track(range(records), description="Filling topics", console=console):
        for name in names:
            x, y = seeded.gauss(0, 1), seeded.gauss(10, 2)
            value = (
                f'{{"id":"{row}","ts":{1_700_000_000_000 + row * 1000},"x":{{"a":{x:.5f},'
                f'"b":{x * 2:.5f},"c":{y:.5f}}},"y_pred":{y:.5f},"y":{y + x:.5f}}}'
            )
            producer.produce(name, value)
            size += len(value)
        producer.poll(0)
        while len(producer) > 1_000_000:
            producer.poll(0.1)
    producer.flush()
    return round(size / (topics * records))


def measure(case: str, servers: str, topics: int, records: int) -> dict[str, Any]:
    """Run a case in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cases", case, servers, str(topics), str(records)],
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
    lines = [
        "# Monitor throughput",
        "",
        MADE_TEXT,
        "",
        f"{result['topics']:,} topics x {result['records_per_topic']:,} records of "
        f"{result['bytes_per_record']} bytes; {result['rounds']} rounds; {result['date']}; "
        f"{result['hardware']}; Python {result['python']}; "
        + ", ".join(f"{name} {value}" for name, value in result["versions"].items())
        + ".",
        "",
        "| case | CPU, µs a record | records/s | peak RSS, MB | CPU against bare | against naive |",
        "|---|---|---|---|---|---|",
    ]
    cases = result["cases"]
    for name, figures in cases.items():
        cpu = figures["cpu_us_per_record"]
        lines.append(
            f"| {name} | {cpu:.2f} | {figures['records_per_s']:,.0f} | "
            f"{figures['peak_rss_mb']:,.0f} | {cpu / cases['bare']['cpu_us_per_record']:.2f} | "
            f"{cpu / cases['naive']['cpu_us_per_record']:.2f} |"
        )
    lines += ["", CASES_TEXT]
    return "\n".join(lines) + "\n"


MADE_TEXT = (
    "Made by `make bench`. Medians of the rounds; `naive` ran in the first round only, because its "
    "thousands of threads hold everything up. Machines are noisy: compare the ratios."
)
CASES_TEXT = (
    "`bare`: one consumer, typed decoding, absolute error. `naive`: Bytewax's KafkaSource, orjson, "
    "one ADWIN a key. `monitor`: Driftloop's flow with its defaults: ADWIN, reducible loss on the "
    "features, loss and feature tests on windows of 300, evidence and status to Kafka, recovery on."
)


def hardware() -> str:
    """Processor and memory in words."""
    name = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0].split(":", 1)[1].strip() if models else name
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores ({name}), {pages:.0f} GiB"


def main() -> None:
    """Fill, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    # A process has 1,024 keys of thread storage; `naive`, with a consumer a topic, takes one each.
    parser.add_argument("--topics", type=int, default=960)
    parser.add_argument("--records", type=int, default=2000, help="records a topic")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    console = Console()
    total = options.topics * options.records
    rounds: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
    with (
        tempfile.TemporaryDirectory() as home,
        LocalBroker.start(Path(home), heap="1g") as broker,
    ):
        size = fill(broker.bootstrap_servers, options.topics, options.records, console)
        for turn in range(options.rounds):
            for case, done in rounds.items():
                if case == "naive" and turn:
                    continue  # a consumer a topic: its thousands of threads hold everything up
                with console.status(f"round {turn + 1} of {options.rounds}: {case}"):
                    figures = measure(case, broker.bootstrap_servers, options.topics, total)
                done.append(figures)
                console.print(
                    f"{case:>8}: {figures['cpu_us_per_record']:6.2f} µs of CPU a record, "
                    f"{figures['records_per_s']:10,.0f} records/s, "
                    f"{figures['peak_rss_mb']:6,.0f} MB"
                )
    result = {
        "topics": options.topics,
        "records_per_topic": options.records,
        "bytes_per_record": size,
        "rounds": options.rounds,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "cases": {
            case: {name: statistics.median(one[name] for one in done) for name in FIGURES}
            for case, done in rounds.items()
        },
        "all": rounds,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "throughput.json").write_text(json.dumps(result, indent=2) + "\n")
    (options.out / "throughput.md").write_text(render(result))
    console.print(f"\nWritten to {options.out / 'throughput.md'}")


if __name__ == "__main__":
    main()
