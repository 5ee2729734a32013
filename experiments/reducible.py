"""Reducible loss, improved? The open questions, tried on many sets.

``python -m experiments.reducible [--quick]`` replays each stream window by window under every
variant and a grid of costs c, beside never, every window, and fixed periods. A variant's figure on
a set is the share of the every-window gain that it reaches with a given number of retrains, read
from its frontier and averaged over budgets of 2.5, 5, 10 and 20 % of the windows; it wins a set if
that is above the default's by more than `MARGIN`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments._champion import Champions
from experiments._report import RESULTS, run_cells, table, write
from experiments._sets import Stream, generated, real, shuffled
from experiments._variants import Reducible, Run, Variant, periodic

SEED = 20
COSTS = (2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
PERIODS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
BUDGETS = (0.025, 0.05, 0.1, 0.2)
MARGIN = 0.01
ENOUGH = 0.9
WORTH = 0.01
"""Least share of never's loss that retraining every window saves, for a set to count."""

DEFAULT = Variant("default")
VARIANTS = (
    DEFAULT,
    Variant("features: none", features="none"),
    Variant("features: Fourier", features="fourier"),
    Variant("features: quartiles", features="bins"),
    Variant("features: seasons", features="season"),
    Variant("forgetting .98", forgetting=0.98),
    Variant("forgetting .99", forgetting=0.99),
    Variant("forgetting .998", forgetting=0.998),
    Variant("forgetting .999", forgetting=0.999),
    Variant("forgetting mixed", forgetting=0.0),
    Variant("d clipped at 1", clip=1.0),
    Variant("d clipped at 3", clip=3.0),
    Variant("c of each version's deviation", scale="deviation"),
    Variant("c of the first version", scale="fixed"),
    Variant("and test at .05", also="test", level=0.05),
    Variant("and test at .01", also="test", level=0.01),
    Variant("and test at .001", also="test", level=0.001),
    Variant("and e-detector at .05", also="e", level=0.05),
    Variant("and e-detector at .001", also="e", level=0.001),
)
QUICK = {"default", "features: none", "forgetting mixed", "and test at .05"}
HIDDEN = (
    Variant("hidden champion: linear"),
    Variant("hidden champion: its layer", features="hidden"),
    Variant("hidden champion: Fourier", features="fourier"),
    Variant("hidden champion: none", features="none"),
)
DELAYED = (
    Variant("labels 2 windows late", delay=2),
    Variant("labels 2 windows late, as predicted then", delay=2, honest=True),
)


def stream_runs(
    stream: Stream, variants: Sequence[Variant], kind: str, costs: Sequence[float], delay: int
) -> dict[str, list[tuple[float, int, float]]]:
    """A stream under fixed periods and all variants: (loss, retrains, c) by name, and windows."""
    champions = Champions(stream, "hidden" if kind == "hidden" else "linear", SEED)
    never = periodic(champions, 0)
    out = {"never": [_point(never, 0.0)], "windows": [(0.0, never.windows, 0.0)]}
    fixed = [1] if stream.control else PERIODS
    out["periodic"] = [_point(periodic(champions, k, delay), float(k)) for k in fixed]
    for one in variants:
        runner = Reducible(champions, one, SEED)
        out[one.name] = [_point(runner.run(cost), cost) for cost in costs]
    return out


def _point(run: Run, cost: float) -> tuple[float, int, float]:
    return run.loss, run.retrains, cost


Runs = dict[str, list[tuple[float, int, float]]]


def reached(runs: Runs, name: str) -> float:
    """Share of the every-window gain at the budgets, averaged; may be below 0.

    The frontier is the best loss with at most so many retrains, straight between its points.
    """
    never, every = runs["never"][0][0], runs["periodic"][0][0]
    points = sorted((count, loss) for loss, count, _ in [*runs["never"], *runs[name]])
    counts = np.array([count for count, _ in points], np.float64)
    best = np.minimum.accumulate([loss for _, loss in points])
    budgets = np.array(BUDGETS) * runs["windows"][0][1]
    return float(np.mean((never - np.interp(budgets, counts, best)) / (never - every)))


def least_cost(runs: Runs, name: str) -> float | None:
    """The largest c at which `ENOUGH` of the gain is reached; None if none is."""
    never, every = runs["never"][0][0], runs["periodic"][0][0]
    least = never - ENOUGH * (never - every)
    good = [cost for loss, _, cost in runs[name] if loss <= least]
    return max(good) if good else None


def by_group(
    streams: Sequence[Stream], found: Sequence[Runs], names: Iterable[str]
) -> dict[str, dict[str, float]]:
    """Each variant's figure by set, the mean over the set's streams that have something to gain."""
    out: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for stream, runs in zip(streams, found, strict=True):
        never, every = runs["never"][0][0], runs["periodic"][0][0]
        if never - every < WORTH * never:
            continue
        for name, groups in out.items():
            groups.setdefault(stream.group, []).append(reached(runs, name))
    return {
        name: {group: float(np.mean(values)) for group, values in groups.items()}
        for name, groups in out.items()
    }


def compared(figures: Mapping[str, Mapping[str, float]], base: str) -> list[list[str]]:
    """Rows: name, mean, sets won and lost against `base`, each set's figure."""
    groups = list(figures[base])
    rows = []
    for name, own in figures.items():
        gaps = [own[group] - figures[base][group] for group in groups]
        won, lost = sum(gap > MARGIN for gap in gaps), sum(gap < -MARGIN for gap in gaps)
        score = "" if name == base else f"{won} : {lost}"
        mean = f"{np.mean([own[group] for group in groups]):.3f}"
        rows.append([name, mean, score, *(f"{own[group]:.3f}" for group in groups)])
    return rows


def control_rows(found: Sequence[Runs]) -> list[list[str]]:
    """Retrains of each variant where none is of use, at c = 10, 20, 40."""
    rows = []
    for name in [key for key in found[0] if key not in {"never", "windows", "periodic"}]:
        cells = []
        for runs in found:
            counts = {cost: count for _, count, cost in runs[name]}
            cells.append(" / ".join(str(count) for _, count in sorted(counts.items())))
        rows.append([name, *cells])
    harm = [f"{100 * (r['periodic'][0][0] / r['never'][0][0] - 1):+.2f} %" for r in found]
    rows.append(["loss of every window against never", *harm])
    return rows


def cost_rows(streams: Sequence[Stream], found: Sequence[Runs]) -> list[list[str]]:
    """The largest c that reaches `ENOUGH` of the gain, by set and by what c counts."""
    names = ("default", "c of each version's deviation", "c of the first version")
    rows = []
    for name in names:
        costs: dict[str, list[float]] = {}
        for stream, runs in zip(streams, found, strict=True):
            if runs["never"][0][0] - runs["periodic"][0][0] >= WORTH * runs["never"][0][0]:
                costs.setdefault(stream.group, []).append(least_cost(runs, name) or np.nan)
        cells = [f"{np.nanmedian(c):g}" if np.isfinite(c).any() else "none" for c in costs.values()]
        logs = [np.log2(np.nanmedian(c)) for c in costs.values() if np.isfinite(c).any()]
        rows.append([name, f"{np.std(logs):.2f}", f"{len(logs)} of {len(costs)}", *cells])
    return rows


def _sweep(
    streams: Sequence[Stream],
    variants: Sequence[Variant],
    costs: Sequence[float],
    options: argparse.Namespace,
    *,
    kind: str = "linear",
    delay: int = 0,
) -> list[Runs]:
    cells = [
        {"stream": one, "variants": variants, "kind": kind, "costs": costs, "delay": delay}
        for one in streams
    ]
    what = f"{kind} champion, {len(variants)} variants" + (", late labels" if delay else "")
    return run_cells(stream_runs, cells, jobs=options.jobs, what=what)


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run all of it, and write ``results/reducible``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="generated streams, few variants")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    variants: tuple[Variant, ...] = VARIANTS
    costs: tuple[float, ...] = COSTS
    hidden: tuple[Variant, ...] = HIDDEN
    delayed = DELAYED
    existing: list[Stream] = []
    if options.quick:
        drawn = generated(options.seed, 8000)
        skipped = ["real sets: not with --quick"]
        variants = tuple(one for one in VARIANTS if one.name in QUICK)
        costs, hidden = COSTS[3:7], HIDDEN[:2]
    else:
        drawn = generated(options.seed)
        existing, skipped = real(options.seed)
    streams = [one for one in [*existing, *drawn] if not one.control]
    controls = [one for one in [*existing, *drawn] if one.control]
    controls += shuffled([one for one in existing if not one.control and one.group != "flights"], 1)
    found = _sweep(streams, variants, costs, options)
    on_hidden = _sweep(streams, hidden, costs, options, kind="hidden")
    late = _sweep(streams, delayed, costs, options, delay=2)
    on_controls = _sweep(controls, variants, (10.0, 20.0, 40.0), options)
    first = by_group(streams, found, ["default", "periodic", *(v.name for v in variants[1:])])
    second = by_group(streams, on_hidden, [v.name for v in hidden] + ["periodic"])
    third = by_group(streams, late, [v.name for v in delayed] + ["periodic"])
    header = ["variant", "mean", "won : lost"]
    sections = [
        _text(streams, found, skipped),
        "## Variants\n\n" + table([*header, *first["default"]], compared(first, "default")),
        "## A champion with a hidden layer\n\n"
        + table([*header, *second[hidden[0].name]], compared(second, hidden[0].name)),
        "## Labels two windows late\n\n"
        + table([*header, *third[delayed[0].name]], compared(third, delayed[0].name)),
        "## Controls: retrains at c = 10 / 20 / 40\n\n"
        + table(["variant", *(one.name for one in controls)], control_rows(on_controls)),
    ]
    if not options.quick:
        head = ["c counts", "spread (log2)", "sets", *first["default"]]
        sections.append(
            "## The largest c that reaches 90 % of the gain\n\n"
            + table(head, cost_rows(streams, found))
        )
    figures: dict[str, Any] = {
        "points": "[loss, retrains, c or period in windows]",
        "variants": _named(streams, found),
        "hidden": _named(streams, on_hidden),
        "late": _named(streams, late),
        "controls": _named(controls, on_controls),
        "skipped": skipped,
    }
    title = "Reducible loss, improved?"
    return write(
        "reducible",
        title,
        "\n\n".join(sections),
        figures,
        seed=options.seed,
        began=began,
        folder=options.out,
    )


def _named(streams: Sequence[Stream], found: Sequence[Runs]) -> dict[str, Runs]:
    rounded = [
        {name: [(round(a, 5), b, c) for a, b, c in points] for name, points in runs.items()}
        for runs in found
    ]
    return {one.name: runs for one, runs in zip(streams, rounded, strict=True)}


def _text(streams: Sequence[Stream], found: Sequence[Runs], skipped: Sequence[str]) -> str:
    small = [
        one.name
        for one, runs in zip(streams, found, strict=True)
        if runs["never"][0][0] - runs["periodic"][0][0] < WORTH * runs["never"][0][0]
    ]
    lines = [
        (
            "Figure: share of the every-window gain reached within 2.5, 5, 10 and 20 % of its "
            "retrains, averaged; `won : lost` counts sets more than "
            f"{MARGIN} above or below the first row."
        ),
        f"Left out, as every window saves less than 1 % there: {', '.join(small) or 'none'}.",
        f"Not there: {', '.join(skipped) or 'none'}.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
