"""Category columns: against scipy, rare and unseen categories, size and power."""

from __future__ import annotations

import pickle
from math import comb

import numpy as np
import pytest
from scipy import special, stats
from scipy.signal import lfilter

from driftloop.errors import SettingsError
from driftloop.statistics.autocorrelation import column_inflation
from driftloop.statistics.categorical import (
    category_counts,
    category_inflation,
    chi_square,
    count_categories,
    g_test,
    unseen_categories,
)

NAMES = np.array(["a", "b", "c", "d"])


def draw(rng: np.random.Generator, n: int, p: list[float]) -> list[str]:
    return rng.choice(NAMES[: len(p)], n, p=p).tolist()


@pytest.mark.parametrize(("test", "lambda_"), [(chi_square, "pearson"), (g_test, "log-likelihood")])
def test_tables_agree_with_scipy(test, lambda_: str) -> None:  # noqa: ANN001
    rng = np.random.default_rng(0)
    new, old = draw(rng, 90, [0.3, 0.3, 0.2, 0.2]), draw(rng, 300, [0.25] * 4)
    table = np.stack(category_counts(new, old))
    expected = stats.chi2_contingency(table, correction=False, lambda_=lambda_)
    result = test(new, old)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.effect == pytest.approx(
        stats.contingency.association(table.astype(int), method="cramer")
    )
    assert test(np.array(new), np.array(old)) == result
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301


def test_rare_categories_are_pooled() -> None:
    new = ["a"] * 60 + ["b"] * 38 + ["x", "y"]
    old = ["a"] * 150 + ["b"] * 130 + ["x"] * 8 + ["z"] * 12
    pooled = [[60, 38, 2], [150, 130, 20]]
    assert chi_square(new, old).statistic == pytest.approx(
        stats.chi2_contingency(pooled, correction=False).statistic
    )
    old = ["a"] * 150 + ["b"] * 140 + ["x"] * 10  # the rest is too rare alone: joins b
    pooled = [[60, 40], [150, 150]]
    assert chi_square(new, old).statistic == pytest.approx(
        stats.chi2_contingency(pooled, correction=False).statistic
    )


def test_missing_values_are_no_category() -> None:
    assert count_categories(np.array([1.0, np.nan, 1.0])) == {1.0: 2}
    result = chi_square(["a", "b", None, float("nan")] * 20, ["a", "b"] * 50)
    assert (result.n, result.n_reference) == (40, 100)
    assert result.p_value == 1.0


@pytest.mark.parametrize("test", [chi_square, g_test])
def test_size_and_power_of_shares(test) -> None:  # noqa: ANN001
    rng = np.random.default_rng(1)
    p = [0.4, 0.3, 0.25, 0.05]
    null = [test(draw(rng, 100, p), draw(rng, 300, p)).p_value for _ in range(1500)]
    assert 0.035 < np.mean(np.array(null) < 0.05) < 0.07
    moved = [0.55, 0.2, 0.2, 0.05]
    found = [test(draw(rng, 200, moved), draw(rng, 600, p)).p_value for _ in range(100)]
    assert np.mean(np.array(found) < 0.05) > 0.85


def test_inflation_divides_the_statistic() -> None:
    rng = np.random.default_rng(2)
    new, old = draw(rng, 100, [0.5, 0.5]), draw(rng, 200, [0.3, 0.7])
    plain, inflated = chi_square(new, old), chi_square(new, old, inflation=4.0)
    assert inflated.statistic == pytest.approx(plain.statistic / 4.0)
    assert inflated.effect == plain.effect
    assert inflated.n_effective == 25.0
    assert chi_square(new, old, inflation=11.0).reason == "fewer than 10 effective records"
    with pytest.raises(SettingsError, match="at least 1"):
        chi_square(new, old, inflation=0.5)


@pytest.mark.parametrize("test", [chi_square, g_test, unseen_categories])
def test_tiny_and_constant_columns_give_no_verdict(test) -> None:  # noqa: ANN001
    for new, old in (([], []), (["a"] * 4, ["a", "b"] * 20), ([None] * 30, ["a", "b"] * 20)):
        result = test(new, old)
        assert not result.has_verdict
        assert result.reason
    if test is not unseen_categories:
        assert "two categories" in test(["a"] * 30, ["a"] * 40).reason


def test_unseen_is_the_beta_binomial_tail() -> None:
    """Against the law summed term by term, with Good's estimate by hand."""
    old = ["a"] * 90 + ["b", "b", "c", "d", "e"] + ["f"] * 5
    new = ["a"] * 45 + ["x", "x", "y"] + ["b"] * 2
    mean, variance = 4.0 / 102.0, (3.0 + 2.0 + 1.0) / 102.0**2
    precision = mean * (1.0 - mean) / variance - 1.0
    a, b = mean * precision, (1.0 - mean) * precision
    tail = sum(
        comb(50, u) * special.beta(u + a, 50 - u + b) / special.beta(a, b) for u in range(3, 51)
    )
    result = unseen_categories(new, old)
    assert (result.statistic, result.effect) == (3.0, 3.0 / 50.0)
    assert result.p_value == pytest.approx(tail, rel=1e-9)
    assert unseen_categories(["a"] * 50, old).p_value == 1.0


@pytest.mark.parametrize(("power", "size"), [(0.0, 200), (1.2, 1000), (1.2, 20000)])
def test_size_and_power_of_unseen_categories(power: float, size: int) -> None:
    """Uniform and Zipf's laws: the reference misses some categories, others come."""
    rng = np.random.default_rng(3)
    p = np.arange(1.0, size + 1.0) ** -power
    p /= p.sum()
    null, found = [], []
    for _ in range(400):
        old, new = rng.choice(size, 300, p=p), rng.choice(size, 100, p=p)
        null.append(unseen_categories(new, old).p_value)
        new[: 100 // 2] = -1
        found.append(unseen_categories(new, old).p_value)
    assert np.mean(np.array(null) <= 0.05) < 0.08
    assert np.mean(np.array(found) <= 0.01) > (0.95 if size < 20000 else 0.2)


def test_a_new_category_in_a_closed_set_is_found() -> None:
    old = ["a", "b", "c"] * 200
    assert unseen_categories(["a", "b"] * 48 + ["new"] * 4, old).p_value < 0.01
    assert unseen_categories(["a", "b"] * 49 + ["new"], old).p_value > 0.05


def test_order_and_kind_of_categories_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    new, old = rng.integers(0, 4, 50), rng.integers(0, 4, 150)
    codes = chi_square(new, old)
    texts = chi_square([f"c{v}" for v in new[::-1]], [f"c{v}" for v in old])
    assert codes.p_value == pytest.approx(texts.p_value, rel=1e-12)
    mixed = chi_square(["1", 1, True, "1", 2] * 10, ["1", 1, 2, 2] * 20)
    assert mixed.has_verdict


def _codes(phi: float, seed: int, n: int) -> np.ndarray:
    """Five categories of falling shares, cut from an AR(1) of variance 1."""
    rng = np.random.default_rng(seed)
    noise = np.sqrt(1 - phi**2) * rng.normal(size=n)
    numbers, _ = lfilter([1.0], [1.0, -phi], noise, zi=[phi * rng.normal()])
    return np.searchsorted([-0.1, 0.6, 1.1, 1.6], numbers)


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.9])
def test_the_inflation_of_the_reference_keeps_the_size_on_dependent_records(phi: float) -> None:
    p = []
    for run in range(400):
        codes = _codes(phi, run, 1300)
        new, old = codes[1000:], codes[:1000]
        result = chi_square(new.tolist(), old.tolist(), inflation=category_inflation(old))
        p.append(result.p_value)
    assert np.mean(np.array(p) <= 0.05) < 0.12  # .04, .06, .09; without it .04, .24, .72


def test_the_inflation_is_one_for_independent_records_and_for_a_single_category() -> None:
    assert category_inflation(_codes(0.0, 3, 20_000)) == pytest.approx(1.0, abs=0.1)
    assert category_inflation(np.zeros(50, np.int64)) == 1.0
    assert category_inflation(np.empty(0, np.int64)) == 1.0
    assert category_inflation(np.arange(30)) == 1.0  # none is common


def test_the_inflation_of_two_categories_is_that_of_their_indicator() -> None:
    codes = (_codes(0.8, 1, 2000) > 0).astype(np.int64)
    one = column_inflation(codes[None, :].astype(np.float64))
    assert category_inflation(codes) == pytest.approx(float(one[0]))
