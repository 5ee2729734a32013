"""Size and power by simulation: few needless retrains without drift, soon one with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftloop.detection.outputs import LossWindow
from driftloop.messages import RetrainRequested
from driftloop.policy import StreamTester, Tested
from driftloop.settings import Features, Policy, Profile
from driftloop.statistics.levels import SECONDS_PER_YEAR
from experiments._looks import shifted, undisturbed
from experiments._losses import Noise
from tests.streams import make_profile, make_stream, play
from tests.unit.policy.windows import losses


def profile_with(size: int, task: dict[str, Any] | None = None, **policy: Any) -> Profile:
    quiet = Policy(detectors=[], feature_tests=False, outcome_timeout="0s", **policy)
    return make_profile(
        window={"kind": "count", "records": size},
        features=Features(numeric=["a", "b"]),
        policy=quiet,
        **(task or {}),
    )


@pytest.mark.parametrize(
    ("task", "streams"),
    [({}, 200), ({"task": "binary", "loss": "log_loss"}, 50)],
    ids=["regression", "binary"],
)
def test_without_drift_the_default_policy_requests_almost_no_retrain(
    task: dict[str, Any], streams: int
) -> None:
    """Streams of 40 windows; the default cost, and no request ever holds back another."""
    profile = profile_with(30, task)
    requests = sum(
        len(play(profile, make_stream(profile, seed, 40 * 30)).of(RetrainRequested))
        for seed in range(streams)
    )
    assert requests <= streams / 100


def ar1(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    """Positive losses whose logarithm is AR(1)."""
    noise = rng.normal(size=n + 50) * np.sqrt(1 - phi**2)
    x = np.zeros(n + 50)
    for t in range(1, n + 50):
        x[t] = phi * x[t - 1] + noise[t]
    return np.exp(0.3 * x[50:])


def test_mlma_keeps_the_promised_rate_on_dependent_losses() -> None:
    """AR(1), phi = .6: false requests a year stay at what alpha_per_year promises."""
    streams, windows, size, level = 300, 12, 200, 0.03
    span_ms = 1000.0 * SECONDS_PER_YEAR / windows  # a stream sees one year
    policy = Policy(kind="mlma", alpha_per_year=level * windows)
    profile = Profile(policy=policy, window={"kind": "count", "records": size})
    false = np.zeros(streams)
    for seed in range(streams):
        values = ar1(np.random.default_rng(seed), windows * size, 0.6).reshape(windows, size)
        state = StreamTester(profile)
        for index, batch in enumerate(values):
            found = state.test(losses(batch, index=index, span_ms=span_ms))
            assert isinstance(found, Tested)
            false[seed] += found.retrain
    error = false.std() / np.sqrt(streams)
    assert false.mean() <= policy.alpha_per_year + 2 * error
    assert false.mean() > 0  # it is a test, not a stone


@pytest.mark.parametrize("kind", ["reducible", "mlma"])
@pytest.mark.parametrize("seed", range(10))
def test_a_jump_of_the_coefficients_is_requested_within_two_windows(kind: Any, seed: int) -> None:
    profile = profile_with(100, kind=kind)
    rows = make_stream(profile, seed, 1000, drift_at=500)
    played = play(profile, rows)
    windows = [o for o in played.outputs if isinstance(o, LossWindow)]
    requests = [request.decided_at for request in played.of(RetrainRequested)]
    assert windows[4].closed_at < min(requests) <= windows[6].closed_at


@pytest.mark.parametrize("mode", ["accumulate", "test"])
def test_a_week_that_is_only_noisier_asks_for_no_retrain(mode: Any) -> None:
    """What no newer model would save is no reason, though the loss doubles."""
    requests = 0
    profile = profile_with(100, mode=mode)
    for seed in range(20):
        rows = make_stream(profile, seed, 1000)
        noise = np.random.default_rng(seed).normal(0, 1.0, 1000)
        rows.y = rows.y + np.where(np.arange(1000) >= 500, noise, 0.0)
        requests += len(play(profile, rows).of(RetrainRequested))
    assert requests == 0


@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_both_keeps_the_promise_where_residuals_depend(phi: float) -> None:
    """At φ = .9 the test alone retrains 1.6 times as often as promised: see `experiments`."""
    noise = Noise(f"residuals, φ = {phi}", phi=phi)
    policy = {"kind": "reducible", "mode": "both", "alpha_per_year": 1.0}
    count = undisturbed(noise, policy, streams=4, looks=500, seed=7)
    assert count.years > 5.0
    assert count.retrains <= 10  # 5.5 promised; more than 10 has a probability of .03
    risen = shifted(noise, policy, shift=1.0, streams=6, before=10, after=30, seed=7)
    assert np.isfinite(risen.delays).all()
