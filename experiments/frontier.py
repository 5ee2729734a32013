"""The frontier: loss against retrains of each policy family, beside the best fixed period.

``python -m experiments.frontier [--data DIR]`` replays every set under the grid of ``driftloop
backtest --grid``, as it is and shuffled, and with other gates. Questions: does reducible
loss reach 95 % of what a retrain at every window gains with at most a fifth of its retrains, and at
most half of those of the best fixed period at equal loss? Does any policy retrain on records in
random order?
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from driftloop.backtest.choice import LEAST_SAVING, pays
from driftloop.backtest.frontier import Point, equal_period, points
from driftloop.backtest.policies import grid
from driftloop.backtest.result import PolicyScore, Result
from driftloop.backtest.session import Options, backtest
from experiments import _data, _result
from experiments._data import AbsentError, DataSet
from experiments._frontier_page import FEW, QUICK, SHUFFLED, page
from experiments._frontier_sets import SETS

GATES: dict[str, dict[str, Any]] = {
    "gate off": {"margin": 1e12},  # at which every challenger is accepted
    "gate by mean": {"refuse": "worse"},
}
VARIANTS = ("as it is", "shuffled", *GATES)

FORMS = ("reducible", "reducible changed")
SHARE = 0.95
FEWER_THAN_ALWAYS = 5.0
FEWER_THAN_PERIODIC = 2.0


def generated(data: Path | None, *, records: int = 3000, seed: int = 1) -> DataSet:
    """A line whose slope turns twice."""
    del data
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(records, 2))
    slope = np.where(np.arange(records) % (records // 1.5) < records / 3, 1.0, -1.0)
    y = slope * x[:, 0] + rng.normal(size=records) * 0.5
    whole = _data.Table(x, y, _data.steps(records))
    return _data.by_count(
        "generated", whole, task="regression", window=100, training=400, about="a turning line"
    )


def run(name: str, variant: str, *, data: Path | None, seed: int, quick: bool) -> dict[str, Any]:
    """Replay one set in one variant.

    Returns:
        Its figures, or why it is not there.
    """
    _result.single_thread()
    try:
        one = generated(data) if quick else SETS[name](data)
    except AbsentError as error:
        return {"set": name, "variant": variant, "absent": str(error)}
    policies: Sequence[str] = QUICK if quick else grid(one.profile)
    if variant == "shuffled":
        one = _data.shuffled(one, seed)
        policies = QUICK if quick else SHUFFLED
    elif variant in GATES:
        training = one.profile.training.model_copy(update=GATES[variant])
        one = replace(one, profile=one.profile.model_copy(update={"training": training}))
        policies = QUICK if quick else FEW
    options = Options(policies, warmup=one.warmup or None, season=one.season, seed=seed)
    result = backtest(one.source, options)
    return {"set": name, "variant": variant, **_figures(one, result)}


def _figures(one: DataSet, result: Result) -> dict[str, Any]:
    return {
        "about": one.about,
        "streams": len(one.tables),
        "records": result.records,
        "loss": result.loss,
        "window": one.profile.window.model_dump(mode="json"),
        "training": one.profile.training.model_dump(mode="json", exclude_none=True),
        "seconds": result.seconds,
        "baseline": None
        if result.baseline is None
        else {"name": result.baseline.name, "loss": result.baseline.loss},
        "notes": [*result.notes, *(f"{f.stream}: {f.why}" for f in result.failures)],
        "policies": [_policy(score) for score in result.policies],
        "verdict": verdict(result.policies),
        "verdict_whole": verdict([one for one in result.policies if "min_window" not in one.name]),
    }


def _policy(score: PolicyScore) -> dict[str, Any]:
    return {
        "name": score.name,
        "family": score.family,
        "loss": score.loss,
        "accuracy": score.accuracy,
        "saved": [score.saved, score.saved_low, score.saved_high],
        "gain_share": score.gain_share,
        "retrains": score.retrains_per_stream,
        "rejected": score.rejected,
        "seconds": score.seconds,
    }


def verdict(policies: Sequence[PolicyScore]) -> dict[str, Any]:
    """Whether reducible loss reaches what was asked of it; the best of its family counts.

    Of its policies with `SHARE` of the gain of ``always``, one that reaches the goal, or else any;
    of these the one with the fewest retrains. No goal where ``always`` gains less than 1 % of the
    loss of ``never``; whether the gain could be chance is `driftloop.backtest.choice.pays`, and is
    told beside.
    """
    by_name = {score.name: score for score in policies}
    never, always = by_name.get("never"), by_name.get("always")
    gain = (always.saved or 0.0) if always is not None else 0.0
    if never is None or always is None or gain < LEAST_SAVING * (never.loss or 0.0):
        return {"pays": False}
    sure = pays(always, never)
    shares = {s.name: (s.saved or 0.0) / gain for s in policies if s.family in FORMS}
    cheap = [by_name[name] for name, share in shares.items() if share >= SHARE]
    if not cheap:
        return {"pays": True, "sure": sure, "reached": False, "best_share": max(shares.values())}
    found = [_beside(score, always, points(policies)) for score in cheap]
    best = min(found, key=lambda one: (not one["reached"], one["retrains"], one["loss"]))
    return {"pays": True, "sure": sure, "share": shares[best["policy"]], **best}


def _beside(one: PolicyScore, always: PolicyScore, known: Sequence[Point]) -> dict[str, Any]:
    """A policy beside a retrain at every window, and beside the best fixed period."""
    equal = equal_period(known, one.loss or 0.0)
    beyond = equal.retrains is None and not equal.nearest  # no period is as good
    needed = np.inf if beyond else (equal.retrains or 0.0)
    by_always = one.retrains_per_stream * FEWER_THAN_ALWAYS <= always.retrains_per_stream
    by_period = one.retrains_per_stream * FEWER_THAN_PERIODIC <= needed
    return {
        "reached": bool(by_always and by_period),
        "policy": one.name,
        "loss": one.loss or 0.0,
        "retrains": one.retrains_per_stream,
        "always": always.retrains_per_stream,
        "equal_period": equal.retrains,
        "told": equal.told,
        "fifth_of_always": bool(by_always),
        "half_of_period": bool(by_period),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, write."""
    parser = _result.parser(__doc__)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    data = _data.folder(options.data)
    names = ["generated"] if options.quick else options.sets
    wanted = [(name, variant) for variant in VARIANTS for name in names]
    work = partial(run, data=data, seed=options.seed, quick=options.quick)
    if options.jobs > 1 and len(wanted) > 1 and not options.quick:
        with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
            runs = list(pool.map(work, *zip(*wanted, strict=True)))
    else:
        runs = [work(*pair) for pair in wanted]
    result = {**_result.facts(options.seed, began), "runs": runs}
    _result.write(options.out, "frontier", result, page(result))
    print(page(result))


if __name__ == "__main__":
    main()
