"""The e-process and the e-detector: martingale by closed form, run length and delay simulated."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.signal import lfilter

from driftloop.errors import SettingsError
from driftloop.statistics.autocorrelation import variance_inflation
from driftloop.statistics.eprocess import (
    BETS,
    LOWER,
    SLACK,
    UPPER,
    EDetector,
    EProcess,
    threshold,
)
from driftloop.statistics.window_scores import paired_score, window_score


def alarms(scores: np.ndarray, form: str, c: float) -> np.ndarray:
    """Return the window of each row's first alarm, the number of windows if there is none."""
    first = np.full(len(scores), scores.shape[1])
    for i, row in enumerate(scores):
        detector = EDetector(form)  # type: ignore[arg-type]
        for t, z in enumerate(row):
            if detector.update(z) >= threshold(c):
                first[i] = t + 1
                break
    return first


def autoregression(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    x = np.asarray(lfilter([1.0], [1.0, -phi], rng.normal(size=n + 200)))
    return x[200:] * math.sqrt(1 - phi**2)


def test_each_bet_is_fair_or_worse_on_a_standard_normal() -> None:
    raised = integrate.quad(lambda z: (-LOWER - z) * stats.norm.pdf(z), -40, -LOWER)[0]
    assert pytest.approx(raised, rel=1e-9) == SLACK
    for bet in BETS:

        def factor(z: float, bet: float = bet) -> float:
            y = min(max(z, -LOWER), UPPER)
            return float(stats.norm.pdf(z) * (1 + bet * (y - SLACK) / (LOWER + SLACK)))

        mean = integrate.quad(factor, -12, 12, points=[-LOWER, UPPER], limit=200)[0]
        assert 0.999999 < mean <= 1.0 + 1e-9


def test_evidence_is_the_mean_of_the_products_of_the_factors() -> None:
    z = np.random.default_rng(1).normal(0.5, 1.5, 30)
    y = np.clip(z, -LOWER, UPPER)
    factors = 1 + np.array(BETS)[:, None] * (y - SLACK) / (LOWER + SLACK)
    process = EProcess()
    assert process.update(z) == pytest.approx(math.log(factors.prod(axis=1).mean()))
    paths = np.maximum(np.cumprod(factors, axis=1).mean(axis=0).max(), 1.0)
    assert process.p_value == pytest.approx(1 / paths)


@pytest.mark.parametrize("form", ["sr", "cusum"])
def test_the_detector_sums_or_takes_the_best_of_all_starts(form: str) -> None:
    z = np.random.default_rng(2).normal(0.2, 1.5, 25)
    factors = 1 + np.array(BETS)[:, None] * (np.clip(z, -LOWER, UPPER) - SLACK) / (LOWER + SLACK)
    starts = np.stack([factors[:, j:].prod(axis=1) for j in range(25)])  # (starts, bets)
    expected = starts.sum(axis=0) if form == "sr" else starts.max(axis=0)
    detector = EDetector(form)  # type: ignore[arg-type]
    assert detector.update(z) == pytest.approx(math.log(expected.mean()))


def test_the_e_process_is_valid_whenever_it_is_read() -> None:
    """The largest e-value over 400 windows passes 1/.05 with at most probability .05."""
    rng = np.random.default_rng(3)
    for scores in (rng.normal(size=(500, 400)), rng.exponential(size=(500, 400)) - 1.0):
        p = []
        for row in scores:
            process = EProcess()
            process.update(row)
            p.append(process.p_value)
        assert np.mean(np.array(p) <= 0.05) <= 0.07
        assert np.mean(np.array(p) <= 0.05) > 0.005  # and not for want of betting


def test_average_run_length_is_at_least_promised() -> None:
    """Threshold c = 50, independent normal and skewed scores, weakly dependent ones."""
    rng = np.random.default_rng(4)
    weak = np.stack([autoregression(rng, 400, 0.1) for _ in range(200)])
    for scores in (rng.normal(size=(200, 400)), rng.exponential(size=(200, 400)) - 1.0, weak):
        length = alarms(scores, "sr", 50)
        assert length.mean() >= 45


def test_false_alarm_within_a_horizon_is_kept() -> None:
    """Threshold c = T/alpha: within T = 40 windows at most alpha = .1 of the streams alarm."""
    scores = np.random.default_rng(5).normal(size=(400, 41))
    for form in ("sr", "cusum"):
        assert np.mean(alarms(scores, form, 40 / 0.1) <= 40) <= 0.13


@pytest.mark.parametrize(("phi", "m", "n"), [(0.0, 300, 100), (0.6, 300, 100), (0.9, 1500, 300)])
def test_run_length_and_delay_on_windows_of_dependent_losses(phi: float, m: int, n: int) -> None:
    """With the reference estimated; shifted by half a standard deviation after 20 windows."""
    rng = np.random.default_rng(6)
    quiet, shifted = [], []
    for _ in range(30):
        x = autoregression(rng, m + 100 * n, phi)
        reference, windows = x[:m], x[m:].reshape(100, n)
        k = variance_inflation(reference)
        z = [window_score(w, reference, inflation=k) for w in windows]
        worse = [window_score(w + 0.5, reference, inflation=k) for w in windows[20:]]
        quiet.append(z)
        shifted.append(z[:20] + worse)
    assert alarms(np.array(quiet), "sr", 100).mean() >= 95  # of 100 at most
    delays = alarms(np.array(shifted), "sr", 100) - 20
    assert np.mean(delays > 0) >= 0.95
    assert np.median(delays) <= 25


def test_how_input_is_cut_does_not_matter_and_state_pickles() -> None:
    z = np.random.default_rng(7).normal(0.3, 1.0, 60)
    for make in (EProcess, EDetector, lambda: EDetector("cusum")):
        whole, single = make(), make()
        whole.update(z)
        for value in z[:25]:
            single.update(value)
        single = pickle.loads(pickle.dumps(single))  # noqa: S301
        single.update(z[25:40])
        assert single.update(z[40:]) == whole.log_e


def test_windows_without_a_verdict_change_nothing() -> None:
    for detector in (EProcess(), EDetector()):
        before = detector.log_e
        assert detector.update([]) == before
        assert detector.update([math.nan, math.inf, -math.inf]) == before
    assert (EProcess().p_value, EProcess().e_value) == (1.0, pytest.approx(1.0))
    certain = EProcess()
    certain.update([10.0] * 2000)
    assert certain.e_value == math.inf
    assert certain.p_value >= 0.0
    ruined = EProcess(bets=(1.0,))
    assert ruined.update([-5.0, 3.0]) < 0.0
    extreme = EDetector()
    assert extreme.update([1e300, -1e300]) < math.inf


def test_paired_evidence_is_fair_and_finds_what_a_retrain_saves() -> None:
    """Right-skewed d of mean 0, windows of 50, scale from the windows before; ten false in 200."""
    rng = np.random.default_rng(12)
    false, found = [], []
    for _ in range(200):
        d = rng.exponential(size=(40, 50)) - 1.0
        for shift, results in ((0.0, false), (0.4, found)):
            process = EProcess()
            for t in range(2, 40):
                process.update(paired_score(d[t] + shift, d[:t].ravel() + shift, inflation=1.0))
            results.append(process.p_value)
    assert np.mean(np.array(false) <= 0.05) <= 0.08
    assert np.mean(np.array(found) <= 0.001) > 0.95


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(SettingsError, match="bets: must be shares"):
        EProcess(bets=())
    with pytest.raises(SettingsError, match="bets"):
        EDetector(bets=(1.5,))
    with pytest.raises(SettingsError, match="form: must be sr or cusum"):
        EDetector("max")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="average_run_length"):
        threshold(0.5)
