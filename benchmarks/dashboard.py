"""Pages of the dashboard with 10,000 streams, beside the same pages with ten.

``python -m benchmarks.dashboard [--streams 10 10000] [--windows 40] [--rounds 30]`` fills read
models with so many streams, each with so many windows and three retrains, asks the application for
each page, and writes medians and worst times with hardware, versions and date to
``benchmarks/results/dashboard.json`` and ``.md``. No Kafka and no network: what a page takes to
make.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from benchmarks.throughput import RESULTS, hardware
from driftloop.dashboard.app import create_app
from driftloop.dashboard.live import Live
from driftloop.messages import (
    Event,
    Evidence,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    event_id,
)
from driftloop.readmodel import ReadModel, open_model
from driftloop.readmodel.apply import Where
from driftloop.settings import Settings

DAY = 24 * 3600 * 1000
START = 1_700_000_000_000
AT_A_TIME = 200
RETRAINS = 3
ANEW = "fleet, figures anew"
PAGES = {
    "fleet": "/",
    ANEW: "/",
    "streams, by need": "/streams",
    "streams, by ratio, last page": "/streams?sort=ratio&page=LAST",
    "streams, searched": "/streams?search=shop*7",
    "streams, watched": "/streams?state=watched&sort=saved",
    "one stream": "/streams/shops.00007",
    "trainings": "/trainings",
    "search's list": "/names?q=shops.0",
}


def name_of(i: int) -> str:
    """Name of a stream."""
    return f"shops.{i:05d}"


def events(first: int, end: int, windows: int) -> Iterator[Event]:
    """What happened to some streams."""
    for i in range(first, end):
        stream, common = name_of(i), {"profile": "default"}
        yield StreamStatus(
            id=event_id(stream, "", "status", ()),
            stream=stream,
            **common,
            state="watched" if i % 20 == 0 else "monitoring",
            model_version="v1",
            event_time=START + windows * DAY,
            records=1000 + i,
            retrains=i % 9,
            loss=1.0 + i % 13,
            reference_loss=2.0,
            baseline_loss=4.0,
            saved=float(i % 101),
        )
        for w in range(windows):
            yield Evidence(
                id=event_id(stream, "", "evidence", (w,)),
                stream=stream,
                **common,
                kind="window",
                opened_at=START + w * DAY,
                closed_at=START + (w + 1) * DAY,
                window=[],
                records=300,
                model_version="v1",
                results=[],
                metrics={"loss": 1.0 + (i * w) % 7, "reference_loss": 2.0},
            )
        for r in range(RETRAINS):
            request = event_id(stream, "", "retrain", (r,))
            yield RetrainRequested(
                id=request,
                stream=stream,
                **common,
                profile_hash="",
                reason="policy",
                policy="mlma",
                grounds=[],
                data=[],
                current_version="v1",
                decided_at=START + r * 10 * DAY,
            )
            yield TrainingFinished(
                id=event_id(stream, "", "training", (request,)),
                stream=stream,
                **common,
                request_id=request,
                outcome="published" if (i + r) % 4 else "rejected",
                finished_at=START + r * 10 * DAY,
            )


def fill(model: ReadModel, streams: int, windows: int) -> None:
    """Write so many streams."""
    offset = 0
    for first in range(0, streams, AT_A_TIME):
        rows = []
        for event in events(first, min(first + AT_A_TIME, streams), windows):
            rows.append((event, event.stream, Where("benchmark", 0, offset, START)))
            offset += 1
        model.write(rows, [], {("benchmark", 0): offset})


def measure(streams: int, windows: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of each page."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        model = open_model(settings)
        model.acquire()
        fill(model, streams, windows)
        live = Live(settings, model)
        live.caught_up = True
        app = create_app(settings, live=live)
        client = TestClient(app, base_url="http://127.0.0.1")
        found = {}
        for name, page in PAGES.items():
            path = page.replace("LAST", str(max(1, streams // 50)))
            times = []
            for _ in range(rounds + 1):  # the first one warms up
                if name == ANEW:
                    app.state.context.memo.forget()
                begun = time.perf_counter()
                client.get(path).raise_for_status()
                times.append(1000 * (time.perf_counter() - begun))
            found[name] = {"median": statistics.median(times[1:]), "worst": max(times[1:])}
        size = model.size()
        model.close()
    return {"megabytes": size / 1e6, "pages": found}


def page(result: dict[str, Any]) -> str:
    """The results as a page."""
    cases = result["cases"]
    heads = [f"{int(n):,} streams, median | worst" for n in cases]
    lines = [
        "# Pages of the dashboard",
        "",
        (
            "Made by `python -m benchmarks.dashboard`. Milliseconds to make each page, asked of "
            "the application itself, without Kafka, network or browser; by the number of streams. "
            "Figures of the whole fleet are made at most every two seconds, for all who look. "
            "Machines are noisy: compare the columns. Mean number of processes that wanted a core "
            f"meanwhile: {result['load']:.0f}."
        ),
        "",
        (
            f"{result['windows']} windows and {RETRAINS} retrains a stream; {result['rounds']} "
            f"rounds; {result['date']}; {result['hardware']}; Python {result['python']}; "
            + ", ".join(f"{name} {number}" for name, number in result["versions"].items())
            + ". Read model: "
            + ", ".join(f"{found['megabytes']:.0f} MB" for found in cases.values())
            + "."
        ),
        "",
        f"| page | {' | '.join(heads)} |",
        f"|---|{'---|' * 2 * len(cases)}",
    ]
    for name in PAGES:
        cells = [
            f"{found['pages'][name][kind]:.0f}"
            for found in cases.values()
            for kind in ("median", "worst")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[10, 10_000])
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    cases = {str(n): measure(n, options.windows, options.rounds) for n in options.streams}
    result = {
        "date": datetime.now(tz=UTC).date().isoformat(),
        "hardware": hardware(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("fastapi", "starlette", "jinja2")},
        "windows": options.windows,
        "rounds": options.rounds,
        "cases": cases,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "dashboard.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "dashboard.md").write_text(page(result), encoding="utf-8")
    print(f"Wrote {RESULTS / 'dashboard.md'}")


if __name__ == "__main__":
    main()
