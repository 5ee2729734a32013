"""One stream of the model store, alone and among 100,000 versions of others.

``python -m benchmarks.store [--sizes 100 10000 100000] [--rounds 200] [--folder DIR]`` lists,
loads, saves and prunes one stream of ten versions in stores of so many versions (ten a stream, made
of hard links), counts the calls to the file system, takes medians of the time, and writes both with
hardware, versions and date to ``benchmarks/results/store.json`` and ``.md``. The baseline is a
listing of the whole store, as one without a folder a stream would need.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.throughput import RESULTS, hardware
from driftloop.models import Encoding, ModelArtifact, ModelStore
from driftloop.models.retention import Held
from driftloop.settings import StoreSettings

STREAM, VERSIONS = "streams.one", 10
_WATCHED = {"open", "os.scandir", "os.listdir", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}
_counting: list[tuple[str, Counter[str]]] = []


def _hook(event: str, args: tuple[object, ...]) -> None:
    if _counting and event in _WATCHED and _counting[-1][0] in str(args[0]):
        _counting[-1][1][event] += 1


sys.addaudithook(_hook)


def calls(work: Callable[[], object], below: Path) -> dict[str, int]:
    """How often the file system below a folder is asked: what Python audits, and `os.stat`.

    What a listing tells of its entries is not counted: it is as much as the entries are.
    """
    counted: Counter[str] = Counter()
    real = {"stat": os.stat, "lstat": os.lstat}

    def told(name: str) -> Callable[..., object]:
        def stat(path: object, *args: object, **named: object) -> object:
            counted["os.stat"] += str(below) in str(path)
            return real[name](path, *args, **named)  # type: ignore[arg-type]

        return stat

    _counting.append((str(below), counted))
    for name in real:
        setattr(os, name, told(name))
    try:
        work()
    finally:
        for name, function in real.items():
            setattr(os, name, function)
        _counting.pop()
    return {name: count for name, count in sorted(counted.items()) if count}


def clone(first: Path, folder: Path, streams: int, versions: int) -> None:
    """Give a store further streams, whose versions are hard links to a copy of one.

    Args:
        first: A version's folder.
        folder: The store's.
        streams: How many.
        versions: Of each.
    """
    for i in range(streams):
        stream = folder / f"streams.other-{i}"
        shutil.copytree(first, stream / "v0-01234567-0123456789ab")  # a file has so many links
        contents = list((stream / "v0-01234567-0123456789ab").iterdir())
        for j in range(1, versions):
            target = stream / f"v{j}-01234567-0123456789ab"
            target.mkdir()
            for file in contents:
                (target / file.name).hardlink_to(file)


def artifact(name: str, seed: int) -> ModelArtifact:
    """A linear model of ten features."""
    rng = np.random.default_rng(seed)
    encoding = Encoding(
        numeric=tuple("abcdefghij"),
        categorical=(),
        mean=rng.normal(size=10),
        scale=np.ones(10),
        vocabulary=(),
    )
    return ModelArtifact(
        kind="linear",
        task="regression",
        stream=STREAM,
        version=name,
        request_id=f"{seed:016x}",
        encoding=encoding,
        weights={"weight.0": rng.normal(size=(10, 1)), "bias.0": np.zeros(1)},
    )


def fill(folder: Path, size: int) -> tuple[ModelStore, list[tuple[str, str]]]:
    """A store of `size` versions; what the one stream's saves returned."""
    store = ModelStore(StoreSettings(uri=str(folder), keep=VERSIONS))
    saved = [store.save(STREAM, f"v{i}", artifact(f"v{i}", i)) for i in range(1, VERSIONS + 1)]
    clone(Path(saved[0][0].removeprefix("file://")), folder, size // VERSIONS - 1, VERSIONS)
    return store, saved


def works(store: ModelStore, saved: list[tuple[str, str]]) -> dict[str, Callable[[], object]]:
    """What is done with the one stream."""
    next_version = iter(range(VERSIONS + 1, sys.maxsize))

    def save() -> None:
        number = next(next_version)
        store.save(STREAM, f"v{number}", artifact(f"v{number}", number))

    return {
        "list": lambda: store.versions(STREAM),
        "load": lambda: store.load(*saved[-1]),
        "prune": lambda: store.prune(STREAM, Held()),
        "save": save,  # the last: it makes the stream longer
    }


def file_system(folder: Path) -> str:
    """Kind of the file system that a folder lies on, as ``ext4``."""
    mounts = psutil.disk_partitions(all=True)
    under = [one for one in mounts if folder.resolve().is_relative_to(one.mountpoint)]
    return max(under, key=lambda one: len(one.mountpoint)).fstype


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run every case in a store of each size."""
    cases: dict[str, Any] = {}
    for size in options.sizes:
        folder = Path(tempfile.mkdtemp(prefix="driftloop-store-", dir=options.folder))
        try:
            store, saved = fill(folder, size)
            found: dict[str, Any] = {}
            for name, work in works(store, saved).items():
                counted = calls(work, folder)
                times = []
                for _ in range(options.rounds if name != "save" else options.rounds // 10):
                    start = time.perf_counter()
                    work()
                    times.append((time.perf_counter() - start) * 1e6)
                found[name] = {"us": statistics.median(times), "calls": counted}
            start = time.perf_counter()
            everything = sum(len(store.versions(stream)) for stream in store.streams())
            found["whole"] = {"us": (time.perf_counter() - start) * 1e6, "versions": everything}
        finally:
            shutil.rmtree(folder)
        cases[str(size)] = found
        print(f"{size:,} versions: {found}", flush=True)
    return {
        "cases": cases,
        "rounds": options.rounds,
        "python": sys.version.split()[0],
        "hardware": hardware(),
        "place": file_system(options.folder or Path(tempfile.gettempdir())),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: version(name) for name in ("fsspec", "safetensors", "msgspec")},
    }


def page(result: dict[str, Any]) -> str:
    """The result as a page."""
    cases = result["cases"]
    least = next(iter(cases.values()))
    lines = [
        "# Model store",
        "",
        (
            "Made by `python -m benchmarks.store`. Medians, in microseconds, of what one stream of "
            f"{VERSIONS} versions costs in stores of several sizes, and calls to the file system. "
            "`whole` lists every stream, once: what a listing of the whole store would cost. "
            "Machines are noisy: the calls are what is claimed."
        ),
        "",
        f"{result['rounds']} rounds; {result['date']}; {result['hardware']}; on {result['place']}; "
        f"Python {result['python']}; "
        + ", ".join(f"{name} {number}" for name, number in result["versions"].items())
        + ".",
        "",
        (
            "| versions in the store | list | load | prune | save | whole | calls: list | load "
            "| prune | save |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for size, found in cases.items():
        times = [f"{found[name]['us']:,.0f}" for name in ("list", "load", "prune", "save", "whole")]
        counts = [
            str(sum(found[name]["calls"].values())) for name in ("list", "load", "prune", "save")
        ]
        lines.append(f"| {int(size):,} | {' | '.join([*times, *counts])} |")
    same = all(
        found[name]["calls"] == least[name]["calls"]
        for found in cases.values()
        for name in ("list", "load", "prune", "save")
    )
    lines += ["", f"The same calls at every size: {'yes' if same else 'no'}.", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where the stores are made; default: temporary")
    options = parser.parse_args()
    result = measure(options)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "store.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "store.md").write_text(page(result), encoding="utf-8")
    print(f"Wrote {RESULTS / 'store.md'}")


if __name__ == "__main__":
    main()
