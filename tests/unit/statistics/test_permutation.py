"""Block permutation: exactness, blocks, seeds and size under dependence."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.signal import lfilter

from driftloop.errors import SettingsError
from driftloop.statistics.permutation import block_orders, block_permutation, permutation_p


def gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.mean(axis=0) - b.mean(axis=0))


@pytest.mark.parametrize(("size", "block"), [(1, 1), (10, 1), (10, 3), (12, 4), (7, 20)])
def test_every_order_holds_every_record_once(size: int, block: int) -> None:
    orders = block_orders(size, block, 50, seed=0)
    assert orders.shape == (50, size)
    assert (np.sort(orders, axis=1) == np.arange(size)).all()


def test_blocks_stay_together() -> None:
    """Of the 39 steps between neighbours, all but the cuts between 10 blocks go to the next."""
    orders = block_orders(40, 4, 200, seed=1)
    together = (np.diff(orders, axis=1) % 40 == 1).sum(axis=1)
    assert together.min() >= 30
    assert len(np.unique(orders[:, 0])) == 40


def test_p_agrees_with_all_permutations() -> None:
    rng = np.random.default_rng(2)
    new, old = rng.normal(1.0, 1.0, 5), rng.normal(size=6)
    pooled = np.concatenate([old, new])
    drawn = []
    for chosen in combinations(range(11), 5):
        inside = np.isin(np.arange(11), chosen)
        drawn.append(gap(pooled[inside], pooled[~inside]))
    exact = np.mean(np.array(drawn) >= gap(new, old) - 1e-12)
    observed, p = block_permutation(new, old, gap, n_permutations=4000, seed=3)
    assert observed == gap(new, old)
    assert p == pytest.approx(exact, abs=4.0 * np.sqrt(exact / 4000))


def test_the_seed_decides() -> None:
    rng = np.random.default_rng(4)
    new, old = rng.normal(size=(20, 3)), rng.normal(size=(60, 3))
    first = block_permutation(new, old, gap, 5, seed=7)[1]
    assert first.shape == (3,)
    np.testing.assert_array_equal(block_permutation(new, old, gap, 5, seed=7)[1], first)
    assert (block_permutation(new, old, gap, 5, seed=8)[1] != first).any()


def test_blocks_keep_the_level_where_single_records_lose_it() -> None:
    rng = np.random.default_rng(5)
    z = lfilter([1.0], [1.0, -0.6], rng.normal(size=(700, 500)), axis=0)[100:]
    singles = block_permutation(z[400:], z[:400], gap, 1, 99)[1]
    blocks = block_permutation(z[400:], z[:400], gap, 25, 99)[1]
    assert np.mean(singles <= 0.05) > 0.2
    assert np.mean(blocks <= 0.05) < 0.085


def test_power() -> None:
    rng = np.random.default_rng(6)
    new, old = rng.normal(0.5, 1.0, (200, 100)), rng.normal(size=(400, 100))
    assert np.mean(block_permutation(new, old, gap, 5, 99)[1] <= 0.01) > 0.95


def test_nan_and_tiny_samples_give_no_verdict() -> None:
    new, old = np.zeros((9, 2)), np.ones((30, 2))
    new[0, 0] = np.nan
    p = block_permutation(new, old, gap)[1]
    assert np.isnan(p).tolist() == [True, False]
    for size in (0, 4):
        assert np.isnan(block_permutation(new[:size], old, gap)[1])
    with np.errstate(all="raise"):
        constant = block_permutation(old[:9], old, lambda a, b: (a - a) / (b.sum() - b.sum()))
    assert np.isnan(constant[1]).all()


def test_equal_up_to_rounding_counts_as_equal() -> None:
    drawn = np.array([1.0 + 1e-14, 1.0 - 1e-14, 0.5, np.nan])
    assert permutation_p(np.array(1.0), drawn) == 4.0 / 5.0


def test_numbers_below_one_and_other_columns_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"(?s)block.*n_permutations"):
        block_orders(5, 0, 0, 0)
    with pytest.raises(SettingsError, match="same columns"):
        block_permutation(np.zeros((5, 2)), np.zeros((5, 3)), gap)
