"""Tests of all columns of a window, beside a loop of scipy.stats calls over the same columns.

``OMP_NUM_THREADS=1 python -m benchmarks.criteria [--columns 100] [--window 300] [--reference 1000]
[--rounds 7]`` runs both in turn in one process on one thread, and writes the medians with hardware,
versions and date, and the largest difference of their p-values, to
``benchmarks/results/criteria.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

from benchmarks.throughput import RESULTS, hardware
from driftloop.statistics import effects
from driftloop.statistics.samples import Sample
from driftloop.statistics.univariate import TESTS, compare_columns

Array = np.ndarray[Any, np.dtype[np.float64]]

PEERS: dict[str, Callable[[Array, Array], Any]] = {
    "ks": lambda a, b: stats.ks_2samp(a, b, method="asymp"),
    "cramer_von_mises": lambda a, b: stats.cramervonmises_2samp(a, b, method="asymptotic"),
    "anderson_darling": lambda a, b: stats.anderson_ksamp([a, b], variant="continuous"),
    "mann_whitney": lambda a, b: stats.mannwhitneyu(a, b, method="asymptotic"),
    "welch": lambda a, b: stats.ttest_ind(a, b, equal_var=False),
    "levene": lambda a, b: stats.levene(a, b, center="median"),
}


def draw(columns: int, n: int, m: int, seed: int) -> tuple[Array, Array]:
    """Columns from unmoved to far moved, so that p-values of all sizes are compared."""
    rng = np.random.default_rng(seed)
    window, reference = rng.normal(size=(n, columns)), rng.normal(size=(m, columns))
    return window + np.linspace(0.0, 0.45, columns), reference


def shares(a: Array, b: Array) -> tuple[Array, Array]:
    """Smoothed shares of ten quantile bins, as one writes it with NumPy for one column."""
    edges = np.quantile(b, np.arange(1, 10) / 10, method="inverted_cdf")
    counts = [np.bincount(np.searchsorted(edges, x), minlength=10) + 0.5 for x in (a, b)]
    return counts[0] / counts[0].sum(), counts[1] / counts[1].sum()


def peer_effects(a: Array, b: Array) -> list[float]:
    """The five effect sizes of one column by NumPy and scipy."""
    p, q = shares(a, b)
    pooled = ((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2)
    return [
        float(stats.entropy(p, q) + stats.entropy(q, p)),
        float(jensenshannon(p, q, base=2)),
        float(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2.0)),
        float(stats.wasserstein_distance(a, b) / b.std()),
        float((a.mean() - b.mean()) / np.sqrt(pooled)),
    ]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds, and what the work returned."""
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) * 1e3, result


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run every case in turn, `rounds` times."""
    window, reference = draw(options.columns, options.window, options.reference, 1)
    columns = [(window[:, j].copy(), reference[:, j].copy()) for j in range(options.columns)]
    sample = Sample(reference)
    compare_columns(window, sample)  # builds the tables of the laws, once a process
    times: dict[str, dict[str, list[float]]] = {}
    differences: dict[str, Any] = {}

    def note(case: str, who: str, milliseconds: float) -> None:
        times.setdefault(case, {}).setdefault(who, []).append(milliseconds)

    for _ in range(options.rounds):
        for name in TESTS:
            cost, peer = timed(lambda name=name: [PEERS[name](a, b) for a, b in columns])
            note(name, "scipy", cost)
            cost, ours = timed(lambda name=name: compare_columns(window, sample, [name])[name])
            note(name, "ours", cost)
            differences[name] = compare(name, ours.p_value, np.array([r.pvalue for r in peer]))
        cost, peer = timed(lambda: [peer_effects(a, b) for a, b in columns])
        note("effects", "scipy", cost)
        cost, ours = timed(lambda: run_effects(Sample(window), sample))
        note("effects", "ours", cost)
        differences["effects"] = float(np.abs(np.array(peer).T - np.array(ours)).max())
        cost, _ = timed(lambda: run_all(window, sample))
        note("all", "ours", cost)
        note("all", "scipy", sum(times[case]["scipy"][-1] for case in (*TESTS, "effects")))
        cost, _ = timed(lambda: run_all(window, Sample(reference)))
        note("all, reference prepared anew", "ours", cost)
        note("all, reference prepared anew", "scipy", times["all"]["scipy"][-1])
    return {
        "cases": {
            case: {who: statistics.median(values) for who, values in figures.items()}
            for case, figures in times.items()
        },
        "differences": differences,
    }


def run_effects(window: Sample, reference: Sample) -> list[Array]:
    """All effect sizes of all columns."""
    counts = effects.bin_counts(window, reference)  # once, as the peer does
    return [
        effects.psi_of_counts(*counts),
        effects.jensen_shannon_of_counts(*counts),
        effects.hellinger_of_counts(*counts),
        effects.wasserstein(window, reference),
        effects.cohens_d(window, reference),
    ]


def run_all(window: Array, reference: Sample) -> None:
    """Six tests and five effect sizes."""
    sample = Sample(window)
    compare_columns(sample, reference)
    run_effects(sample, reference)


def compare(name: str, ours: Array, peer: Array) -> dict[str, float]:
    """Largest difference of p-values: of all, and where scipy's is below .01."""
    use = np.ones(len(peer), dtype=bool)
    if name == "anderson_darling":  # elsewhere scipy's is clipped
        use = (peer > 0.001) & (peer < 0.25)
    gap = np.abs(ours - peer)
    small = use & (peer < 0.01)
    return {
        "all": float(gap[use].max()),
        "below .01": float(gap[small].max()) if small.any() else float("nan"),
    }


def render(result: dict[str, Any]) -> str:
    """The result as a page."""
    versions = ", ".join(f"{name} {value}" for name, value in result["versions"].items())
    lines = ["# Tests of a window's columns", "", HEAD, ""]
    lines.append(
        f"A window of {result['window']:,} records against a reference of "
        f"{result['reference']:,}, {result['columns']} columns; {result['rounds']} rounds; "
        f"{result['date']}; {result['hardware']}; Python {result['python']}; {versions}."
    )
    lines += ["", COLUMNS, "|---|---|---|---|---|---|"]
    for case, figures in result["cases"].items():
        gap = result["differences"].get(case, "")
        gaps = [f"{gap['all']:.0e}", f"{gap['below .01']:.0e}"] if isinstance(gap, dict) else []
        if isinstance(gap, float):
            gaps = [f"{gap:.0e} (of the effects)", ""]
        ratio = figures["scipy"] / figures["ours"]
        lines.append(
            f"| {case} | {figures['scipy']:.1f} | {figures['ours']:.2f} | {ratio:.0f} | "
            + " | ".join(gaps or ["", ""])
            + " |"
        )
    lines += ["", TEXT]
    return "\n".join(lines) + "\n"


HEAD = (
    "Made by `OMP_NUM_THREADS=1 python -m benchmarks.criteria`. Medians of the rounds, one thread; "
    "machines are noisy: compare the ratios."
)
COLUMNS = (
    "| case | loop of scipy.stats, ms | Driftloop, ms | ratio | largest difference of p | "
    "where p < .01 |"
)
TEXT = (
    "Each single case prepares (sorts) the window anew; the reference is prepared once, as it is "
    "for a model's whole life; the last line prepares it too. `all`: six tests and five effect "
    "sizes (PSI, Jensen-Shannon, Hellinger, standardised Wasserstein, Cohen's d). `ks` uses the "
    "law of `ks_features`, which is scipy's below .01 and above it by up to .15 at large p. "
    "scipy's Anderson-Darling p-value is clipped to [.001, .25] and interpolated between: compared "
    "only within."
)


def main() -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--window", type=int, default=300)
    parser.add_argument("--reference", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy says that it clips
        measured = measure(options)
    result = {
        "columns": options.columns,
        "window": options.window,
        "reference": options.reference,
        "rounds": options.rounds,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "scipy")},
        **measured,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "criteria.json").write_text(json.dumps(result, indent=2) + "\n")
    (options.out / "criteria.md").write_text(render(result))
    print(render(result))


if __name__ == "__main__":
    main()
