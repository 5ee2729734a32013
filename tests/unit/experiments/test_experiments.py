"""The experiments run, say where their figures come from, and measure what they claim to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from driftloop.statistics.autocorrelation import variance_inflation
from experiments import forecasters, reducible, size_power
from experiments._champion import Champions
from experiments._losses import NOISES, SPREAD, Noise
from experiments._report import per_year, share
from experiments._sets import generated
from experiments._variants import Corrector, Reducible, Variant, periodic


@pytest.mark.parametrize("name", ["size_power", "reducible", "forecasters"])
def test_a_quick_run_writes_figures_with_their_circumstances(name: str, tmp_path: Path) -> None:
    modules = {"size_power": size_power, "reducible": reducible, "forecasters": forecasters}
    module = modules[name]
    page = module.main(["--quick", "--jobs", "1", "--out", str(tmp_path)])
    facts = json.loads((tmp_path / f"{name}.json").read_text())
    assert set(facts) >= {"date", "seed", "hardware", "versions", "figures"}
    assert facts["versions"]["numpy"] == np.__version__
    assert f"python -m experiments.{name}" in page.read_text()


def test_intervals_are_those_of_the_exact_tests() -> None:
    low, high = stats.binomtest(7, 100).proportion_ci(0.95, "exact")
    assert share(7, 100) == pytest.approx((0.07, low, high))
    assert share(0, 10)[1] == 0.0
    assert share(10, 10)[2] == 1.0
    rate, low, high = per_year(4, 2.0)
    assert rate == 2.0
    assert stats.poisson.sf(3, low * 2.0) == pytest.approx(0.025)
    assert stats.poisson.cdf(4, high * 2.0) == pytest.approx(0.025)


@pytest.mark.parametrize("noise", NOISES[:9], ids=lambda one: one.name)
def test_undisturbed_losses_have_the_mean_spread_and_dependence_they_say(noise: Noise) -> None:
    x = noise.standard(np.random.default_rng(4), 200_000)
    assert abs(x.mean()) < 0.05
    assert x.std() == pytest.approx(1.0, abs=0.15)  # t3 has no fourth moment
    if noise.law == "normal":
        assert variance_inflation(x) == pytest.approx((1 + noise.phi) / (1 - noise.phi), rel=0.1)
    assert noise.losses(np.random.default_rng(4), 96 * 1000).std() >= SPREAD * 0.85


def test_reducible_finds_known_drift_and_leaves_undrifting_streams_alone() -> None:
    streams = {one.name: one for one in generated(3, 8000)}
    drifting = Champions(streams["concept, sudden"], "linear", 1)
    never, every = periodic(drifting, 0), periodic(drifting, 1)
    found = Reducible(drifting, Variant("default"), 1).run(20.0)
    assert found.loss < never.loss - 0.8 * (never.loss - every.loss)
    assert 0 < found.retrains < every.retrains / 2
    still = Champions(streams["no drift, t3"], "linear", 1)
    assert Reducible(still, Variant("default"), 1).run(20.0).retrains == 0


@pytest.mark.parametrize("forgetting", [0.995, 0.0])
def test_correcting_at_once_learns_nothing(forgetting: float) -> None:
    rng = np.random.default_rng(6)
    z, y = rng.standard_normal((400, 2)), rng.standard_normal(400)
    asked, spared = (Corrector("regression", 2, forgetting) for _ in range(2))
    for one in (asked, spared):
        one.correct(z[:200], y[:200] + z[:200, 0], np.zeros(200))
    known = asked.at_once(z[200:], y[200:], np.zeros(200))
    assert np.corrcoef(known, z[200:, 0])[0, 1] > 0.9
    later = [one.correct(z[200:], y[200:], np.zeros(200)) for one in (asked, spared)]
    np.testing.assert_array_equal(*later)
