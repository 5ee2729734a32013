"""Stacked training beside one by one, and warm beside cold starts.

``python -m benchmarks.training [--models 1 16 256 4096] [--sample 32] [--rounds 3] [--quick]``
trains perceptrons and linear models on 2,000 records of 10 features each, every case in a process
of its own. What trains one by one is measured on at most `--sample` models, for its speed does not
depend on how many follow; so it is stated. Results go to ``benchmarks/results/training.json`` and
``.md``; ``--quick`` writes none.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console

from benchmarks import training_ceiling, training_warm
from benchmarks.throughput import RESULTS, hardware
from benchmarks.training_cases import BATCH, CASES, EPOCHS, HIDDEN, JUDGED, RECORDS, WIDTH
from driftloop.trainer.job import bucket, validation_records

PACKAGES = ("torch", "scikit-learn", "numpy")
BUCKET, FITTED = bucket(RECORDS), RECORDS - validation_records(RECORDS)
BASELINE = {"mlp": "mlp: torch, one by one", "linear": "linear: torch, one by one"}


def measure(case: str, models: int) -> dict[str, Any]:
    """Run a case in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training_cases", case, str(models)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"case {case} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def sizes(case: str, options: argparse.Namespace) -> list[int]:
    """How many models of a case are trained: all sizes of the stacks, one sample of the others."""
    if "Driftloop" in case:
        return list(options.models)
    # Single ridge regressions take less than a millisecond: more of them, to be measured at all.
    few = options.sample if case.startswith("mlp") else 32 * options.sample
    return [min(few, max(options.models))]


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure; None where it was not measured."""
    return {
        name: None if value is None else median(one[name] for one in rounds)
        for name, value in rounds[0].items()
    }


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All cases in turn."""
    cuda = torch.cuda.is_available()
    done: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for turn in range(options.rounds):
        for case in CASES:
            if "CUDA" in case and not cuda:
                continue
            for models in sizes(case, options):
                with console.status(f"round {turn + 1}: {case}: {models:,} models"):
                    figures = measure(case, models)
                done.setdefault((case, models), []).append(figures)
                console.print(
                    f"{case:>45}: {models:5,} models, {figures['models_per_s']:9,.1f} models/s, "
                    f"loss {figures['loss']:.4f}"
                )
    rows = [{"case": case, **_medians(found)} for (case, _), found in done.items()]
    with console.status("what the matrix products alone could do"):
        ceiling = training_ceiling.measure()
        if cuda:
            ceiling["cuda"] = training_ceiling.measure_cuda()
    with console.status("warm and cold starts"):
        warm = training_warm.measure(4 if options.quick else 32)
    return {
        "sample": options.sample,
        "rounds": options.rounds,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "load": os.getloadavg()[2],
        "cuda": torch.cuda.get_device_name() if cuda else None,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "rows": rows,
        "ceiling": ceiling,
        "warm": warm,
    }


def render(result: dict[str, Any]) -> str:
    """The result as a page."""
    lines = [
        "# Training, stacked and one by one",
        "",
        _MADE.format(load=result["load"], rounds=result["rounds"]),
        "",
        f"{RECORDS:,} records x {WIDTH} features a model; {result['date']}; {result['hardware']}; "
        f"Python {result['python']}; "
        + ", ".join(f"{name} {value}" for name, value in result["versions"].items())
        + ".",
        "",
        *_table(result["rows"]),
        "",
        _NOTES.format(sample=result["sample"]),
        "",
        _cuda(result),
        "",
        training_ceiling.render(result["ceiling"], _stacked(result["rows"])),
        *_cuda_ceiling(result),
        "",
        *training_warm.render(result["warm"]),
    ]
    return "\n".join(lines) + "\n"


def _cuda_ceiling(result: dict[str, Any]) -> list[str]:
    rows = [row for row in result["rows"] if row["case"] == "mlp: Driftloop, CUDA"]
    if not rows or "cuda" not in result["ceiling"]:
        return []
    largest = max(rows, key=lambda row: int(row["models"]))
    return ["", training_ceiling.render_cuda(result["ceiling"]["cuda"], largest)]


def _stacked(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of the perceptron stacks that is compared with the ceiling: the largest."""
    return [row for row in rows if row["case"] == "mlp: Driftloop"][-1]


def _table(rows: list[dict[str, Any]]) -> list[str]:
    base = {
        kind: next(row for row in rows if row["case"] == case) for kind, case in BASELINE.items()
    }
    lines = [
        _HEAD,
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        first = base[row["case"].split(":")[0]]
        cpu = row["cpu_ms_per_model"]
        shown = "" if cpu is None else f"{cpu:.2f}"
        saved = "" if cpu is None else f"{first['cpu_ms_per_model'] / cpu:.1f}"
        error = f" ± {row['loss_error']:.3f}" if row["models"] > 1 else ""
        lines.append(
            f"| {row['case']} | {row['models']:,} | {row['models_per_s']:,.1f} | {shown} | "
            f"{max(0.0, row['peak_mb']):,.0f} | {row['loss']:.3f}{error} | "
            f"{row['models_per_s'] / first['models_per_s']:.1f} | {saved} |"
        )
    return lines


_MADE = (
    "Made by `python -m benchmarks.training`. Medians of {rounds} rounds through all cases. "
    "Machines are noisy: compare the ratios, those of CPU first. Mean number of processes that "
    "wanted a core meanwhile: {load:.0f}."
)
_HEAD = (
    "| case | models | models/s | CPU, ms a model | peak MB beyond records | final loss "
    "| models/s against one by one | CPU against one by one |"
)
_NOTES = (
    f"Perceptron: one hidden layer of {HIDDEN}, Adam, {EPOCHS} epochs in steps of {BATCH}, weights "
    "of the best epoch on the newest 15 %, no early end; linear: ridge regression. A stack's epoch "
    f"is a walk through a bucket of {BUCKET:,}, {-(-BUCKET // BATCH)} steps where one by one "
    f"takes {-(-FITTED // BATCH)}. CPU against one by one is the ratio a core, which other work on "
    "the machine disturbs less; stacks are trained "
    "on all cores beside each other, so that alone on the machine the ratio of models/s is that "
    "times the cores. A ridge regression takes less than a millisecond, most of it to read the "
    "records: stacks of them save the calls, and nothing else. One by one is a "
    "`torch.nn.Module` with Adam on one thread, which for so small models is faster than two; a "
    "pool has a process a core, each with one thread, begun before the clock. All that trains one "
    "by one was measured on a sample ({sample} perceptrons, 32 times as many linear models): its "
    "models/s hold for any number, and ratios to larger stacks are with that sample. Loss: mean "
    f"squared error on {RECORDS:,} fresh records of each of the first {JUDGED} models, or of as "
    "many as were trained, with its standard error (the noise has 0.01; each case draws first "
    "weights of its own). Peak memory is this process's: pools have theirs in their processes."
)


def _cuda(result: dict[str, Any]) -> str:
    if result["cuda"]:
        return f"CUDA device: {result['cuda']}."
    return "No GPU was at hand: nothing was measured on one, and nothing is claimed for one."


def main() -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 16, 256, 4096])
    parser.add_argument("--sample", type=int, default=32, help="models of what trains one by one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="1, 16 and 256 models; write nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.quick:
        options.models, options.sample, options.rounds = [1, 16, 256], 16, 1
    console = Console()
    result = run(options, console)
    page = render(result)
    if options.quick:
        console.print(page, markup=False, soft_wrap=True)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "training.json").write_text(json.dumps(result, indent=2) + "\n")
    (options.out / "training.md").write_text(page)
    console.print(f"\nWritten to {options.out / 'training.md'}")


if __name__ == "__main__":
    main()
