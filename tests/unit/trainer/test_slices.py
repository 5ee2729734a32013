"""Slices: against tests done by hand, and how often an equal challenger is called worse."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from driftloop.statistics.loss_tests import paired_mean_test
from driftloop.trainer.slices import worse_slices

NAMES = ["x", "y", None]


def _columns(seed: int, records: int) -> dict[str, list[str | None]]:
    generator = np.random.default_rng(seed)
    return {
        "f": [NAMES[i] for i in generator.integers(0, 3, records)],
        "g": ["one" if i else "two" for i in generator.integers(0, 2, records)],
    }


def test_every_category_is_tested_and_adjusted_over_all_of_them() -> None:
    difference = np.random.default_rng(0).normal(0.1, 1.0, 400)
    difference[::50] = np.nan
    columns = _columns(1, 400)
    expected = {}
    for feature, column in columns.items():
        for category in dict.fromkeys(column):
            chosen = difference[np.array([one == category for one in column])]
            expected[feature, category] = paired_mean_test(chosen, tolerance=0.02)
    _, adjusted, _, _ = multipletests([one.p_value for one in expected.values()], method="holm")
    found = worse_slices(difference, columns, margin=0.02, alpha=0.9999, least=10)
    assert found.tested == 5
    assert found.p_value == pytest.approx(adjusted.min())
    by_hand = dict(zip(expected, adjusted, strict=True))
    assert found.worse
    for one in found.worse:
        assert one.p_value == pytest.approx(by_hand[one.feature, one.category])
        assert one.records == expected[one.feature, one.category].n
    assert [one.p_value for one in found.worse] == sorted(one.p_value for one in found.worse)


def test_small_categories_and_none_at_all_say_nothing() -> None:
    difference = np.random.default_rng(0).normal(5.0, 1.0, 40)
    column = ["rare"] * 9 + ["often"] * 31
    found = worse_slices(difference, {"f": column}, margin=0.0, alpha=0.05, least=10)
    assert [one.category for one in found.worse] == ["often"]
    assert worse_slices(difference, {}, margin=0.0, alpha=0.05, least=10).tested == 0
    assert worse_slices(difference, {"f": column}, margin=0.0, alpha=0.05, least=32).worse == []


def test_an_equal_challenger_has_a_worse_slice_as_seldom_as_the_level_says() -> None:
    """Family-wise size at .05 over five overlapping slices, 1,000 runs."""
    count = 0
    for seed in range(1000):
        difference = np.random.default_rng(seed).normal(0.0, 1.0, 300)
        columns = _columns(seed + 5000, 300)
        count += bool(worse_slices(difference, columns, margin=0.0, alpha=0.05, least=30).worse)
    assert count / 1000 < 0.07


def test_one_worse_category_of_five_is_found() -> None:
    found = 0
    for seed in range(200):
        difference = np.random.default_rng(seed).normal(0.0, 1.0, 300)
        columns = _columns(seed + 5000, 300)
        difference[np.array([one == "x" for one in columns["f"]])] += 0.5
        worse = worse_slices(difference, columns, margin=0.0, alpha=0.05, least=30).worse
        found += ("f", "x") in {(one.feature, one.category) for one in worse}
    assert found / 200 > 0.95
