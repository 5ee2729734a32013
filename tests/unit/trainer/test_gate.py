"""The gate: who is let through, and how often by chance."""

from __future__ import annotations

import numpy as np
import pytest

from driftloop.settings import Profile
from driftloop.trainer.gate import judge, metrics, trivial_losses


def _profile(margin: float = 0.0) -> Profile:
    return Profile.model_validate({"loss": "squared", "training": {"margin": margin}})


def _losses(seed: int, shift: float = 0.0, records: int = 100) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 1.0, records) + shift


def test_without_a_champion_finite_losses_are_enough() -> None:
    verdict = judge(_profile(), _losses(1), None, _losses(2))
    assert verdict.accepted
    assert verdict.champion is None
    assert verdict.challenger["records"] == 100
    assert verdict.challenger["baseline"] == pytest.approx(_losses(2).mean())


def test_losses_that_are_not_finite_are_never_accepted() -> None:
    verdict = judge(_profile(), np.full(50, np.nan), _losses(1, records=50), _losses(2))
    assert not verdict.accepted
    assert verdict.reason == "not-finite"


def test_a_better_challenger_is_accepted_and_a_clearly_worse_one_is_not() -> None:
    champion = _losses(1)
    assert judge(_profile(), champion - 0.5 + _losses(2) * 0.01, champion, champion).accepted
    verdict = judge(_profile(), champion + _losses(2), champion, champion)
    assert (verdict.accepted, verdict.reason) == (False, "worse")
    assert verdict.challenger["p_worse"] < 0.001


def test_a_margin_lets_a_slightly_worse_challenger_through() -> None:
    champion = _losses(1)
    challenger = champion + 0.1 + 0.001 * _losses(2)
    assert not judge(_profile(), challenger, champion, champion).accepted
    assert judge(_profile(margin=0.2), challenger, champion, champion).accepted


def test_an_accepted_challenger_is_never_significantly_worse() -> None:
    for seed in range(300):
        champion = _losses(seed)
        verdict = judge(_profile(), _losses(seed + 1000), champion, champion)
        if verdict.accepted:
            p = verdict.challenger["p_worse"]
            assert p is None or p >= 0.5


def test_an_equal_challenger_is_called_worse_as_often_as_the_level_says() -> None:
    """Size at alpha = 0.05: in 2,000 runs of equal models, 'worse' in about 5 %."""
    worse = 0
    for seed in range(2000):
        generator = np.random.default_rng(seed)
        champion, challenger = generator.gamma(2.0, 1.0, (2, 80))
        worse += judge(_profile(), challenger, champion, champion).reason == "worse"
    assert 0.03 < worse / 2000 < 0.07


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
