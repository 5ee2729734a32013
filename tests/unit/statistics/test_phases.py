"""Phases' means removed from losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from driftloop.errors import SettingsError
from driftloop.statistics.loss_tests import loss_test
from driftloop.statistics.phases import cycles, phase_inflation, remove_phases


def test_the_difference_is_that_to_the_reference_standardised_to_the_batch() -> None:
    rng = np.random.default_rng(0)
    old, old_phases = rng.normal(size=90), np.repeat([3, 7, 9], 30)
    new, new_phases = rng.normal(size=30), np.repeat([7, 3], [20, 10])
    batch, reference, worth, groups = remove_phases(new, old, (new_phases, old_phases))
    standardised = (20 * old[30:60].mean() + 10 * old[:30].mean()) / 30
    assert batch.mean() - reference.mean() == pytest.approx(new.mean() - standardised)
    assert [reference[i : i + 30].mean() for i in (0, 30, 60)] == pytest.approx(
        [0, 0, 0], abs=1e-12
    )
    assert worth == pytest.approx(1 / ((2 / 3) ** 2 / 30 + (1 / 3) ** 2 / 30))
    assert groups == 3


def test_unknown_phases_and_values_that_are_not_finite_are_left_out() -> None:
    old = np.array([1.0, math.nan, 3.0, 5.0])
    new = np.array([2.0, math.inf, 9.0])
    batch, reference, worth, groups = remove_phases(new, old, ([0, 0, 8], [0, 0, 0, 1]))
    assert batch.tolist() == [0.0]
    assert reference.tolist() == [-1.0, 1.0, 0.0]
    assert (worth, groups) == (2.0, 2)
    nothing = np.empty(0)
    assert remove_phases(new, nothing, ([0, 0, 0], []))[2] == 0.0
    assert remove_phases(nothing, old, ([], [0, 0, 0, 1]))[2] == 0.0
    with pytest.raises(SettingsError, match="one phase for each"):
        remove_phases(new, old, ([0], [0]))


def test_cycles_are_counted_by_the_runs_of_a_phase() -> None:
    assert cycles([]) == 0.0
    assert cycles([3]) == 1.0
    assert cycles(np.tile(np.repeat(np.arange(24), 4), 5)) == 5.0


def test_a_phase_of_one_record_a_cycle_hides_no_dependence() -> None:
    assert phase_inflation(np.ones(240), np.arange(240) % 24) == 1.0
    assert phase_inflation(np.array([]), np.array([])) == 1.0


@pytest.mark.parametrize("days", [2, 4, 20])
def test_the_slow_part_that_phase_means_take_along_is_given_back(days: int) -> None:
    """Against the closed form, about days / (days - 1) over what the records themselves lose."""
    hours = np.tile(np.repeat(np.arange(24), 4), days)
    m = len(hours)
    expected = (24 * days) / (24 * days - 23) * (m - 23) / m
    assert phase_inflation(np.zeros(m), hours) == pytest.approx(expected)
    losses = np.append(np.zeros(m), np.nan)
    assert phase_inflation(losses, np.append(hours, 7)) == pytest.approx(expected)


def test_a_reference_of_few_days_keeps_the_level_on_dependent_losses_with_a_cycle() -> None:
    """Two days of four records an hour, φ = .6, at 1 %: 2.8 % without the correction."""
    rng = np.random.default_rng(5)
    hours = np.tile(np.repeat(np.arange(24), 4), 3)
    rejected = 0
    for _ in range(800):
        shocks = rng.standard_normal(len(hours) + 50)
        x = lfilter([1.0], [1.0, -0.6], shocks)[50:] + np.sin(hours)
        rejected += loss_test(x[192:], x[:192], phases=(hours[192:], hours[:192])).p_value < 0.01
    assert rejected <= 14


def test_one_day_alone_gives_no_verdict_where_an_hour_has_several_records() -> None:
    x = np.random.default_rng(1).standard_normal(192)
    hours = np.tile(np.repeat(np.arange(24), 4), 2)
    assert not loss_test(x[96:], x[:96], phases=(hours[96:], hours[:96])).has_verdict
