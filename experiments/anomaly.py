"""Several criteria together, on anomaly-detection benchmarks with injected shifts.

``python -m experiments.anomaly [--data DIR]``: the setting of Katalay, Dimandja and Masakuna
(arXiv 2512.11541), reconstructed from its abstract; no replication. Sets of ADBench are shuffled,
so that they have no drift; then one shift is put into each stream: covariates (offset, scale,
rotation), prior, concept (sudden, gradual, recurring). A small neural network classifies; a retrain
takes the newest 1,000 records.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from driftloop.backtest.answers import answers
from driftloop.backtest.outcome import Outcome, StreamOutcome
from driftloop.backtest.session import Options, backtest
from experiments import _data, _report, _result
from experiments._data import DAY_MS, AbsentError, DataSet, Floats
from experiments._measures import MEASURES, measures
from experiments._shifts import SHIFTS, Shift, inject

SETS = ("2_annthyroid", "23_mammography", "22_magic.gamma", "30_satellite", "32_shuttle")
WINDOW, TRAINING, RECORDS, START, TURN = 250, 1000, 5000, 3000, 1000
HORIZON = 1500
"""Records after a drift in which a retrain answers it."""
STEP_MS = DAY_MS / WINDOW
"""A window is a day, so that a policy's needless retrains a year have a meaning."""

_ONE = "any(criteria=[{}], alpha_per_year=1)"
POLICIES = {
    "never": "never",
    "periodic, 4 windows": "periodic(1000)",
    "always": "always",
    "KS on features": _ONE.format('"ks"'),
    "PSI > 0.2": 'any(criteria=["psi > 0.2"], combine="weighted")',
    "KS on scores": _ONE.format('"score-ks"'),
    "loss": _ONE.format('"loss"'),
    "ADWIN on loss": "detector(adwin)",
    "DDM on errors": "detector(ddm)",
    "1 of 3": "vote(1, alpha_per_year=1)",
    "2 of 3": "vote(2, alpha_per_year=1)",
    "3 of 3": "vote(3, alpha_per_year=1)",
    "multi-criteria, 2 of 3": "multi-criteria(2, alpha_per_year=1)",
    "mlma": "mlma(1)",
    "reducible": "reducible(20)",
    "reducible, what changed": "reducible(20, min_window=0.5)",
    "reducible, test": "reducible(test, alpha_per_year=1)",
}
MODEL = {"kind": "mlp_classifier", "hidden": [16], "epochs": 20, "patience": 5}


def load(name: str, data: Path | None) -> tuple[Floats, Floats]:
    """Features and classes of a set."""
    with np.load(_data.found(data, "adbench", f"{name}.npz"), allow_pickle=False) as stored:
        return stored["X"].astype(np.float64), stored["y"].astype(np.float64)


def generated(seed: int = 1, records: int = 4000) -> tuple[Floats, Floats]:
    """A cloud with anomalies beside it."""
    rng = np.random.default_rng(seed)
    y = (rng.random(records) < 0.2).astype(np.float64)
    return rng.normal(size=(records, 4)) + 1.5 * y[:, None], y


def run(name: str, *, data: Path | None, seed: int, seeds: int, quick: bool) -> dict[str, Any]:
    """One set: all shifts, all seeds, all policies."""
    _result.single_thread()
    try:
        x, y = generated() if quick else load(name, data)
    except AbsentError as error:
        return {"set": name, "absent": str(error)}
    shifts = SHIFTS[:1] + SHIFTS[5:6] if quick else SHIFTS
    tables, drifts, of = {}, {}, {}
    for one in range(seeds):
        for k, shift in enumerate(shifts):
            stream = f"{shift.kind}-{shift.pace}-{one}"
            drawn = 10_000 * seed + 100 * one + k
            made = inject(x, y, shift, records=RECORDS, start=START, turn=TURN, seed=drawn)
            tables[stream] = _data.Table(made[0], made[1], _data.steps(RECORDS, STEP_MS))
            drifts[stream], of[stream] = made[2], (shift, one)
    profile = _data.profile_of(
        "binary",
        x.shape[1],
        {"kind": "count", "records": WINDOW},
        {"records": TRAINING},
        model={**MODEL, "epochs": 10} if quick else MODEL,
    )
    one_set = DataSet(name, tables, profile, TRAINING, "shuffled, shifts injected")
    chosen = ("never", "always", "loss", "2 of 3") if quick else tuple(POLICIES)
    outcomes: list[Outcome] = []
    options = Options([POLICIES[policy] for policy in chosen], warmup=TRAINING, seed=seed)
    result = backtest(one_set.source, options, outcomes.append)
    rows = [
        _row(outcome, policy, tables[outcome.stream].y, drifts[outcome.stream], of[outcome.stream])
        for outcome in outcomes
        if isinstance(outcome, StreamOutcome)
        for policy in chosen
    ]
    return {
        "set": name,
        "records": len(x),
        "features": x.shape[1],
        "anomalies": float(y.mean()),
        "seconds": result.seconds,
        "failures": [f"{f.stream}: {f.why}" for f in result.failures],
        "rows": rows,
    }


def _row(
    outcome: StreamOutcome, policy: str, y: Floats, drifts: list[int], of: tuple[Shift, int]
) -> dict[str, Any]:
    """One stream under one policy."""
    track = outcome.tracks[POLICIES[policy]]
    scored = np.isfinite(track.losses)
    retrains = [d for d in track.decisions if d.request.reason != "initial"]
    found = answers(
        [round(place * STEP_MS) for place in drifts],
        [d.request.decided_at for d in retrains],
        span=(round(TRAINING * STEP_MS), round(RECORDS * STEP_MS)),
        horizon=round(HORIZON * STEP_MS),
    )
    return {
        "policy": policy,
        "shift": of[0].name,
        "seed": of[1],
        **measures(y[scored], track.losses[scored]),
        "loss": float(track.losses[scored].mean()),
        "retrains": len(retrains),
        "refused": sum(d.outcome == "rejected" for d in retrains),
        "seconds": sum(d.seconds for d in retrains),
        "delays": [delay / STEP_MS for delay in found.delays],
        "missed": found.missed,
        "false": found.false,
    }


# The page


def interval(rows: Sequence[dict[str, Any]], key: str) -> tuple[float, float]:
    """Mean over seeds of the mean over shifts, and half of its 95 % interval (Student's t)."""
    seeds = sorted({row["seed"] for row in rows})
    means = [float(np.mean([r[key] for r in rows if r["seed"] == seed])) for seed in seeds]
    if len(means) < 2:
        return float(np.mean(means)), float("nan")
    half = stats.t.ppf(0.975, len(means) - 1) * stats.sem(means)
    return float(np.mean(means)), float(half)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    heads = ["policy", "accuracy", "balanced", "AUC", "F1", "retrains (refused)", "training, s"]
    heads += ["delay, records", "missed", "needless", "needless, no shift"]
    lines = []
    for policy in dict.fromkeys(row["policy"] for row in rows):
        own = [row for row in rows if row["policy"] == policy]
        quiet = [row for row in own if row["shift"] == "none"]
        delays = [delay for row in own for delay in row["delays"]]
        known = len(delays) + sum(row["missed"] for row in own)
        cells = [policy]
        for key in MEASURES:
            mean, half = interval(own, key)
            cells.append(f"{mean:.3f} ± {half:.3f}")
        cells += [
            (
                f"{np.mean([row['retrains'] for row in own]):.2f} "
                f"({np.mean([row['refused'] for row in own]):.2f})"
            ),
            f"{np.mean([row['seconds'] for row in own]):.2f}",
            _result.number(float(np.median(delays)) if delays else None),
            f"{1 - len(delays) / known:.0%}" if known else _result.DASH,
            f"{np.mean([row['false'] for row in own]):.2f}",
            f"{np.mean([row['retrains'] for row in quiet]):.2f}" if quiet else _result.DASH,
        ]
        lines.append(cells)
    return _report.table(heads, lines)


def _by_shift(rows: Sequence[dict[str, Any]], key: str) -> str:
    shifts = list(dict.fromkeys(shift.name for shift in SHIFTS))
    shifts = [name for name in shifts if any(row["shift"] == name for row in rows)]
    lines = []
    for policy in dict.fromkeys(row["policy"] for row in rows):
        own = [row for row in rows if row["policy"] == policy]
        lines.append(
            [
                policy,
                *(
                    f"{np.mean([row[key] for row in own if row['shift'] == name]):.3f} "
                    f"({np.mean([row['retrains'] for row in own if row['shift'] == name]):.1f})"
                    for name in shifts
                ),
            ]
        )
    return _report.table(["policy", *shifts], lines)


def page(result: dict[str, Any]) -> str:
    """The result as a page."""
    there = [one for one in result["runs"] if "absent" not in one]
    every = [row for one in there for row in one["rows"]]
    lines = ["# Several criteria on anomaly-detection benchmarks", ""]
    lines += ["`python -m experiments.anomaly`", "", _result.preamble(result), ""]
    lines += [f"Not run: {o['set']}: {o['absent']}." for o in result["runs"] if "absent" in o]
    lines += [
        "",
        (
            f"Streams of {RECORDS:,} records, {result['seeds']} seeds a shift; windows of {WINDOW} "
            f"records (a day of event time), models of the newest {TRAINING:,}; the shift comes at "
            f"record {START:,}, a gradual one grows over {TURN:,} records, a recurring one turns "
            f"each {TURN:,}. Means a stream over the "
            "shifts, ± half of the 95 % interval over the seeds. A retrain within "
            f"{HORIZON:,} records of a drift answers it; others are needless. Missed: share of the "
            "drifts without an answer."
        ),
        "",
        "## All sets",
        "",
        _table(every),
        "",
        "## AUC by shift, in brackets retrains a stream",
        "",
        _by_shift(every, "auc"),
        "",
        "## Balanced accuracy by shift, in brackets retrains a stream",
        "",
        _by_shift(every, "balanced"),
    ]
    for one in there:
        lines += ["", f"## {one['set']}", ""]
        lines += [
            (
                f"{one['records']:,} records, {one['features']} features, "
                f"{one['anomalies']:.1%} anomalies; {one['seconds']:.0f} s."
            ),
            "",
            _table(one["rows"]),
        ]
    return "\n".join(lines)


def _compact(one: dict[str, Any]) -> dict[str, Any]:
    """Rows as lists under one head, for a smaller file."""
    rows = one.get("rows", [])
    columns = list(rows[0]) if rows else []
    return {**one, "columns": columns, "rows": [[row[key] for key in columns] for row in rows]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, write."""
    parser = _result.parser(__doc__)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    data = _data.folder(options.data)
    names = ["generated"] if options.quick else options.sets
    seeds = 1 if options.quick else options.seeds
    work = partial(run, data=data, seed=options.seed, seeds=seeds, quick=options.quick)
    if options.jobs > 1 and len(names) > 1:
        with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
            runs = list(pool.map(work, names))
    else:
        runs = [work(name) for name in names]
    result = {**_result.facts(options.seed, began), "seeds": seeds, "runs": runs}
    compact = {**result, "runs": [_compact(one) for one in runs]}
    _result.write(options.out, "anomaly", compact, page(result))
    print(page(result))


if __name__ == "__main__":
    main()
