"""The frontier's policies, and its result as a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from driftloop.backtest.frontier import Point, equal_period, families, pareto
from experiments import _report, _result

SHUFFLED = (
    "never",
    *(f"reducible({cost})" for cost in (5, 10, 20, 50, 100)),
    *(f"reducible({cost}, min_window=0.5)" for cost in (20, 50)),
    "reducible(both)",
    "mlma(0.1)",
    "mlma(1)",
    "mlma(10)",
    "multi-criteria(2, alpha_per_year=1)",
    "vote(2, alpha_per_year=1)",
    "detector(adwin)",
    "detector(page_hinkley)",
    "detector(hddm_w)",
)
FEW = ("never", "always", "reducible(20)", "reducible(50)", "reducible(100)")
COMPARED = (10, 20, 35, 50, 100)
QUICK = (
    "never",
    "always",
    "periodic(400)",
    "periodic(800)",
    "reducible(20)",
    "reducible(20, min_window=0.5)",
    "mlma(1)",
)


NEEDLESS = (
    "Were they needless? Loss on the shuffled records without any retrain, and its change "
    "(retrains a stream) by each policy: where it is lower, the first model was a poor one by "
    "chance, and replacing it paid."
)

TRAINED_ON = (
    "Loss (retrains a stream) of `reducible(c)`, whose models are trained on the whole training "
    "window, and with `min_window=0.5`: on the records since the accumulated saving was nil, at "
    "least on half the window."
)


def _point(one: dict[str, Any]) -> Point:
    return Point(one["name"], one["family"], None, one["retrains"], one["loss"])


def frontier_rows(one: dict[str, Any]) -> list[list[str]]:
    """Each family's frontier beside the fixed periods, at most four points a family."""
    of = [_point(policy) for policy in one["policies"]]
    rows = []
    for family, members in families(of).items():
        kept = pareto(members)
        chosen = [kept[round(i)] for i in np.linspace(0, len(kept) - 1, min(4, len(kept)))]
        cells = []
        for point in dict.fromkeys(chosen):
            equal = equal_period(of, point.loss)
            beside = ""
            if family not in {"never", "always", "periodic"} and equal.retrains is not None:
                beside = f" [{equal.retrains:.3g}]"
            cells.append(f"{point.loss:.4g} ({point.retrains:.3g}){beside}")
        rows.append([family, "; ".join(cells)])
    return rows


def _named(one: dict[str, Any], name: str) -> dict[str, Any]:
    return next((policy for policy in one["policies"] if policy["name"] == name), {})


def page(result: dict[str, Any]) -> str:
    """The result as a page."""
    there = [one for one in result["runs"] if "absent" not in one]
    real = [one for one in there if one["variant"] == "as it is"]
    lines = ["# The frontier", "", "`python -m experiments.frontier`", ""]
    lines += [_result.preamble(result), ""]
    lines += [f"Not run: {o['set']}: {o['absent']}." for o in result["runs"] if "absent" in o]
    lines += ["", "## Sets", "", _sets(real), "", "## Does reducible loss reach the goal?", ""]
    lines += [_goal(real), "", "## What is trained on", "", TRAINED_ON, "", _trained_on(real), ""]
    lines += ["## Frontiers", ""]
    lines += [
        (
            "Loss (retrains a stream), from few retrains to many; in square brackets the retrains "
            "of the best fixed period in hindsight at the same loss, where there is one."
        )
    ]
    for one in real:
        rows = frontier_rows(one)
        lines += ["", f"### {one['set']}", "", _report.table(["family", "loss (retrains)"], rows)]
    lines += ["", "## Shuffled: retrains a stream where there is no drift", ""]
    shuffled = [one for one in there if one["variant"] == "shuffled"]
    lines += [_shuffled(shuffled), "", NEEDLESS, "", _needless(shuffled)]
    lines += ["", "## The gate", ""]
    lines += [
        (
            "Loss (retrains a stream, of these refused). By test, the default: refused where the "
            "mean loss on the hold-out is significantly higher (5 %). By mean: where it is higher "
            "by whatever little. Off: never refused."
        ),
        "",
        _gates(there),
    ]
    return "\n".join(lines)


def _sets(real: Sequence[dict[str, Any]]) -> str:
    rows = []
    for one in real:
        never, always, default = (_named(one, n) for n in ("never", "always", "reducible(20)"))
        base = one["baseline"] or {}
        rows.append(
            [
                one["set"],
                f"{one['streams']} x {one['records'] // one['streams']:,}",
                f"{_result.number(base.get('loss'))} ({base.get('name')})",
                f"{never['loss']:.4g}",
                f"{always['loss']:.4g} ({always['retrains']:.3g}, {_rejected(one, always)})",
                f"{default['loss']:.4g} ({default['retrains']:.3g}, {_rejected(one, default)})",
                one["about"],
            ]
        )
    heads = ["set", "streams x records", "trivial", "never", "always (retrains, of these refused)"]
    return _report.table([*heads, "reducible(20)", "data"], rows)


def _rejected(one: dict[str, Any], policy: dict[str, Any]) -> str:
    return f"{policy['rejected'] / one['streams']:.3g}"


def _goal(real: Sequence[dict[str, Any]]) -> str:
    rows = []
    for one in real:
        v = one["verdict"]
        if not v["pays"]:
            rows.append([one["set"], "nothing to gain", *[_result.DASH] * 7])
            continue
        if "policy" not in v:
            rows.append([one["set"], "no", f"{v['best_share']:.0%} at most", *[_result.DASH] * 6])
            continue
        equal = v["equal_period"]
        rows.append(
            [
                one["set"],
                "yes" if v["reached"] else "no",
                f"{v['share']:.1%}{'' if v['sure'] else ' (could be chance)'}",
                v["policy"],
                f"{v['retrains']:.3g}",
                f"{v['always']:.3g}, {'yes' if v['fifth_of_always'] else 'no'}",
                "none is as good" if equal is None else f"{equal:.3g}",
                "yes" if v["half_of_period"] else "no",
                "yes" if one["verdict_whole"].get("reached") else "no",
            ]
        )
    heads = ["set", "goal", "share of the gain", "policy", "retrains", "always; ≤ 1/5?"]
    heads += ["period at equal loss", "≤ 1/2?", "goal with the whole window"]
    return _report.table(heads, rows)


def _trained_on(real: Sequence[dict[str, Any]]) -> str:
    rows = []
    for one in real:
        for name, more in (("whole", ""), ("changed", ", min_window=0.5")):
            found = [_named(one, f"reducible({cost}{more})") for cost in COMPARED]
            cells = [f"{f['loss']:.4g} ({f['retrains']:.3g})" if f else _result.DASH for f in found]
            rows.append([one["set"], name, *cells])
    return _report.table(["set", "window", *(f"c = {cost}" for cost in COMPARED)], rows)


def _shuffled(runs: Sequence[dict[str, Any]]) -> str:
    names = [policy["name"] for policy in runs[0]["policies"]] if runs else []
    order = [name for name in (*SHUFFLED, *QUICK) if name in names and name != "never"]
    rows = [
        [name, *(f"{_named(one, name).get('retrains', np.nan):.3g}" for one in runs)]
        for name in dict.fromkeys(order)
    ]
    return _report.table(["policy", *(one["set"] for one in runs)], rows)


def _needless(runs: Sequence[dict[str, Any]]) -> str:
    names = ("reducible(20)", "reducible(20, min_window=0.5)", "reducible(both)")
    rows = []
    for one in runs:
        never = _named(one, "never")
        found = [_named(one, name) for name in names]
        cells = [
            f"{policy['loss'] / never['loss'] - 1.0:+.2%} ({policy['retrains']:.3g})"
            if policy
            else _result.DASH
            for policy in found
        ]
        rows.append([one["set"], f"{never['loss']:.4g}", *cells])
    return _report.table(["set", "never", *names], rows)


def _gates(there: Sequence[dict[str, Any]]) -> str:
    kinds = ("as it is", "gate by mean", "gate off")
    rows = []
    for name in dict.fromkeys(one["set"] for one in there):
        runs = {one["variant"]: one for one in there if one["set"] == name}
        if not all(kind in runs for kind in kinds):
            continue
        for policy in FEW[1:]:
            found = [_named(runs[kind], policy) for kind in kinds]
            if all(found):
                cells = [
                    f"{one['loss']:.4g} ({one['retrains']:.3g}, {_rejected(runs[kind], one)})"
                    for kind, one in zip(kinds, found, strict=True)
                ]
                rows.append([name, policy, *cells])
    return _report.table(["set", "policy", "by test", "by mean", "off"], rows)
