"""The phase-relative loss test: what it computes, its size, and its power beside Welch's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal

from driftloop.errors import SettingsError
from driftloop.statistics.loss_registry import LOSS_TESTS
from driftloop.statistics.loss_tests import loss_test
from driftloop.statistics.relative import PRIOR_RECORDS, phase_relative_test

HOURS = np.arange(24)
BUSY = 10.0 ** np.sin(
    2.0 * np.pi * HOURS / 24.0
)  # a hundred times the errors at one hour of another


def _days(seed: int, days: int, phi: float, a_phase: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Losses |z| · busy of that many days, and the hour of each; z is AR(1)."""
    noise = np.random.default_rng(seed).standard_normal(24 * a_phase * days)
    noise[0] /= math.sqrt(1.0 - phi * phi)
    z = signal.lfilter([1.0], [1.0, -phi], noise) * math.sqrt(1.0 - phi * phi)
    hours = np.tile(np.repeat(HOURS, a_phase), days)
    return np.abs(z) * BUSY[hours], hours


def _p(test: str, seed: int, *, days: int, phi: float, rise: float = 1.0) -> float:
    losses, hours = _days(seed, days + 1, phi)
    new, old = losses[-96:] * rise, losses[:-96]
    return LOSS_TESTS[test](new, old, phases=(hours[-96:], hours[:-96])).p_value


def test_it_is_the_loss_test_of_losses_over_their_phases_pooled_scale() -> None:
    losses, hours = _days(1, 5, 0.3)
    new, old, marks = losses[-96:], losses[:-96], (hours[-96:], hours[:-96])
    scale = {}
    for hour in HOURS.tolist():
        there = losses[hours == hour]
        scale[hour] = (there.sum() + PRIOR_RECORDS * losses.mean()) / (len(there) + PRIOR_RECORDS)
    over = np.array([scale[hour] for hour in hours.tolist()])
    expected = loss_test((new - 0.1) / over[-96:], old / over[:-96], phases=marks)
    result = phase_relative_test(new, old, tolerance=0.1, phases=marks)
    assert result.p_value == pytest.approx(expected.p_value, rel=1e-12)
    assert result.effect == pytest.approx(expected.effect, rel=1e-12)


def test_without_phases_it_is_the_loss_test() -> None:
    losses, _ = _days(2, 5, 0.3)
    assert phase_relative_test(losses[-96:], losses[:-96]) == loss_test(losses[-96:], losses[:-96])


def test_where_all_phases_are_alike_both_say_much_the_same() -> None:
    generator = np.random.default_rng(3)
    losses, hours = generator.gamma(4.0, 1.0, 480), np.tile(np.repeat(HOURS, 4), 5)
    marks = (hours[-96:], hours[:-96])
    ours = phase_relative_test(losses[-96:], losses[:-96], phases=marks)
    theirs = loss_test(losses[-96:], losses[:-96], phases=marks)
    assert ours.p_value == pytest.approx(theirs.p_value, abs=0.12)


def test_units_do_not_matter_and_missing_losses_are_left_out() -> None:
    losses, hours = _days(4, 5, 0.0)
    marks = (hours[-96:], hours[:-96])
    first = phase_relative_test(losses[-96:], losses[:-96], phases=marks)
    scaled = phase_relative_test(losses[-96:] * 1e6, losses[:-96] * 1e6, phases=marks)
    assert scaled.p_value == pytest.approx(first.p_value, rel=1e-9)
    losses[[3, 400]] = np.nan
    result = phase_relative_test(losses[-96:], losses[:-96], phases=marks)
    assert (result.n, result.n_reference) == (95, 383)
    silent = phase_relative_test(np.zeros(96), np.zeros(384), phases=marks)
    assert not silent.has_verdict


def test_phases_must_be_as_many_as_losses() -> None:
    with pytest.raises(SettingsError, match="one phase for each"):
        phase_relative_test(np.ones(3), np.ones(4), phases=(np.zeros(2), np.zeros(4)))


@pytest.mark.parametrize("phi", [0.0, 0.6])
def test_size(phi: float) -> None:
    """Four days against one, 800 runs: below the level, as `phase_inflation` is careful."""
    p = np.array([_p("phase_relative", seed, days=4, phi=phi) for seed in range(800)])
    assert 0.003 < np.mean(p < 0.05) < 0.06
    assert np.mean(p < 0.01) < 0.018


def test_power_is_several_times_that_of_welch_where_phases_differ() -> None:
    def share(test: str) -> float:
        p = [_p(test, seed, days=4, phi=0.0, rise=1.4) for seed in range(150)]
        return float(np.mean(np.array(p) < 0.01))

    relative, welch = share("phase_relative"), share("welch")
    assert relative > 0.55
    assert relative > 1.8 * welch
