"""Control of the false discovery rate: statsmodels, the papers' formulas by hand, simulation."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from driftloop.errors import SettingsError
from driftloop.statistics.online_fdr import (
    LordPlusPlus,
    Saffron,
    bh_rejections,
    e_bh,
    lord_weights,
    saffron_weights,
)

ALPHA = 0.1
PROCEDURES = [LordPlusPlus, Saffron]


def online(make: Callable[..., LordPlusPlus | Saffron], p: np.ndarray) -> np.ndarray:
    procedure = make(ALPHA)
    return np.array([procedure.test(value).rejected for value in p])


def test_bh_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 9, 100):
        for _ in range(20):
            p = rng.uniform(size=size) ** 3
            p[: size // 3] = p[0]  # ties
            expected = multipletests(p, ALPHA, method="fdr_bh")[0]
            assert bh_rejections(p, ALPHA).tolist() == expected.tolist()


def test_e_bh_is_bh_of_the_inverse_e_values() -> None:
    """Wang, Ramdas 2022: e-BH is BH on 1/e."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        e = np.exp(rng.normal(2.0, 2.0, 30))
        assert e_bh(e, ALPHA).tolist() == bh_rejections(1.0 / e, ALPHA).tolist()


def test_no_verdict_is_no_test_at_a_tick() -> None:
    p = [0.001, math.nan, 0.04, math.nan, 0.9]
    assert bh_rejections(p, 0.1).tolist() == [True, False, True, False, False]
    assert not bh_rejections([0.06, 0.9], 0.1).any()
    assert e_bh([math.inf, math.nan, 1.0], 0.1).tolist() == [True, False, False]
    for empty in ([], [math.nan] * 3):
        assert bh_rejections(empty, 0.1).tolist() == [False] * len(empty)
        assert e_bh(empty, 0.1).tolist() == [False] * len(empty)
    assert not e_bh([0.0, 0.5, -math.inf], 0.1).any()


def test_weights_sum_to_at_most_one() -> None:
    """Over all t: the sum to N and the integral of the rest, in u = ln t, by incomplete gamma."""
    n = 10**6
    t = np.arange(1, n + 1)
    root = math.sqrt(math.log(n + 0.5))
    # The integral of u exp(-√u) from u is 2 Γ(4, √u).
    rest = 0.07720838 * 2.0 * 6.0 * stats.gamma.sf(root, 4)
    assert 0.97 < lord_weights(t).sum() + rest <= 1.0
    rest = (n + 0.5) ** -0.6 / 0.6 * saffron_weights(1.0)
    assert saffron_weights(t).sum() + rest == pytest.approx(1.0, abs=1e-6)


def test_lord_levels_by_hand() -> None:
    """Target alpha = .1, w0 = .04, rejections at 2, 3 and 5."""
    p = [0.5, 1e-9, 1e-9, 0.9, 1e-9, 0.2, 0.2]
    g = dict(enumerate(lord_weights(np.arange(1, 8)).tolist(), start=1))
    expected = [
        0.04 * g[1],
        0.04 * g[2],
        0.04 * g[3] + 0.06 * g[1],
        0.04 * g[4] + 0.06 * g[2] + 0.1 * g[1],
        0.04 * g[5] + 0.06 * g[3] + 0.1 * g[2],
        0.04 * g[6] + 0.06 * g[4] + 0.1 * (g[3] + g[1]),
        0.04 * g[7] + 0.06 * g[5] + 0.1 * (g[4] + g[2]),
    ]
    procedure = LordPlusPlus(0.1, w0=0.04)
    outcomes = [procedure.test(value) for value in p]
    assert [o.level for o in outcomes] == pytest.approx(expected, rel=1e-12)
    assert [o.rejected for o in outcomes] == [False, True, True, False, True, False, False]
    assert g[1] == pytest.approx(0.07720838 * math.log(2))
    assert g[3] == pytest.approx(0.07720838 * math.log(3) / 3 / math.exp(math.sqrt(math.log(3))))


def test_saffron_levels_by_hand() -> None:
    """Target alpha = .1, w0 = .04, λ = .5: rejections at 2 and 4, a candidate without one at 5."""
    p = [0.7, 1e-9, 0.9, 1e-9, 0.3, 0.8, 0.6]
    g = dict(enumerate(saffron_weights(np.arange(1, 8)).tolist(), start=1))
    expected = [
        0.5 * 0.04 * g[1],  # t - candidates before t: 1, 2, 2, 3, 3, 3, 4
        0.5 * 0.04 * g[2],
        0.5 * (0.04 * g[2] + 0.06 * g[1]),
        0.5 * (0.04 * g[3] + 0.06 * g[2]),
        0.5 * (0.04 * g[3] + 0.06 * g[2] + 0.1 * g[1]),
        0.5 * (0.04 * g[3] + 0.06 * g[2] + 0.1 * g[1]),
        0.5 * (0.04 * g[4] + 0.06 * g[3] + 0.1 * g[2]),
    ]
    procedure = Saffron(0.1, w0=0.04)
    outcomes = [procedure.test(value) for value in p]
    assert [o.level for o in outcomes] == pytest.approx(expected, rel=1e-12)
    assert [o.rejected for o in outcomes] == [False, True, False, True, False, False, False]
    capped = Saffron(0.9, candidate=0.05)
    assert max(capped.test(1e-9).level for _ in range(20)) == 0.05


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_fdr_is_kept_with_more_power_than_bonferroni(share: float) -> None:
    rng = np.random.default_rng(2)
    false: dict[str, list[float]] = {}
    found: dict[str, list[float]] = {}
    for _ in range(50):
        shifted = rng.uniform(size=400) < share
        p = stats.norm.sf(rng.normal(size=400) + 3.0 * shifted)
        e = np.exp(1.5 * stats.norm.isf(p) - 1.125)  # e-values of a likelihood ratio
        for name, rejected in (
            ("bonferroni", p <= ALPHA / 400),
            ("bh", bh_rejections(p, ALPHA)),
            ("e_bh", e_bh(e, ALPHA)),
            ("lord", online(LordPlusPlus, p)),
            ("saffron", online(Saffron, p)),
        ):
            wrong, right = (rejected & ~shifted).sum(), (rejected & shifted).sum()
            false.setdefault(name, []).append(wrong / max(rejected.sum(), 1))
            found.setdefault(name, []).append(right / max(shifted.sum(), 1))
    for name, shares in false.items():
        error = np.std(shares) / math.sqrt(50)
        assert np.mean(shares) <= ALPHA + 2 * error, name
    if share:
        for name in ("bh", "lord", "saffron"):
            assert np.mean(found[name]) > np.mean(found["bonferroni"]) + 0.05
    if share == 0.4:
        assert np.mean(found["saffron"]) > np.mean(found["lord"])


def test_e_bh_is_valid_when_all_tests_share_their_noise() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=(4000, 1)) * np.sqrt(0.9) + rng.normal(size=(4000, 20)) * np.sqrt(0.1)
    false = [e_bh(np.exp(2.0 * row - 2.0), 0.2).any() for row in z]
    assert 0.005 < np.mean(false) <= 0.2


@pytest.mark.parametrize("make", PROCEDURES)
def test_no_verdict_spends_nothing_and_state_pickles(make: Callable[..., LordPlusPlus]) -> None:
    p = np.random.default_rng(4).uniform(size=60) ** 4
    plain, holed = make(ALPHA), make(ALPHA)
    expected = [plain.test(value) for value in p]
    actual = []
    for value in p:
        nothing = holed.test(math.nan)
        assert math.isnan(nothing.level)
        assert not nothing.rejected
        holed = pickle.loads(pickle.dumps(holed))  # noqa: S301
        actual.append(holed.test(value))
    assert actual == expected
    assert any(outcome.rejected for outcome in expected)


@pytest.mark.parametrize("make", PROCEDURES)
def test_infinite_and_extreme_values_are_survived(make: Callable[..., LordPlusPlus]) -> None:
    procedure = make(ALPHA)
    assert procedure.test(0.0).rejected
    assert not procedure.test(1.0).rejected
    assert not procedure.test(math.inf).rejected


def test_settings_out_of_range_are_named() -> None:
    for make in (LordPlusPlus, Saffron):
        with pytest.raises(SettingsError, match="alpha: must be in"):
            make(0.0)
        with pytest.raises(SettingsError, match="w0: must be in"):
            make(0.1, w0=0.1)
    with pytest.raises(SettingsError, match="candidate: must be in"):
        Saffron(0.1, candidate=1.0)
    with pytest.raises(SettingsError, match="alpha"):
        bh_rejections([0.1], math.nan)
    with pytest.raises(SettingsError, match="alpha"):
        e_bh([0.1], 1.0)
