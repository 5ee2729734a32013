"""What detectors read besides losses and features."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftloop.detection.signals import QUANTILE, REFERENCE, LargeLoss, score


def test_a_large_loss_is_one_above_the_upper_quartile_of_the_first_ones() -> None:
    losses = np.random.default_rng(0).exponential(size=400)
    errors = LargeLoss().of(losses)
    assert np.isnan(errors[:REFERENCE]).all()
    threshold = np.sort(losses[:REFERENCE])[[74, 75]] @ [0.75, 0.25]  # place 74.25 of 0 … 99
    assert errors[REFERENCE:].tolist() == (losses[REFERENCE:] > threshold).tolist()


def test_without_drift_errors_come_at_the_stated_rate_and_with_it_more_often() -> None:
    rates, after = [], []
    for seed in range(200):
        losses = np.abs(np.random.default_rng(seed).normal(size=1100))
        losses[600:] *= 1.5
        errors = LargeLoss().of(losses)
        rates.append(errors[REFERENCE:600].mean())
        after.append(errors[600:].mean())
    assert abs(np.mean(rates) - (1 - QUANTILE)) < 0.02
    assert 0.03 < np.std(rates) < 0.06  # of 100 losses: .043, and of 500 errors: .019
    assert np.mean(after) > 0.4


@given(cuts=st.lists(st.integers(0, 300), max_size=10), holes=st.sets(st.integers(0, 299)))
def test_how_losses_are_cut_does_not_matter(cuts: list[int], holes: set[int]) -> None:
    losses = np.random.default_rng(1).exponential(size=300)
    losses[sorted(holes)] = np.nan
    large = LargeLoss()
    parts = [large.of(part) for part in np.split(losses, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(parts), LargeLoss().of(losses))


def test_constant_missing_and_empty_losses_are_no_errors() -> None:
    errors = LargeLoss().of(np.full(150, 2.0))
    assert not errors[REFERENCE:].any()
    assert np.isnan(LargeLoss().of(np.full(150, np.nan))).all()
    assert LargeLoss().of(np.empty(0)).tolist() == []


def test_the_score_is_the_prediction_or_the_probability_of_the_predicted_class() -> None:
    numbers = np.array([3.0, np.nan])
    np.testing.assert_array_equal(score(numbers), numbers)
    shares = np.array([[0.2, 0.5, 0.3], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(score(shares), [0.5, np.nan])
    assert score(np.empty((0, 3))).shape == (0,)
