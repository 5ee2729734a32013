"""The gate: who is let through, and how often by chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal, stats

from driftloop.settings import Profile
from driftloop.trainer.gate import Pair, Verdict, judge, metrics, trivial_losses


def _profile(**training: object) -> Profile:
    features = {"numeric": ["a"], "categorical": ["carrier", "day"]}
    return Profile.model_validate(
        {"loss": "squared", "features": features, "training": dict(training)}
    )


def _losses(seed: int, shift: float = 0.0, records: int = 100) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 1.0, records) + shift


def _judge(
    challenger: np.ndarray, champion: np.ndarray | None, *, seen: int = 0, **training: object
) -> Verdict:
    newest = Pair(challenger, champion, seen)
    return judge(_profile(**training), newest, challenger if champion is None else champion)


def _series(phi: float, seed: int, records: int = 200) -> np.ndarray:
    """Differences of losses: AR(1) of mean 0 and variance 1, in its stationary state."""
    noise = np.random.default_rng(seed).standard_normal(records)
    noise[0] /= math.sqrt(1.0 - phi * phi)
    return signal.lfilter([1.0], [1.0, -phi], noise) * math.sqrt(1.0 - phi * phi)


def _refused(phi: float, shift: float, runs: int, **training: object) -> float:
    """Share of challengers that are refused, whose losses are the champion's plus a series."""
    count = 0
    for seed in range(runs):
        champion = _losses(seed, shift=10.0, records=200)
        challenger = champion + _series(phi, seed) + shift
        count += not _judge(challenger, champion, **training).accepted
    return count / runs


def test_without_a_champion_finite_losses_are_enough() -> None:
    verdict = judge(_profile(), Pair(_losses(1), None), _losses(2))
    assert verdict.accepted
    assert verdict.champion is None
    assert verdict.challenger["records"] == 100
    assert verdict.challenger["baseline"] == pytest.approx(_losses(2).mean())


def test_losses_that_are_not_finite_are_never_accepted() -> None:
    verdict = _judge(np.full(50, np.nan), _losses(1, records=50))
    assert (verdict.accepted, verdict.reason) == (False, "not-finite")


def test_a_challenger_that_cannot_predict_what_the_champion_can_is_not_accepted() -> None:
    champion = _losses(1)
    challenger = np.where(np.arange(100) < 3, np.nan, champion - 1.0)
    verdict = _judge(challenger, champion)
    assert (verdict.accepted, verdict.reason) == (False, "not-finite")
    assert "3 records that the champion can predict" in verdict.detail
    assert _judge(champion - 1.0, np.where(np.arange(100) < 3, np.nan, champion)).accepted


def test_a_better_challenger_is_accepted_and_a_clearly_worse_one_is_not() -> None:
    champion = _losses(1)
    assert _judge(champion - 0.5 + _losses(2) * 0.01, champion).accepted
    verdict = _judge(champion + _losses(2), champion)
    assert (verdict.accepted, verdict.reason) == (False, "worse")
    assert verdict.challenger["p_worse"] < 0.001
    assert "training.margin is 0" in verdict.detail


def test_for_independent_records_the_test_is_students() -> None:
    """Where no dependence is found the p-value is scipy's, of the one-sided paired t."""
    compared = 0
    for seed in range(20):
        champion, challenger = np.random.default_rng(seed).gamma(2.0, 1.0, (2, 80))
        ours = _judge(challenger, champion).challenger["p_worse"]
        theirs = stats.ttest_rel(challenger, champion, alternative="greater").pvalue
        compared += ours == pytest.approx(theirs, rel=1e-9)
    assert compared >= 10  # in the others AIC takes a chance correlation for dependence


def test_a_margin_lets_a_slightly_worse_challenger_through() -> None:
    champion = _losses(1)
    challenger = champion + 0.1 + 0.001 * _losses(2)
    assert not _judge(challenger, champion).accepted
    assert _judge(challenger, champion, margin=0.2).accepted


def test_what_is_worse_by_chance_is_refused_only_where_the_profile_asks_for_that() -> None:
    champion = _losses(1)
    noise = _losses(2) - _losses(3)
    challenger = champion + noise - noise.mean() + 0.01
    assert _judge(challenger, champion).accepted
    verdict = _judge(challenger, champion, refuse="worse")
    assert (verdict.accepted, verdict.reason) == (False, "not-better")
    assert _judge(challenger - 0.02, champion, refuse="worse").accepted


@pytest.mark.parametrize("refuse", ["significantly-worse", "worse"])
@pytest.mark.parametrize(("rise", "accepted"), [(0.125, False), (0.0, True), (-0.125, True)])
def test_without_a_verdict_the_mean_decides(refuse: str, rise: float, *, accepted: bool) -> None:
    """A difference that does not vary, and two records, are nothing that can be tested."""
    for records in (100, 2):
        champion = np.ones(records)
        bump = np.where(np.arange(records) % 2 > 0, 0.5, -0.5) if records == 2 else 0.0
        verdict = _judge(champion + rise + bump, champion, refuse=refuse)
        assert verdict.challenger["p_worse"] is None
        assert verdict.accepted is accepted
        assert verdict.reason == ("" if accepted else "not-better")


def test_an_accepted_challenger_is_never_significantly_worse() -> None:
    for seed in range(300):
        verdict = _judge(_losses(seed + 1000), _losses(seed))
        if verdict.accepted:
            assert verdict.challenger["p_worse"] >= 0.05


@pytest.mark.parametrize(("phi", "most"), [(0.0, 0.065), (0.6, 0.075)])
def test_an_equal_challenger_is_refused_as_often_as_the_level_says(phi: float, most: float) -> None:
    """Size at alpha = 0.05 in 1,500 runs; its standard error is .0056."""
    assert 0.035 < _refused(phi, 0.0, 1500) < most


def test_by_the_mean_an_equal_challenger_is_refused_half_the_time() -> None:
    assert 0.45 < _refused(0.0, 0.0, 600, refuse="worse") < 0.55


@pytest.mark.parametrize(("phi", "shift"), [(0.0, 0.25), (0.6, 0.5)])
def test_a_worse_challenger_is_mostly_refused(phi: float, shift: float) -> None:
    """Power on 200 records: in theory .94 at .25 deviations, and at .5 with φ = .6 likewise."""
    assert _refused(phi, shift, 300) > 0.88


def test_what_the_champion_was_trained_on_is_told() -> None:
    assert _judge(_losses(1), _losses(2), seen=7).champion["trained_on"] == 7.0


def test_a_challenger_that_forgot_is_refused() -> None:
    newest = Pair(_losses(1) - 0.5, _losses(1))
    champion = _losses(3, records=80)
    challenger = champion + 0.4 + 0.3 * _losses(4, records=80)
    verdict = judge(_profile(), newest, _losses(1), older=Pair(challenger, champion, 60))
    assert (verdict.accepted, verdict.reason) == (False, "older-worse")
    assert "on the oldest 80 records" in verdict.detail
    assert "training.forgetting_margin is 0" in verdict.detail
    assert verdict.challenger["older_loss"] == pytest.approx(challenger.mean())
    assert verdict.champion["older_loss"] == pytest.approx(champion.mean())
    assert verdict.champion["older_trained_on"] == 60.0
    assert verdict.challenger["older_p_worse"] < 1e-6
    lenient = _profile(forgetting_margin=1.2)
    assert judge(lenient, newest, _losses(1), older=Pair(challenger, champion)).accepted


def test_a_challenger_worse_in_one_category_is_refused_and_the_category_named() -> None:
    champion = _losses(1, records=300)
    carriers = ["UA" if i % 6 == 0 else "AA" for i in range(300)]
    days = ["monday"] * 300
    rise = np.array([0.6 if name == "UA" else -0.4 for name in carriers])
    challenger = champion + rise + 0.2 * (_losses(2, records=300) - 2.0)
    newest = Pair(challenger, champion)
    columns = [carriers, days]
    whole = judge(_profile(), newest, champion, categories=columns)
    assert whole.accepted
    assert "slices" not in whole.challenger
    verdict = judge(_profile(slices=["carrier", "day"]), newest, champion, categories=columns)
    assert (verdict.accepted, verdict.reason) == (False, "slice-worse")
    assert "in 1 of 3 slices: carrier 'UA'" in verdict.detail
    assert "on 50 records" in verdict.detail
    assert verdict.challenger["slices"] == 3.0
    assert verdict.challenger["slice_p_worse"] < 0.001
    assert judge(_profile(slices=["day"]), newest, champion, categories=columns).accepted
    lenient = _profile(slices=["carrier"], slice_margin=0.8)
    assert judge(lenient, newest, champion, categories=columns).accepted
    few = _profile(slices=["carrier"], slice_records=51)
    assert judge(few, newest, champion, categories=columns).accepted


def test_metrics_of_nothing_are_null() -> None:
    assert metrics(np.array([np.nan])) == {"loss": None, "deviation": None, "records": 0.0}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"loss": "squared"}, [4.0, 1.0]),
        ({"loss": "absolute"}, [1.0, 2.0]),
        ({"task": "binary", "loss": "zero_one"}, [1.0, 0.0]),
    ],
)
def test_trivial_losses_are_those_of_the_labels_centre(settings: dict, expected: list) -> None:
    profile = Profile.model_validate(settings)
    fitted = np.array([0.0, 0.0, 6.0])
    held = np.array([0.0, 3.0])
    if settings["loss"] == "absolute":
        fitted, held = np.array([0.0, 1.0, 6.0]), np.array([0.0, 3.0])
    if profile.task == "binary":
        fitted, held = np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0])
    assert trivial_losses(profile, fitted, held).tolist() == expected
