"""Scores of closed windows, against their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from driftloop.statistics.window_scores import paired_score, window_score


def test_window_score_is_the_guarded_rise_in_standard_errors() -> None:
    rng = np.random.default_rng(8)
    batch, reference = rng.exponential(1.0, 50), rng.exponential(1.0, 400)
    sd = reference.std(ddof=1) * math.sqrt(2.0)
    rise = batch.mean() - reference.mean() - 0.05
    expected = rise / (sd / math.sqrt(50)) - 1.5 * math.sqrt(50 / 400)
    z = window_score(batch, reference, tolerance=0.05, guard=1.5, inflation=2.0)
    assert z == pytest.approx(expected, rel=1e-9)


def test_paired_score_has_the_scale_of_earlier_windows() -> None:
    rng = np.random.default_rng(11)
    d, earlier = rng.normal(0.1, 1.0, 50), rng.normal(0.0, 2.0, 300)
    z = paired_score(d, earlier, tolerance=0.02, inflation=3.0)
    expected = (d.mean() - 0.02) / (earlier.std(ddof=1) * math.sqrt(3.0 / 50))
    assert z == pytest.approx(expected, rel=1e-9)
    for bad in ([], [math.nan], [1.0], [0.0] * 40):
        assert math.isnan(paired_score(d, bad))
    assert math.isnan(paired_score([math.inf], earlier))
    assert math.isnan(paired_score(d, earlier * 1e200))


def test_window_score_removes_the_phases_means() -> None:
    rng = np.random.default_rng(9)
    hours = np.arange(30 * 24) % 24
    x = 5.0 * (hours > 12) + rng.normal(size=720)
    night = np.arange(600, 720)[hours[600:] < 8]
    z = window_score(x[night], x[:600], phases=(hours[night], hours[:600]), guard=0.0)
    assert abs(z) < 4.0
    late = window_score(x[night] + 1.0, x[:600], phases=(hours[night], hours[:600]))
    assert late > z + 2.0


@pytest.mark.parametrize("bad", [[], [math.nan] * 20, [math.inf], [2.0] * 30, [1.0]])
def test_window_score_is_nan_without_a_reference(bad: list[float]) -> None:
    good = np.random.default_rng(10).normal(size=100)
    assert math.isnan(window_score(good, bad))
    assert math.isnan(window_score([], good))
    assert math.isnan(window_score([math.nan], good))
    assert math.isnan(window_score(good, good * 1e200))
