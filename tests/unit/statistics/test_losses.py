"""Losses against closed forms, and what cannot be scored."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from driftloop.errors import SettingsError
from driftloop.statistics import losses


def test_absolute_and_squared_are_the_closed_forms() -> None:
    y, y_pred = np.array([1.0, -2.0, 0.0]), np.array([3.0, -2.5, 0.0])
    assert losses.compute("absolute", y, y_pred).tolist() == [2.0, 0.5, 0.0]
    assert losses.compute("squared", y, y_pred).tolist() == [4.0, 0.25, 0.0]


def test_log_loss_of_a_probability_agrees_with_the_two_column_form() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.uniform(0.01, 0.99, 200), rng.integers(0, 2, 200).astype(float)
    expected = -special.xlogy(y, p) - special.xlog1py(1 - y, -p)
    np.testing.assert_allclose(losses.compute("log_loss", y, p), expected, rtol=1e-12)
    both = np.column_stack([1 - p, p])
    np.testing.assert_allclose(losses.compute("log_loss", y, both), expected, rtol=1e-12)


def test_log_loss_is_bounded_at_the_stated_floor() -> None:
    values = losses.compute("log_loss", [1.0, 0.0], [0.0, 1.0])
    np.testing.assert_allclose(values, -math.log(1e-12), rtol=1e-12)


def test_zero_one_reads_codes_probabilities_and_columns() -> None:
    y = [0.0, 1.0, 2.0, 1.0]
    assert losses.compute("zero_one", y, [0.0, 2.0, 2.0, 0.7]).tolist() == [0.0, 1.0, 0.0, 0.0]
    columns = [[0.5, 0.5, 0.0], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3], [0.0, 0.0, 1.0]]
    assert losses.compute("zero_one", y, columns).tolist() == [0.0, 0.0, 1.0, 1.0]
    assert losses.compute("zero_one", [0.0, 1.0], [0.5, 0.5]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_what_cannot_be_scored_is_nan_without_a_warning(loss: str) -> None:
    bad = [math.nan, math.inf, -math.inf, 0.0, 1e308]
    y = [0.0, 1.0, 0.0, math.nan, -1e308]
    assert np.isnan(losses.compute(loss, y, bad)[:4]).all()
    if loss in {"log_loss", "zero_one"}:
        table = np.full((3, 2), 0.5)
        assert np.isnan(losses.compute(loss, [2.0, 0.5, -1.0], table)).all()
        assert np.isnan(losses.compute(loss, [0.0], [[math.nan, 1.0]])).all()
    assert len(losses.compute(loss, [], [])) == 0


def test_probabilities_outside_the_unit_interval_are_nan() -> None:
    assert np.isnan(losses.compute("log_loss", [1.0, 0.0], [1.2, -0.1])).all()
    assert np.isnan(losses.compute("log_loss", [0.0, 1.0], [[1.2, -0.2], [0.5, 1.1]])).all()


def test_a_fault_names_the_rule_and_the_value() -> None:
    with pytest.raises(
        SettingsError, match="one of absolute, squared, log_loss, zero_one, got 'x'"
    ):
        losses.compute("x", [], [])
    with pytest.raises(SettingsError, match="same length"):
        losses.compute("absolute", [1.0], [1.0, 2.0])
    with pytest.raises(SettingsError, match="absolute takes"):
        losses.compute("absolute", [1.0], [[1.0, 2.0]])
