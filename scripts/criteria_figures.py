"""Measures every criterion where nothing drifts: how often it speaks for drift, and what it costs.

``python scripts/criteria_figures.py`` writes ``docs/criteria.json``, which ``generate_docs.py``
puts into ``docs/criteria.md``. Same seeds, same sizes; the times are those of the machine. It takes
one to two minutes. Run it after a criterion was added or a statistic changed.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter
from scipy.special import expit, ndtr

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, its folder alone is there

from driftloop.criteria import CRITERIA, Criterion, Finding, Sample, make_criterion
from driftloop.settings.detectors import KINDS
from driftloop.statistics.multiplicity import holm
from scripts.detector_rates import RECORDS, RUNS, delays, false_alarms, microseconds

FIGURES = Path(__file__).parents[1] / "docs" / "criteria.json"

WINDOWS = 400
SLOW_WINDOWS = 200
"""Of the criteria that permute or train."""

SLOW = frozenset({"mmd", "energy", "classifier"})
SIZE, REFERENCE = 300, 1000
NUMERIC, CATEGORICAL = 10, 2
PHIS = (0.0, 0.6)
LEVEL = 0.05

_MISSING = 0.03
_CATEGORIES = (5, 40)  # of each categorical feature; shares fall as 1, 1/2, 1/3, ...


def null_pair(phi: float, seed: int) -> tuple[Sample, Sample]:
    """Window and reference of one undisturbed stream, whose parts are AR(1) with `phi`.

    Features, scores and losses are normal numbers of variance 1 (scores through the logistic
    function, categories through quantiles, losses plus 5); labels follow the scores. The
    correction saves nothing on average. Values are missing in the last feature of each kind.
    """
    rng = np.random.default_rng(seed)
    n = REFERENCE + SIZE
    columns = _series(rng, n, NUMERIC + 2 * CATEGORICAL + 4, phi)  # (n, columns)
    x, rest = columns[:, :NUMERIC].copy(), columns[:, NUMERIC:]
    gone = ndtr(rest[:, : 2 + CATEGORICAL]) < _MISSING
    x[gone[:, 0], -1] = np.nan
    codes = np.column_stack(
        [_categories(rest[:, 2 + j], many) for j, many in enumerate(_CATEGORIES)]
    )
    codes[gone[:, 1], -1] = -1
    scores = expit(rest[:, 4])
    whole = Sample(
        size=n,
        x=x,
        names=[f"x{j}" for j in range(NUMERIC)],
        codes=codes,
        code_names=[f"c{j}" for j in range(CATEGORICAL)],
        scores=scores,
        labels=(rng.random(n) < scores).astype(np.float64),
        losses=5.0 + rest[:, 5],
        corrected=5.0 + rest[:, 5] - rest[:, 6],
        classes=2,
    )
    return _part(whole, REFERENCE, n), _part(whole, 0, REFERENCE)


def _series(rng: np.random.Generator, n: int, columns: int, phi: float) -> np.ndarray:
    start = phi * rng.normal(size=(1, columns))
    noise = np.sqrt(1 - phi**2) * rng.normal(size=(n, columns))
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=0, zi=start)[0])


def _categories(normal: np.ndarray, many: int) -> np.ndarray:
    shares = 1.0 / np.arange(1, many + 1)
    edges = np.cumsum(shares / shares.sum())[:-1]
    return np.asarray(np.searchsorted(edges, ndtr(normal)), np.int64)


def _part(whole: Sample, begin: int, end: int) -> Sample:
    names = ("x", "codes", "scores", "labels", "losses", "corrected")
    parts: dict[str, Any] = {name: getattr(whole, name)[begin:end] for name in names}
    return Sample(
        size=end - begin, names=whole.names, code_names=whole.code_names, classes=2, **parts
    )


def judge(name: str, phi: float, windows: int) -> dict[str, Any]:
    """How often a criterion speaks for drift where there is none, and its time a window.

    Returns:
        ``windows``: share of windows with a p-value at most `LEVEL`, by Holm over the features
        (without a p-value: with an effect over the usual floor); ``tests``: share of single
        p-values; ``verdicts``: share of the results that have one; ``effect``: mean of the windows'
        largest effect; ``microseconds``: median CPU time of a window.
    """
    hits, single, verdicts, effects, times = [], [], [], [], []
    for run in range(windows):
        window, reference = null_pair(phi, run)
        criterion: Criterion = make_criterion(name)
        criterion.evaluate(window, reference, run)  # the reference is prepared once
        criterion, window.prepared = make_criterion(name), {}
        start = time.process_time()
        found = criterion.evaluate(window, reference, run)
        times.append(time.process_time() - start)
        p = np.array([one.result.p_value for one in found])
        adjusted = holm(p)
        known = ~np.isnan(p)
        largest = _largest(found)
        speaks = largest >= CRITERIA[name].floor
        if CRITERIA[name].calibrated:
            speaks = bool((adjusted[known] <= LEVEL).any())
            single += (p[known] <= LEVEL).tolist()
        hits.append(speaks)
        verdicts += known.tolist()
        effects.append(largest)
    return {
        "windows": round(float(np.mean(hits)), 4),
        "tests": round(float(np.mean(single)), 4) if single else None,
        "verdicts": round(float(np.mean(verdicts)), 4) if CRITERIA[name].calibrated else None,
        "effect": round(float(np.nanmean(effects)), 4),
        "microseconds": round(float(np.median(times)) * 1e6, 1),
    }


def _largest(found: list[Finding]) -> float:
    effects = [abs(one.result.effect) for one in found if not np.isnan(one.result.effect)]
    return max(effects, default=np.nan)


def criterion_figures(name: str) -> dict[str, Any]:
    """The figures of a criterion, by `PHIS`."""
    windows = SLOW_WINDOWS if name in SLOW else WINDOWS
    by_phi = {str(phi): judge(name, phi, windows) for phi in PHIS}
    return {"runs": windows, "phi": by_phi}


def detector_figures(kind: str) -> dict[str, Any]:
    """The figures of an incremental detector."""
    hits, delay = delays(kind)
    return {
        "false": sum(false_alarms(kind)) / RUNS,
        "false_ar": sum(false_alarms(kind, phi=0.6)) / RUNS,
        "hits": hits,
        "delay": delay,
        "microseconds": round(microseconds(kind), 2),
    }


def main() -> int:
    """Write the figures."""
    began = time.perf_counter()
    criteria = {}
    for name in CRITERIA:
        start = time.perf_counter()
        criteria[name] = criterion_figures(name)
        print(f"{name:18} {time.perf_counter() - start:6.1f} s  {criteria[name]['phi']}")
    detectors = {kind: detector_figures(kind) for kind in KINDS}
    packages = ("numpy", "scipy", "river")
    figures = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "window": SIZE,
        "reference": REFERENCE,
        "numeric": NUMERIC,
        "categorical": CATEGORICAL,
        "level": LEVEL,
        "criteria": criteria,
        "detectors": {"runs": RUNS, "records": RECORDS, "kinds": detectors},
    }
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(f"{FIGURES.name}: {time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
