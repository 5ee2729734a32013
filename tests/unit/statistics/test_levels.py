"""The level of a look."""

from __future__ import annotations

import numpy as np
import pytest

from driftloop.errors import SettingsError
from driftloop.statistics.levels import SECONDS_PER_YEAR, alpha_for_span


def test_levels_of_a_year_sum_to_alpha_however_it_is_cut() -> None:
    cuts = np.sort(np.random.default_rng(0).uniform(0, SECONDS_PER_YEAR, 200))
    spans = np.diff(np.concatenate([[0.0], cuts, [SECONDS_PER_YEAR]]))
    assert sum(alpha_for_span(0.5, s) for s in spans) == pytest.approx(0.5, rel=1e-12)


def test_the_maximum_binds() -> None:
    assert alpha_for_span(10.0, SECONDS_PER_YEAR / 2) == 0.05
    assert alpha_for_span(10.0, SECONDS_PER_YEAR, maximum=0.2) == 0.2
    assert alpha_for_span(float("inf"), 1.0) == 0.05


@pytest.mark.parametrize("seconds", [0.0, -5.0, float("nan")])
def test_a_window_without_a_span_is_never_rejected(seconds: float) -> None:
    assert alpha_for_span(1.0, seconds) == 0.0


def test_a_fault_names_the_argument() -> None:
    with pytest.raises(SettingsError, match="alpha_per_year: must be at least 0, got -1"):
        alpha_for_span(-1.0, 1.0)
    with pytest.raises(SettingsError, match="maximum"):
        alpha_for_span(1.0, 1.0, maximum=2.0)
