"""What every experiment shares: result files that say where they come from, tables, intervals."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from scipy import stats

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scipy", "river", "pandas", "torch")


def run_cells(
    work: Callable[..., Any],
    cells: Sequence[Mapping[str, Any]],
    *,
    jobs: int,
    what: str,
) -> list[Any]:
    """Call `work` with each cell's arguments, in `jobs` processes; results in the cells' order."""
    console = Console(stderr=True)
    if jobs <= 1:
        steps = track(cells, description=what, console=console)
        return [work(**cell) for cell in steps]
    found: list[Any] = [None] * len(cells)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = {pool.submit(work, **cell): i for i, cell in enumerate(cells)}
        done = track(as_completed(futures), what, total=len(futures), console=console)
        for future in done:
            found[futures[future]] = future.result()
    return found


def write(
    name: str,
    title: str,
    body: str,
    figures: Any,
    *,
    seed: int,
    began: float,
    folder: Path = RESULTS,
) -> Path:
    """Write ``NAME.json`` and ``NAME.md`` with date, versions, hardware, seed and duration.

    Args:
        name: Of the files.
        title: Heading of the page.
        body: Tables, as Markdown.
        figures: What the tables were made from, as JSON.
        seed: Of all that was drawn.
        began: `time.perf_counter` at the start.
        folder: Where to.
    """
    facts: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(time.perf_counter() - began),
        "seed": seed,
        "hardware": hardware(),
        "python": platform.python_version(),
        "versions": dict(_versions()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**facts, "figures": figures}, indent=1, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n")
    used = ", ".join(f"{key} {value}" for key, value in facts["versions"].items())
    lead = (
        f"{facts['date']}, {facts['hardware']}, Python {facts['python']}, {used}; "
        f"seed {seed}, {facts['seconds']} s. Written by `python -m experiments.{name}`."
    )
    page = folder / f"{name}.md"
    page.write_text(f"# {title}\n\n{lead}\n\n{body.rstrip()}\n")
    return page


def hardware() -> str:
    """Processor and memory in words."""
    info = Path("/proc/cpuinfo")
    models = (
        [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    name = models[0].split(":", 1)[1].strip() if models else platform.machine()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores ({name}), {pages:.0f} GiB"


def _versions() -> Iterable[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; numbers as they are given."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def share(hits: int, runs: int, level: float = 0.95) -> tuple[float, float, float]:
    """A rate with its exact interval (Clopper, Pearson 1934): rate, low, high."""
    tail = (1.0 - level) / 2.0
    low = float(stats.beta.ppf(tail, hits, runs - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(1.0 - tail, hits + 1, runs - hits)) if hits < runs else 1.0
    return hits / runs, low, high


def per_year(events: int, years: float, level: float = 0.95) -> tuple[float, float, float]:
    """Events a year with the exact Poisson interval (Garwood 1936): rate, low, high."""
    tail = (1.0 - level) / 2.0
    low = float(stats.chi2.ppf(tail, 2 * events)) / 2.0 if events else 0.0
    high = float(stats.chi2.ppf(1.0 - tail, 2 * events + 2)) / 2.0
    return events / years, low / years, high / years


def shown(rate: tuple[float, float, float], digits: int = 3) -> str:
    """A rate with its interval, as ``.052 [.043, .062]``."""
    text = [
        f"{value:.{digits}f}".replace("0.", ".", 1) if value < 1 else f"{value:.{digits}f}"
        for value in rate
    ]
    return f"{text[0]} [{text[1]}, {text[2]}]"
