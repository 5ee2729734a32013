"""Sizes of the criteria: how often they reject where nothing has changed.

``OMP_NUM_THREADS=1 python -m benchmarks.criteria_sizes [--runs 20000] [SECTION ...]`` simulates
with fixed seeds (about five minutes for all) and writes ``benchmarks/results/criteria_sizes.json``
and ``.md``; the tables in the modules' docstrings are taken from there. A test without a verdict
counts as no rejection.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

from benchmarks.throughput import RESULTS, hardware
from driftloop.statistics.categorical import chi_square, g_test, unseen_categories
from driftloop.statistics.classifier import classifier_test
from driftloop.statistics.missing import missing_rates
from driftloop.statistics.multivariate import energy_distance, mmd
from driftloop.statistics.permutation import block_permutation
from driftloop.statistics.scores import calibration_test, residual_test
from driftloop.statistics.univariate import TESTS, compare_columns

Array = np.ndarray[Any, np.dtype[np.float64]]
Row = dict[str, Any]
PHIS = (0.0, 0.3, 0.6, 0.9)
BATCH = 2000


def autoregression(rng: np.random.Generator, n: int, d: int, phi: float) -> Array:
    """Return (n, d): d independent stationary Gaussian AR(1) series."""
    noise = rng.normal(size=(n + 150, d))
    series: Array = np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=0))[150:]
    return series


def shares(p: list[float] | Array, levels: tuple[float, ...]) -> Row:
    """Return how often p is at or below each level."""
    values = np.asarray(p, dtype=np.float64)
    row: Row = {f"at {level:g}": float(np.mean(values <= level)) for level in levels}
    row["no verdict"] = float(np.mean(np.isnan(values)))
    row["runs"] = values.size
    return row


def columns(runs: int) -> Iterator[Row]:
    """The six tests of columns: independent, tied, and dependent records."""
    kinds: dict[str, Callable[[Array], Array]] = {
        "independent": lambda z: z,
        "ties: rounded to whole deviations": np.round,
        "ties: two equal categories": lambda z: (z > 0.0) * 1.0,
        "ties: half of all 0, the rest exponential": lambda z: np.where(z > 0.0, z * z, 0.0),
    }
    cases = [(name, 0.0, "none", function) for name, function in kinds.items()]
    for phi in PHIS:
        cases += [(f"AR(1) {phi}", phi, way, kinds["independent"]) for way in ("none", "ar")]
    for name, phi, dependence, transform in cases:
        for n, m in ((100, 300), (300, 1000)):
            rng = np.random.default_rng([1, n, int(10 * phi)])
            found: dict[str, list[Array]] = {test: [] for test in TESTS}
            for _ in range(max(runs // BATCH, 1)):
                z = transform(autoregression(rng, n + m, BATCH, phi))
                tests = compare_columns(z[m:], z[:m], dependence=dependence)
                for test, result in tests.items():
                    found[test].append(result.p_value)
            for test, parts in found.items():
                case = {"test": test, "records": name, "dependence": dependence, "n": n, "m": m}
                yield case | shares(np.concatenate(parts), (0.05, 0.001))


def permutation(runs: int) -> Iterator[Row]:
    """Block permutation of a difference of means, 300 against 1,000."""

    def gap(a: Array, b: Array) -> Array:
        difference: Array = np.abs(a.mean(axis=0) - b.mean(axis=0))
        return difference

    for phi in PHIS:
        rng = np.random.default_rng([2, int(10 * phi)])
        z = autoregression(rng, 1300, min(max(runs // 10, 100), 2000), phi)
        for block in (1, 25, 50):
            _, p = block_permutation(z[1000:], z[:1000], gap, block, 199, seed=3)
            yield {"records": f"AR(1) {phi}", "block": block} | shares(p, (0.05, 0.01))


def multivariate(runs: int) -> Iterator[Row]:
    """MMD, energy distance (199 permutations) and the classifier test, five columns."""
    for phi in PHIS:
        for n, m in ((100, 300), (300, 1000)):
            cases: list[tuple[str, Callable[[Array, Array], Any], int]] = []
            for test in (mmd, energy_distance):
                name = test.__name__
                cases.append((name, test, runs // 50))
                cases.append((f"{name}, block=25", partial(test, block=25), runs // 50))
            cases.append(("classifier_test", classifier_test, runs // 5))
            effective = partial(classifier_test, dependence="ar")
            cases.append(("classifier_test, ar", effective, runs // 5))
            for name, function, times in cases:
                rng = np.random.default_rng([4, n, int(10 * phi)])
                p = []
                for _ in range(max(times, 50)):
                    z = autoregression(rng, n + m, 5, phi)
                    p.append(function(z[m:], z[:m]).p_value)
                case = {"test": name, "records": f"AR(1) {phi}", "n": n, "m": m}
                yield case | shares(p, (0.05, 0.01, 0.001))


def categories(runs: int) -> Iterator[Row]:
    """chi², G and unseen categories on independent draws from several laws."""
    laws = {
        "5 equal": np.ones(5),
        "50 equal": np.ones(50),
        "500 equal": np.ones(500),
        "Zipf 1.2 of 100": np.arange(1.0, 101.0) ** -1.2,
        "Zipf 1.2 of 20,000": np.arange(1.0, 20001.0) ** -1.2,
        "geometric 1/2": 0.5 ** np.arange(1.0, 31.0),
    }
    for name, weights in laws.items():
        for n, m in ((100, 300), (300, 1000), (1000, 300)):
            rng = np.random.default_rng([5, n])
            found: dict[str, list[float]] = {}
            for _ in range(max(runs // 5, 50)):
                draws = rng.choice(len(weights), n + m, p=weights / weights.sum())
                for test in (chi_square, g_test, unseen_categories):
                    result = test(draws[:n], draws[n:])
                    found.setdefault(test.__name__, []).append(result.p_value)
            for test_name, p in found.items():
                case = {"test": test_name, "categories": name, "n": n, "m": m}
                yield case | shares(p, (0.05, 0.001))


def missing(runs: int) -> Iterator[Row]:
    """Missing rates: Fisher's exact test."""
    for n, m in ((100, 300), (300, 1000)):
        for rate in (0.01, 0.05, 0.3):
            rng = np.random.default_rng([6, n])
            gaps = rng.binomial(n, rate, runs), rng.binomial(m, rate, runs)
            p = missing_rates(gaps[0], n, gaps[1], m).p_value
            yield {"rate": rate, "n": n, "m": m} | shares(p, (0.05, 0.001))


def outputs(runs: int) -> Iterator[Row]:
    """Calibration and residuals."""
    for classes in (2, 4):
        for n in (50, 300):
            rng = np.random.default_rng([7, n])
            p = []
            for _ in range(max(runs // 2, 50)):
                q = rng.dirichlet(np.ones(classes), n)
                y = (q.cumsum(axis=1) < rng.uniform(size=(n, 1))).sum(axis=1)
                p.append(calibration_test(y, q).p_value)
            case = {"test": f"calibration_test, {classes} classes", "records": "independent"}
            yield case | {"n": n} | shares(p, (0.05, 0.001))
    for phi in PHIS:
        for dependence in ("none", "ar"):
            rng = np.random.default_rng([8, int(10 * phi)])
            z = autoregression(rng, 300, max(runs // 4, 50), phi)
            zeros = np.zeros(300)
            p = [residual_test(row, zeros, dependence=dependence).p_value for row in z.T]
            case = {"test": f"residual_test, {dependence}", "records": f"AR(1) {phi}", "n": 300}
            yield case | shares(p, (0.05, 0.001))


SECTIONS: dict[str, Callable[[int], Iterator[Row]]] = {
    "columns": columns,
    "permutation": permutation,
    "multivariate": multivariate,
    "categories": categories,
    "missing": missing,
    "outputs": outputs,
}


NOTE = (
    "Share of runs without any change in which the p-value is at or below the level; no verdict "
    "counts as none. Two standard errors at .05 are .003 with 20,000 runs, .007 with 4,000, .02 "
    "with 400."
)


def render(result: dict[str, Any]) -> str:
    """The result as a page."""
    lines = ["# Sizes of the criteria", "", "Made by `python -m benchmarks.criteria_sizes`.", ""]
    versions = ", ".join(f"{name} {value}" for name, value in result["versions"].items())
    lines += [NOTE, ""]
    lines.append(f"{result['date']}; {result['hardware']}; Python {result['python']}; {versions}.")
    for name, rows in result["sections"].items():
        keys = list(rows[0])
        lines += ["", f"## {name}", "", (SECTIONS[name].__doc__ or "").strip(), ""]
        lines += ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
        lines += ["| " + " | ".join(cell(row[key]) for key in keys) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(value: object) -> str:
    """A number or a name as it stands in the table."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--runs", type=int, default=20000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    file = options.out / "criteria_sizes.json"
    sections = json.loads(file.read_text())["sections"] if file.exists() else {}
    for name in options.sections or SECTIONS:
        start = time.perf_counter()
        sections[name] = list(SECTIONS[name](options.runs))
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    result = {
        "runs": options.runs,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "scipy")},
        "sections": {name: sections[name] for name in SECTIONS if name in sections},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n")
    (options.out / "criteria_sizes.md").write_text(render(result))


if __name__ == "__main__":
    main()
