"""Loss tests at the scale of a platform: 276 subway streams and 73 taxi zones.

``python -m experiments.platform_streams [--data DIR]`` puts drift of known place and kind into a
third of the streams: the level (20 %), the daily profile (two hours later) or the variance (noise
of 20 %). The others measure needless retrains, beside the number that the policy promises. Four
kinds of forecast: linear on lags, linear on the calendar alone, an MLP on lags, and yesterday's
value (which nothing retrains: requests are counted).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftloop.backtest.policies import profiles_of
from driftloop.backtest.result import PolicyScore, Result
from driftloop.backtest.session import Options, backtest
from driftloop.policy.promise import needless_per_year
from experiments import _data, _report, _result, _streams
from experiments._data import DAY_MS, AbsentError, DataSet
from experiments._streams import Demand, Injected

YEAR_MS = 365.25 * DAY_MS
FIRST_DAY = 1.5
"""Days after its beginning before which the window of a drift's first day, and no other, closes."""
FIRST_DAYS = 3.5

POLICIES = (
    "never",
    "periodic(7d)",
    "mlma(1)",
    "mlma(1, loss_test=phase-relative)",
    "mlma(4, loss_test=phase-relative)",
    "reducible(20)",
    "reducible(test, alpha_per_year=1)",
    "multi-criteria(2, alpha_per_year=1)",
    "detector(adwin)",
)
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear on lags": ("lags", {"kind": "linear"}),
    "linear on the calendar": ("calendar", {"kind": "linear"}),
    "MLP on lags": ("lags", {"kind": "mlp_regressor", "hidden": [16], "epochs": 30}),
    "yesterday's value": ("naive", {"kind": "linear"}),
}
SOURCES: dict[str, tuple[Callable[[Path | None], Demand], tuple[str, ...]]] = {
    "subway": (_streams.subway, tuple(MODELS)),
    "taxi": (_streams.taxi, ("linear on lags", "linear on the calendar")),
}
QUICK = {
    "generated": (lambda _: _streams.generated(), ("linear on the calendar", "yesterday's value"))
}


def run(demand: Demand, model: str, *, seed: int, jobs: int) -> dict[str, Any]:
    """One kind of forecast on all streams, under all policies."""
    drifted, drifts = _streams.inject(demand, seed)
    features, settings = MODELS[model]
    tables = _streams.tables(drifted, features)
    width = next(iter(tables.values())).x.shape[1]
    steps = demand.values.shape[2]
    profile = _data.profile_of(
        "regression",
        width,
        {"kind": "cycle", "length": "1d", "cycle": "1d"},
        {"window": f"{demand.warmup}d"},
        model=settings,
    )
    one = DataSet(demand.name, tables, profile, demand.warmup * steps, "", season=steps)
    recorded = features == "naive"
    options = Options(
        POLICIES,
        warmup=None if recorded else one.warmup,
        season=steps,
        seed=seed,
        jobs=jobs,
        recorded=recorded,
    )
    result = backtest(one.source, options)
    watched = demand.values.shape[1] - demand.week - (0 if recorded else demand.warmup)
    names = sorted(tables)
    known = {names[index]: drift for index, drift in drifts.items()}
    promises = {n: needless_per_year(p.policy) for n, p in profiles_of(profile, POLICIES).items()}
    return {
        "data": demand.name,
        "model": model,
        "streams": len(tables),
        "drifted": len(known),
        "days_watched": watched,
        "seconds": result.seconds,
        "wape_baseline": _wape(tables, result, None),
        "failures": [f"{f.stream}: {f.why}" for f in result.failures],
        "policies": [
            _policy(score, known, watched, promises[score.name])
            | {"wape": _wape(tables, result, score)}
            for score in sorted(result.policies, key=lambda s: POLICIES.index(s.name))
        ],
    }


def _wape(
    tables: dict[str, _data.Table], result: Result, score: PolicyScore | None
) -> float | None:
    """Absolute errors over all labels of the scored records; without a policy, of the baseline."""
    scored = result.policies[0].streams if score is None else score.streams
    labels = sum(float(np.abs(tables[s.stream].y[-s.records :]).sum()) for s in scored)
    if score is None:
        errors = result.baseline.loss * result.records if result.baseline else np.nan
    else:
        errors = sum((s.loss or 0.0) * s.records for s in scored)
    return errors / labels if labels else None


def _policy(
    score: PolicyScore, known: dict[str, Injected], watched: int, promised: float | None
) -> dict[str, Any]:
    untouched = [s for s in score.streams if s.stream not in known]
    years = len(untouched) * watched * DAY_MS / YEAR_MS
    false = sum(s.retrains for s in untouched)
    kinds: dict[str, Any] = {}
    for kind in _streams.KINDS:
        delays = [
            _delay(s.retrained_at, known[s.stream].day)
            for s in score.streams
            if s.stream in known and known[s.stream].kind == kind
        ]
        answered = [delay for delay in delays if np.isfinite(delay)]
        kinds[kind] = {
            "streams": len(delays),
            "power_day": _share(delays, FIRST_DAY),
            "power_three_days": _share(delays, FIRST_DAYS),
            "median_delay_days": float(np.median(answered)) if answered else None,
            "answered": len(answered) / len(delays) if delays else None,
        }
    return {
        "name": score.name,
        "promised_a_year": promised,
        "false_a_year": false / years if years else None,
        "false": false,
        "stream_years": years,
        "false_streams": sum(bool(s.retrains) for s in untouched),
        "retrains": score.retrains_per_stream,
        "rejected": score.rejected,
        "seconds": score.seconds,
        "kinds": kinds,
    }


def _delay(retrained: Sequence[int], day: int) -> float:
    """Days from a drift's first midnight to the first decision after it; inf without one."""
    after = [at / DAY_MS - day for at in retrained if at > day * DAY_MS + DAY_MS / 2]
    return min(after, default=np.inf)


def _share(delays: Sequence[float], within: float) -> float | None:
    return float(np.mean([delay < within for delay in delays])) if delays else None


def page(result: dict[str, Any]) -> str:
    """The result as a page."""
    lines = ["# Loss tests at the scale of a platform", ""]
    lines += ["`python -m experiments.platform_streams`", "", _result.preamble(result), ""]
    lines += [f"Not run: {text}." for text in result["absent"]]
    lines += [
        "",
        (
            "Windows of a day with the phase means removed; first models of "
            "8 days (subway) and 28 days (taxi), retrains on as many. Needless: retrains of the "
            "streams without injected drift, a stream and year. Power: share of the drifted "
            "streams answered when the window of the first day closes, in brackets within three "
            "days; then the median delay in days of those that were answered at all."
        ),
    ]
    for one in result["runs"]:
        lines += ["", f"## {one['data']}: {one['model']}", ""]
        lines += [
            (
                f"{one['streams']} streams, {one['drifted']} with drift, {one['days_watched']} "
                f"days watched; WAPE of the seasonal naive {_result.number(one['wape_baseline'])}; "
                f"{one['seconds']:.0f} s."
            ),
            "",
            _table(one["policies"]),
        ]
    return "\n".join(lines)


def _table(policies: Sequence[dict[str, Any]]) -> str:
    heads = ["policy", "WAPE", "retrains", "needless a year", "promised", *_streams.KINDS]
    rows = []
    for one in policies:
        cells = [
            one["name"],
            _result.number(one["wape"]),
            _result.number(one["retrains"]),
            (
                f"{_result.number(one['false_a_year'])} ({one['false']} in "
                f"{one['stream_years']:.1f} years)"
            ),
            _result.number(one["promised_a_year"]),
        ]
        for kind in _streams.KINDS:
            k = one["kinds"][kind]
            if k["power_day"] is None:
                cells.append(_result.DASH)
                continue
            delay = _result.number(k["median_delay_days"], 2)
            cells.append(f"{k['power_day']:.0%} ({k['power_three_days']:.0%}), {delay}")
        rows.append(cells)
    return _report.table(heads, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, write."""
    parser = _result.parser(__doc__)
    parser.add_argument("--sets", nargs="*", default=list(SOURCES), choices=list(SOURCES))
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    _result.single_thread()
    data = _data.folder(options.data)
    runs: list[dict[str, Any]] = []
    absent: list[str] = []
    chosen = QUICK if options.quick else {name: SOURCES[name] for name in options.sets}
    for name, (load, models) in chosen.items():
        try:
            demand = load(data)
        except AbsentError as error:
            absent.append(f"{name}: {error}")
            continue
        for model in models:
            jobs = 1 if options.quick else options.jobs
            runs.append(run(demand, model, seed=options.seed, jobs=jobs))
            print(f"{name}: {model} took {runs[-1]['seconds']:.0f} s", file=sys.stderr)
            result = {**_result.facts(options.seed, began), "absent": absent, "runs": runs}
            _result.write(options.out, "platform-streams", result, page(result))
    if not runs:
        result = {**_result.facts(options.seed, began), "absent": absent, "runs": []}
        _result.write(options.out, "platform-streams", result, page(result))
    print(page(result))


if __name__ == "__main__":
    main()
