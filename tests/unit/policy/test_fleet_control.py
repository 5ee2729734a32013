"""Error control over a fleet: size and power by simulation, and grounds that can be recomputed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from driftloop.messages import Evidence, RetrainRequested
from driftloop.policy import FleetDecider
from driftloop.policy.fleet_voice import e_of
from tests.unit.policy.fleets import clock, fleet_of, names, played, seen
from tests.unit.policy.test_decide import of

FDR = 0.05
ROUNDS, STREAMS = 300, 200


def tick(fleet: FleetDecider, p: np.ndarray, day: int) -> list[str]:
    """Streams that are retrained after a tick with these p-values."""
    items = [
        seen(f"s{i:03}", day + 0.5, p=value, asks=value <= 0.5)
        for i, value in enumerate(p.tolist())
    ]
    return names(played(fleet, *items, clock(day + 1)))


def upper(count: int, n: int, rate: float) -> bool:
    """Whether a count is one that so high a rate allows (99.9 %)."""
    return count <= stats.binom.ppf(0.999, n, rate)


@pytest.mark.parametrize("control", ["bh", "e-bh"])
def test_without_any_drift_few_ticks_retrain_anything(control: str) -> None:
    """Where all are null, the FDR is the probability of any retrain in a tick."""
    rng = np.random.default_rng(1)
    hit = sum(
        bool(tick(fleet_of(control=control, fdr=FDR), rng.random(STREAMS), 0))
        for _ in range(ROUNDS)
    )
    assert upper(hit, ROUNDS, FDR)
    if control == "bh":  # which spends its whole level on independent tests
        assert hit >= stats.binom.ppf(0.001, ROUNDS, FDR)


def test_streams_that_share_their_noise_keep_the_level_under_e_bh() -> None:
    """All streams of a tick have the same p-value: the worst dependence."""
    rng = np.random.default_rng(2)
    shared = rng.random(ROUNDS)
    hit = sum(
        bool(tick(fleet_of(control="e-bh", fdr=0.2), np.full(50, p), 0)) for p in shared.tolist()
    )
    assert upper(hit, ROUNDS, 0.2)


@pytest.mark.parametrize(
    ("control", "power"), [("bh", 0.95), ("e-bh", 0.35), ("lord", 0.6), ("saffron", 0.6)]
)
def test_some_streams_drift_the_share_of_needless_retrains_holds(
    control: str, power: float
) -> None:
    """20 of 200 streams drift by 4.5 standard errors, in each of 20 ticks of 5 fleets.

    e-BH on e-values that are made of p-values pays for its freedom with power.
    """
    rng = np.random.default_rng(3)
    shares, found = [], []
    for _ in range(5):
        fleet = fleet_of(control=control, fdr=FDR)
        false = true = 0
        for day in range(20):
            z = rng.normal(size=STREAMS)
            z[:20] += 4.5
            sent = tick(fleet, stats.norm.sf(z), day)
            hits = sum(name < "s020" for name in sent)
            true += hits
            false += len(sent) - hits
        shares.append(false / max(1, true + false))
        found.append(true / 400)
    assert np.mean(shares) <= FDR + 2 * np.std(shares) / math.sqrt(5) + 0.01
    assert np.mean(found) >= power


@pytest.mark.parametrize("control", ["lord", "saffron"])
def test_online_without_drift_few_fleets_ever_retrain(control: str) -> None:
    rng = np.random.default_rng(4)
    hit = 0
    for _ in range(100):
        fleet = fleet_of(control=control, fdr=FDR)
        hit += any(tick(fleet, rng.random(50), day) for day in range(4))
    assert upper(hit, 100, FDR)


def test_online_control_does_not_wait_for_the_tick() -> None:
    fleet = fleet_of(control="lord")
    assert names(fleet.take(seen("a", 0.5, p=1e-6))) == ["a"]
    waiting = fleet_of(control="lord", budget=1)
    assert waiting.take(seen("a", 0.5, p=1e-6)) == []
    assert names(played(waiting, clock(1))) == ["a"]


@pytest.mark.parametrize("control", ["bh", "e-bh", "lord", "saffron"])
def test_a_verdict_can_be_recomputed_from_its_event_alone(control: str) -> None:
    rng = np.random.default_rng(5)
    z = rng.normal(size=60)
    z[:12] += 4.0
    p = stats.norm.sf(z)
    fleet = fleet_of(control=control, fdr=0.1)
    items = [seen(f"s{i:02}", 0.5, p=value) for i, value in enumerate(p.tolist())]
    events = played(fleet, *items, clock(1))
    sent, dropped = of(events, RetrainRequested), of(events, Evidence)
    assert len(sent) + len(dropped) == 60
    assert len(sent) >= 5
    for event in [*sent, *dropped]:
        ground = (event.grounds if isinstance(event, RetrainRequested) else event.results)[-1]
        assert (ground.criterion, ground.family) == ("fleet-control", "fleet")
        assert ground.p_value == p[int(event.stream[1:])]
        passes = (
            e_of(ground.p_value, math.nan) >= ground.threshold
            if control == "e-bh"
            else ground.p_value <= ground.threshold
        )
        assert passes == ground.rejected == isinstance(event, RetrainRequested)
    if control == "bh":
        k, m = len(sent), 60
        assert {e.grounds[-1].threshold for e in sent} == {0.1 * k / m}
        ranks = [e.grounds[-1].statistic for e in sent]
        assert ranks == stats.rankdata(p)[[int(e.stream[1:]) for e in sent]].tolist()
    assert {e.decision for e in dropped} <= {"fleet-control"}


def test_a_stream_that_waits_for_its_outcome_is_no_test_of_the_tick() -> None:
    """One that could not be retrained anyway must not cost the others power."""
    fleet = fleet_of({"outcome_timeout": "9d"}, control="bh")
    played(fleet, seen("a", 0.5, p=1e-9), clock(1))
    events = played(fleet, seen("a", 1.5, p=0.9, asks=False), seen("b", 1.5, p=0.04), clock(2))
    (sent,) = of(events, RetrainRequested)
    assert (sent.stream, sent.grounds[-1].n) == ("b", 1)


@pytest.mark.parametrize("control", ["bh", "e-bh", "lord", "saffron"])
def test_what_has_no_p_value_passes_untested(control: str) -> None:
    fleet = fleet_of(control=control)
    (sent,) = of(played(fleet, seen("a", 0.5), clock(1)), RetrainRequested)
    assert sent.grounds == []


def test_the_e_value_of_a_p_value_has_mean_one() -> None:
    """The integral of the calibrator over uniform p, with its singularity at 0 in closed form."""
    grid = np.linspace(0.0, 1.0, 200_001)[1:] - 2.5e-6
    found = np.mean([e_of(p, math.nan) for p in grid.tolist()])
    assert found == pytest.approx(1.0, abs=2e-3)
    assert e_of(0.0, math.nan) == math.inf
    assert e_of(0.5, 7.0) == 7.0
    assert math.isnan(e_of(math.nan, math.nan))


@pytest.mark.parametrize("bad", [{"tick": "0s"}, {"fdr": 0.0}, {"budget": 0}, {"min_streams": 1}])
def test_settings_that_mean_nothing_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        fleet_of(**bad)
