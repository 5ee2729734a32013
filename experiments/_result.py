"""Result files of the experiments: date, versions, hardware, seed, and tables."""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments._report import hardware

DASH = "-"
"""Where there is no number."""

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("driftloop", "numpy", "scipy", "river", "torch")


def parser(text: str | None) -> argparse.ArgumentParser:
    """Options that all experiments share."""
    options = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", help="folder of the data sets; else DRIFTLOOP_DATA")
    options.add_argument("--out", type=Path, default=RESULTS, help="folder of the result files")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--jobs", type=int, default=2, help="processes beside each other")
    options.add_argument("--quick", action="store_true", help="small, on generated data")
    return options


def single_thread() -> None:
    """One thread of torch a process: its stacks are too small for more."""
    import torch  # noqa: PLC0415  # slow to import

    torch.set_num_threads(1)


def facts(seed: int, began: float) -> dict[str, Any]:
    """When, on what, with which seed; `began` is of ``time.perf_counter``."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "seed": seed,
        "seconds": round(time.perf_counter() - began, 1),
    }


def preamble(told: dict[str, Any]) -> str:
    """The facts in a line."""
    versions = ", ".join(f"{name} {value}" for name, value in told["versions"].items())
    return (
        f"{told['date']}; {told['hardware']}; Python {told['python']}; {versions}; "
        f"seed {told['seed']}; {told['seconds']:.0f} s."
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number of so many significant digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def write(out: Path, name: str, result: dict[str, Any], page: str) -> None:
    """Write ``name.json`` and ``name.md``."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(result), ensure_ascii=False, allow_nan=False)
    (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(page.rstrip() + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    """Five significant digits: more would change with the machine; nan is null."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
