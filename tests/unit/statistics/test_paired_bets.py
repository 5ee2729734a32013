"""The paired bets keep their level where losses depend on each other, and find what is worse."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from driftloop.statistics.paired_bets import BLOCK, PairedBets

Array = np.ndarray


def ar(phi: float, runs: int, n: int, seed: int) -> Array:
    """Normal AR(1) series of unit variance, (runs, n)."""
    noise = np.random.default_rng(seed).standard_normal((runs, n + 200))
    series = np.zeros_like(noise)
    for i in range(1, n + 200):
        series[:, i] = phi * series[:, i - 1] + noise[:, i]
    return series[:, 200:] * math.sqrt(1 - phi**2)


def differences(kind: str, runs: int, n: int, seed: int = 0) -> Array:
    """Paired differences of mean 0 and variance 1, (runs, n)."""
    rng = np.random.default_rng(seed + 1)
    if kind == "ar":
        return ar(0.6, runs, n, seed)
    if kind == "errors":  # of two models that are equally far off, on the same noise
        shared = ar(0.6, runs, n, seed)
        first, second = 0.5 * rng.standard_normal((2, runs, n))
        d = np.abs(shared + first) - np.abs(shared + second)
        return d / d.std()
    if kind == "skewed":
        d = math.exp(0.72) - np.exp(1.2 * rng.standard_normal((runs, n)))
        return d / d.std()
    if kind == "classes":  # now and then one of two classifiers errs
        return rng.choice([-1.0, 0.0, 1.0], (runs, n), p=[0.1, 0.8, 0.1]) / math.sqrt(0.2)
    raise AssertionError(kind)


def claims(d: Array, alpha: float, side: str) -> tuple[float, float]:
    """Share of trials in which a claim was ever made, and the median record at which."""
    at = []
    for run in d:
        bets = PairedBets()
        for start in range(0, len(run) - BLOCK + 1, BLOCK):
            bets.update(run[start : start + BLOCK])
            log_e = bets.log_e_worse if side == "worse" else bets.log_e_better
            if log_e >= -math.log(alpha):
                at.append(bets.records)
                break
    return len(at) / len(d), float(np.median(at)) if at else math.inf


@pytest.mark.parametrize("side", ["worse", "better"])
@pytest.mark.parametrize(("alpha", "n"), [(0.01, 500), (0.05, 300)])
@pytest.mark.parametrize("kind", ["ar", "errors", "skewed", "classes"])
def test_a_version_that_is_not_worse_is_seldom_called_so(
    kind: str, alpha: float, n: int, side: str
) -> None:
    """At most alpha in truth; 400 trials may show 3 standard errors more."""
    sign = 1.0 if side == "worse" else -1.0
    share, _ = claims(sign * differences(kind, 400, n), alpha, side)
    assert share <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / 400)


@pytest.mark.parametrize(
    ("kind", "shift", "power", "records"),
    [("ar", 0.5, 0.9, 320), ("ar", 1.0, 1.0, 240), ("errors", 0.25, 0.8, 380)],
)
def test_what_is_worse_is_found(kind: str, shift: float, power: float, records: int) -> None:
    """A rise by so many standard deviations of the paired difference."""
    share, median = claims(differences(kind, 300, 500, seed=7) + shift, 0.01, "worse")
    assert share >= power
    assert median <= records


def test_no_claim_before_200_records_and_one_there_at_level_a_hundredth() -> None:
    bets = PairedBets()
    told = []
    for _ in range(11):
        bets.update(np.full(BLOCK, 5.0))
        told.append((bets.records, bets.log_e_worse >= math.log(100)))
    assert [records for records, claimed in told if claimed] == [200, 220]
    assert bets.log_e_better == -math.inf


def test_the_interval_holds_at_every_block_about_as_often_as_it_says() -> None:
    missed = 0
    for run in differences("ar", 300, 500, seed=3) + 0.3:
        bets = PairedBets()
        outside = False
        for start in range(0, 500, BLOCK):
            bets.update(run[start : start + BLOCK])
            low, high = bets.interval(0.01, 25)
            outside |= low > 0.3 or high < 0.3
        missed += outside
    assert missed / 300 <= 0.035


def test_a_claim_needs_the_plain_mean_on_its_side() -> None:
    """A few large wins: most blocks are a little worse, the mean is better."""
    bets = PairedBets()
    for k in range(25):
        bets.update(np.full(BLOCK, -100.0 if k == 1 else 0.1))
    assert bets.mean < 0
    assert bets.log_e_worse == -math.inf


def test_what_is_not_finite_is_left_out_and_equal_models_prove_nothing() -> None:
    bets = PairedBets()
    bets.update([math.nan, math.inf])
    assert (bets.blocks, bets.records) == (0, 0)
    assert math.isnan(bets.mean)
    bets.update([1.0, math.nan, 3.0])
    assert (bets.blocks, bets.records, bets.mean) == (1, 2, 2.0)
    equal = PairedBets()
    for _ in range(25):
        equal.update(np.zeros(BLOCK))
    assert (equal.mean, equal.log_e_worse, equal.log_e_better) == (0.0, -math.inf, -math.inf)
    assert equal.interval(0.01, 25) == (0.0, 0.0)


def test_it_goes_on_from_a_pickle_bit_for_bit() -> None:
    d = differences("ar", 1, 500)[0]
    whole, parts = PairedBets(), PairedBets()
    for start in range(0, 500, BLOCK):
        whole.update(d[start : start + BLOCK])
        parts = pickle.loads(pickle.dumps(parts))  # noqa: S301  # our own bytes
        parts.update(d[start : start + BLOCK])
    assert (whole.log_e_worse, whole.mean) == (parts.log_e_worse, parts.mean)
    assert whole.interval(0.01, 25) == parts.interval(0.01, 25)
