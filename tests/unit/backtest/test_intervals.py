"""Intervals of a mean difference: against statsmodels, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import signal, stats

from driftloop.backtest.intervals import by_blocks, by_streams


def test_by_streams_agrees_with_cluster_robust_least_squares() -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(5, 60, 14)
    groups = np.repeat(np.arange(14), counts)
    values = rng.normal(0.3, 1.0, counts.sum()) + rng.normal(0, 0.5, 14)[groups]
    totals = np.bincount(groups, weights=values)
    found = by_streams(totals, counts.astype(float))
    fit = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    assert found.mean == pytest.approx(fit.params[0])
    assert [found.low, found.high] == pytest.approx(fit.conf_int(0.05)[0].tolist())


def test_by_blocks_of_independent_records_is_nearly_students_interval() -> None:
    values = np.random.default_rng(5).normal(1.0, 2.0, 20_000)
    found = by_blocks(values, np.arange(len(values)))
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(high - low, rel=0.35)


def test_by_streams_holds_the_truth_in_about_95_percent_of_runs() -> None:
    rng = np.random.default_rng(11)
    runs, hits = 1000, 0
    for _ in range(runs):
        counts = rng.integers(50, 150, 12).astype(float)
        totals = counts * rng.normal(0.2, 0.4, 12) + np.sqrt(counts) * rng.normal(size=12)
        found = by_streams(totals, counts)
        hits += found.low <= 0.2 <= found.high
    assert 0.92 <= hits / runs <= 0.975


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.95])
def test_by_blocks_holds_the_truth_for_dependent_records(phi: float) -> None:
    """Two interleaved streams with a shock in common; 400 runs, so ±2 % is chance."""
    rng = np.random.default_rng(7)
    runs, hits = 400, 0
    for _ in range(runs):
        shared = signal.lfilter([1.0], [1.0, -phi], rng.normal(size=3200))[200:]
        values = 0.5 + np.stack([shared, shared + rng.normal(size=3000)]).ravel()
        order = np.argsort(np.tile(np.arange(3000), 2), kind="stable")
        found = by_blocks(values, order)
        hits += found.low <= 0.5 <= found.high
    assert 0.91 <= hits / runs <= 0.985


def test_a_difference_that_grows_through_the_history_still_has_an_interval() -> None:
    growing = np.linspace(0.2, 2.0, 5000)
    found = by_blocks(growing, np.arange(5000))
    assert found.low > 0
    assert found.high < 3


def test_too_little_gives_a_mean_without_an_interval() -> None:
    few = by_blocks(np.array([1.0, 3.0, np.nan]), np.arange(3))
    assert few.mean == 2.0
    assert math.isnan(few.low)
    assert math.isnan(by_blocks(np.empty(0), np.arange(0)).mean)
    assert math.isnan(by_streams(np.empty(0), np.empty(0)).mean)
    assert math.isnan(by_streams(np.array([4.0]), np.array([2.0])).high)


def test_constant_and_missing_differences_survive() -> None:
    constant = by_blocks(np.zeros(500), np.arange(500))
    assert (constant.mean, constant.low, constant.high) == (0.0, 0.0, 0.0)
    missing = np.zeros(500)
    missing[::2] = np.nan
    missing[1] = np.inf
    assert by_blocks(missing, np.arange(500)).mean == 0.0
    assert math.isnan(by_blocks(np.full(500, np.nan), np.arange(500)).mean)
