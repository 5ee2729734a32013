"""The level of a look."""

from __future__ import annotations

import numpy as np
import pytest

from driftloop.errors import SettingsError
from driftloop.statistics.levels import (
    SECONDS_PER_YEAR,
    alpha_for_span,
    expected_needless_retrains,
)


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


def test_the_fleet_expects_what_its_looks_sum_to_and_no_more() -> None:
    """Uniform p-values of 300 streams over a year of weeks, at the levels of alpha = .5."""
    weeks = 52
    level = alpha_for_span(0.5, SECONDS_PER_YEAR / weeks)
    p = np.random.default_rng(1).uniform(size=(300, weeks))
    expected = expected_needless_retrains(0.5, 300, SECONDS_PER_YEAR)
    assert expected == pytest.approx(150.0)
    assert (p < level).sum() == pytest.approx(expected, abs=3 * np.sqrt(expected))


def test_nothing_is_expected_of_nothing_and_faults_are_named() -> None:
    for alpha, streams, span in (
        (0.0, 5, 1.0),
        (1.0, 0, 1.0),
        (1.0, 5, float("nan")),
        (1.0, 5, -1),
    ):
        assert expected_needless_retrains(alpha, streams, span) == 0.0
    with pytest.raises(SettingsError, match=r"2 faults"):
        expected_needless_retrains(float("nan"), -1, 1.0)
