"""Size and power of every loss test, policy and detector; the promise against what happened.

``python -m experiments.size_power [--quick]``: undisturbed losses that depend, have heavy tails or
a daily cycle. One look: each test at its nominal level. A thousand looks: policies through the
monitor's own tester, false retrains a stream and year against `alpha_per_year`. Then rises of the
mean loss by 10, 20 and 50 %.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from driftloop.statistics.loss_registry import LOSS_TESTS
from driftloop.statistics.loss_tests import paired_mean_test
from experiments._detectors import false_alarms, found
from experiments._looks import Count, generator, shifted, undisturbed
from experiments._losses import NOISES, Noise
from experiments._report import RESULTS, per_year, run_cells, share, shown, table, write

SEED = 30
SHIFTS = (0.0, 0.1, 0.2, 0.5)
LEVELS = (0.05, 0.01)
RUNS = {"block_permutation": 200, "sieve_bootstrap": 200}
MOST_RUNS = 2000
REFERENCE = 4
UNMENDED = "mlma, without phase_inflation"

LEAD = (
    "Records every 15 minutes, windows of a day (96) or as said; losses of mean 1 and "
    f"standard deviation .5; a reference of {REFERENCE} windows for one look. "
    "95 % intervals (Clopper, Pearson; Garwood)."
)

POLICIES: dict[str, dict[str, Any]] = {
    "mlma": {"kind": "mlma"},
    "mlma, newey-west": {"kind": "mlma", "loss_test": "newey-west"},
    "reducible(test)": {"kind": "reducible", "mode": "test"},
    "reducible(both)": {"kind": "reducible", "mode": "both"},
    "reducible (accumulate)": {"kind": "reducible"},
    "e-process": {"kind": "any", "criteria": ["e-process"]},
    "multi-criteria(2)": {"kind": "multi-criteria", "criteria": ["ks", "score-ks", "loss"]},
    UNMENDED: {"kind": "mlma"},
}
MAIN = ("mlma", "reducible(test)", "reducible(both)")


def one_look(noise: Noise, test: str, runs: int, seed: int) -> dict[str, Any]:
    """Rejections of a batch after `REFERENCE` undisturbed windows, by shift and level."""
    n = noise.records
    hits = {f"{shift}|{level}": 0 for shift in SHIFTS for level in LEVELS}
    silent = 0
    hours = noise.hours((REFERENCE + 1) * n)
    for index in range(runs):
        losses = noise.losses(generator(seed, noise, index), (REFERENCE + 1) * n)
        old, new = losses[:-n], losses[-n:]
        for shift in SHIFTS:
            if test == "paired":
                result = paired_mean_test(new - 1.0 + shift)
            else:
                phases = (hours[-n:], hours[:-n]) if noise.phases else None
                result = LOSS_TESTS[test](new + shift, old, phases=phases, seed=index)
            silent += not result.has_verdict
            for level in LEVELS:
                hits[f"{shift}|{level}"] += bool(result.p_value <= level)
    return {"runs": runs, "silent": silent / runs / len(SHIFTS), "hits": hits}


def many_looks(
    noise: Noise, policy: str, alpha: float, streams: int, looks: int, seed: int
) -> Count:
    """Needless retrains; where `UNMENDED`, before that dependence was given back."""
    settings = {**POLICIES[policy], "alpha_per_year": alpha}
    if policy != UNMENDED:
        return undisturbed(noise, settings, streams=streams, looks=looks, seed=seed)
    with (
        mock.patch("driftloop.statistics.loss_tests.phase_inflation", return_value=1.0),
        mock.patch("driftloop.detection.reference.ANCHOR_CYCLES", 0),
    ):
        return undisturbed(noise, settings, streams=streams, looks=looks, seed=seed)


def fits(noise: Noise, policy: str) -> bool:
    """Whether a policy is tried on a noise: residuals have no cycle; the mend is for hours told."""
    if policy == UNMENDED:
        return noise.phases
    return not (noise.cycle and policy.startswith("reducible"))


def rise(noise: Noise, policy: str, shift: float, streams: int, after: int, seed: int) -> Count:
    """Windows from a rise to the retrain, at the default alpha of .1 a year."""
    settings = POLICIES[policy]
    return shifted(noise, settings, shift=shift, streams=streams, before=20, after=after, seed=seed)


def watch(noise: Noise, shift: float, streams: int, looks: int, seed: int) -> dict[str, Any]:
    """All detectors: false alarms where nothing shifts, else days to the alarm."""
    if shift == 0.0:
        return false_alarms(noise, streams=streams, looks=looks, seed=seed)
    return found(noise, shift=shift, streams=streams * 5, before=20, after=30, seed=seed)


# Tables


def look_rows(cells: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> list[Any]:
    """Noise, test, size at each level with interval, power at .01, share without a verdict."""
    rows = []
    for cell, one in zip(cells, results, strict=True):
        hits, runs = one["hits"], one["runs"]
        sizes = [shown(share(hits[f"0.0|{level}"], runs)) for level in LEVELS]
        power = [f"{hits[f'{shift}|0.01'] / runs:.2f}" for shift in SHIFTS[1:]]
        silent = f"{one['silent']:.2f}"
        rows.append([cell["noise"].name, cell["test"], runs, *sizes, *power, silent])
    return rows


def year_rows(cells: Sequence[dict[str, Any]], results: Sequence[Count]) -> list[Any]:
    """Noise, policy, promise, what happened with interval, and whether that is within it."""
    rows = []
    for cell, count in zip(cells, results, strict=True):
        rate = per_year(count.retrains, count.years)
        promised = "none" if "accumulate" in cell["policy"] else f"{cell['alpha']:g}"
        verdict = "" if promised == "none" else "holds"
        if verdict and rate[1] > cell["alpha"]:
            verdict = f"**broken, {rate[0] / cell['alpha']:.1f} times**"
        silent = f"{count.silent / count.streams / count.looks:.2f}"
        rows.append([cell["noise"].name, cell["policy"], promised, shown(rate),
                     f"{count.years:.0f}", count.retrains, silent, verdict])  # fmt: skip
    return rows


def rise_rows(cells: Sequence[dict[str, Any]], results: Sequence[Count]) -> list[Any]:
    """Noise, policy, rise, share retrained within 1, 7 and all windows, median delay."""
    rows = []
    for cell, count in zip(cells, results, strict=True):
        delays = np.array(count.delays)
        within = [shown(share(int((delays <= k).sum()), len(delays)), 2) for k in (1, 7)]
        every = f"{np.isfinite(delays).mean():.2f}"
        late = np.median(np.where(np.isnan(delays), np.inf, delays))
        median = f"{late:g}" if np.isfinite(late) else "> " + str(cell["after"])
        rise = f"{100 * cell['shift']:.0f} %"
        rows.append([cell["noise"].name, cell["policy"], rise, *within, every, median])
    return rows


def detector_rows(cells: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> list[Any]:
    """Noise, detector, alarms a stream and year, share alarmed within 1 and 7 days of a rise."""
    by = {(c["noise"].name, c["shift"]): r for c, r in zip(cells, results, strict=True)}
    rows = []
    for name in dict.fromkeys(cell["noise"].name for cell in cells):
        for kind, quiet in by[name, 0.0].items():
            cells_of = []
            for shift in sorted({s for n, s in by if n == name and s > 0.0}):
                days = np.array(by[name, shift][kind])
                cells_of.append(f"{(days <= 1).mean():.2f} / {(days <= 7).mean():.2f}")
            rows.append(
                [name, kind, shown(per_year(quiet["alarms"], quiet["years"]), 1), *cells_of]
            )
    return rows


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run all of it, and write ``results/size_power``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two noises, few runs")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    quick, seed = options.quick, options.seed
    noises = (NOISES[2], NOISES[7]) if quick else NOISES
    tests = [*LOSS_TESTS, "paired"]
    looks = [
        {"noise": noise, "test": test, "seed": seed,
         "runs": 5 if quick else RUNS.get(test, MOST_RUNS)}
        for noise in noises for test in tests
        if not (noise.cycle and test == "paired")
    ]  # fmt: skip
    streams = {1.0: 1 if quick else 12, 0.1: 1 if quick else 36}
    years = [
        {"noise": noise, "policy": policy, "alpha": alpha, "streams": streams[alpha],
         "looks": 30 if quick else 1000, "seed": seed}
        for noise in noises for policy in POLICIES for alpha in streams
        if fits(noise, policy) and (alpha == 1.0 or policy in MAIN)
    ]  # fmt: skip
    rises = [
        {"noise": noise, "policy": policy, "shift": shift, "streams": 2 if quick else 40,
         "after": 3 if quick else 60, "seed": seed}
        for noise in noises for policy in POLICIES for shift in SHIFTS[1:]
        if fits(noise, policy) and noise.days >= 1 and policy not in {UNMENDED, "mlma, newey-west"}
    ]  # fmt: skip
    watched = [
        {"noise": noise, "shift": shift, "streams": 1 if quick else 4,
         "looks": 10 if quick else 250, "seed": seed}
        for noise in noises if noise.days == 1 and not noise.phases for shift in (0.0, 0.2, 0.5)
    ]  # fmt: skip
    kinds = ("one look", one_look, looks), ("1,000 looks", many_looks, years)
    more = ("rises", rise, rises), ("detectors", watch, watched)
    found_all = [
        run_cells(work, cells, jobs=options.jobs, what=what)
        for what, work, cells in (*kinds, *more)
    ]
    sections = [
        LEAD,
        "## One look: size, and power at .01\n\n" + table(
            ["losses", "test", "runs", "size at .05", "size at .01", "rise 10 %", "20 %", "50 %",
             "no verdict"], look_rows(looks, found_all[0])),
        "## 1,000 looks: needless retrains a stream and year\n\n" + table(
            ["losses", "policy", "promised", "happened", "years", "retrains", "no verdict",
             "promise"], year_rows(years, found_all[1])),
        "## A rise of the mean loss, alpha_per_year .1\n\n" + table(
            ["losses", "policy", "rise", "within 1 window", "within 7", "within 60",
             "median windows"], rise_rows(rises, found_all[2])),
        "## Incremental detectors: alarms a stream and year; share alarmed within 1 / 7 days\n\n"
        + table(["losses", "detector", "undisturbed", "rise 20 %", "rise 50 %"],
                detector_rows(watched, found_all[3])),
    ]  # fmt: skip
    return write(
        "size_power",
        "Size and power",
        "\n\n".join(sections),
        _figures(looks, years, rises, watched, found_all),
        seed=seed,
        began=began,
        folder=options.out,
    )


def _figures(
    looks: Sequence[Any],
    years: Sequence[Any],
    rises: Sequence[Any],
    watched: Sequence[Any],
    found_all: Sequence[Sequence[Any]],
) -> dict[str, Any]:
    def told(cell: dict[str, Any]) -> dict[str, Any]:
        return {key: getattr(value, "name", value) for key, value in cell.items()}

    def counted(count: Count) -> dict[str, Any]:
        delays = [None if np.isnan(d) else d for d in count.delays]
        return {"years": count.years, "retrains": count.retrains, "silent": count.silent,
                "by": count.by, "delays": delays}  # fmt: skip

    def finite(one: dict[str, Any]) -> dict[str, Any]:
        return {key: [None if d == np.inf else d for d in value] if isinstance(value, list)
                else value for key, value in one.items()}  # fmt: skip

    return {
        "one_look": [{**told(c), **r} for c, r in zip(looks, found_all[0], strict=True)],
        "looks": [{**told(c), **counted(r)} for c, r in zip(years, found_all[1], strict=True)],
        "rises": [{**told(c), **counted(r)} for c, r in zip(rises, found_all[2], strict=True)],
        "detectors": [
            {**told(c), "by": finite(r)} for c, r in zip(watched, found_all[3], strict=True)
        ],
    }


if __name__ == "__main__":
    main()
