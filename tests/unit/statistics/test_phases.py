"""Phases' means removed from losses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from driftloop.errors import SettingsError
from driftloop.statistics.phases import remove_phases


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
