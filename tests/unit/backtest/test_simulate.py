"""A stream under a policy: prequential, whatever the pieces it is replayed in."""

from __future__ import annotations

import json
from statistics import median_low
from typing import Any

import numpy as np
import pytest

from driftloop.backtest import simulate as module
from driftloop.backtest.delay import Arrivals, delayed
from driftloop.backtest.outcome import StreamOutcome
from driftloop.backtest.run import simulate
from driftloop.backtest.simulate import Simulation
from driftloop.backtest.source import StreamData
from driftloop.messages import OffsetRange, RetrainRequested
from driftloop.policy import standing
from driftloop.policy.cost import NEWEST, TAKES
from driftloop.settings import Profile
from tests.streams import MINUTE, Played
from tests.unit.backtest.simulated import (
    COUNT,
    CYCLE,
    POLICIES,
    bits,
    decided,
    plan_of,
    poisoned,
    profile_of,
    stream_of,
)


def run(profile: Profile, data: StreamData, **more: Any) -> StreamOutcome:
    (outcome,) = simulate(plan_of(profile, **more), [data])
    return outcome


@pytest.mark.parametrize("window", [COUNT, CYCLE], ids=["count", "cycle"])
def test_nothing_before_a_record_depends_on_it_or_on_what_comes_later(window: Any) -> None:
    profile = profile_of(window=window)
    data = stream_of(profile)
    whole = run(profile, data)
    decisions = [d for t in whole.tracks.values() for d in t.decisions]
    assert len(decisions) > 12
    times = sorted({d.request.decided_at for d in decisions})
    places = [int(np.searchsorted(whole.ts, t)) + k for t in (times[2], times[-2]) for k in (0, 1)]
    for first in (places[0], places[-1], 431):
        other = run(profile, StreamData("a", poisoned(data.columns, first)))
        differ = 0
        for name, track in whole.tracks.items():
            theirs = other.tracks[name]
            np.testing.assert_array_equal(track.losses[:first], theirs.losses[:first])
            differ += int(not np.array_equal(track.losses[first:], theirs.losses[first:]))
            # A window by cycles closes when its lateness, 5 minutes, is over.
            settled = whole.ts[first] - (6 * MINUTE if window is CYCLE else 0)
            before = [d for d in decided(track) if decided_at(d) < settled]
            assert before == [d for d in decided(theirs) if decided_at(d) < settled]
        assert differ == len(whole.tracks)


def decided_at(decision: Any) -> int:
    return int(json.loads(decision[0])["decided_at"])


def test_a_model_predicts_only_what_comes_after_all_that_it_was_trained_on() -> None:
    profile = profile_of()
    data = stream_of(profile)
    outcome = run(profile, data, policies=["periodic(150, min_records=20)"])
    (track,) = outcome.tracks.values()
    assert len(track.decisions) > 2
    ends = [max(OffsetRange.parse(r).last for r in d.request.data) for d in track.decisions]
    at = [d.request.decided_at for d in track.decisions]
    assert (data.columns.ts[ends] <= at).all()
    assert np.isnan(track.losses[: ends[0] + 1]).all()
    assert np.isfinite(track.losses[ends[0] + 1 :]).all()


def test_a_model_of_what_has_changed_loses_less_than_one_of_the_whole_window() -> None:
    profile = profile_of(training={"records": 300, "initial": 100, "min_records": 30})
    data = stream_of(profile, n=800)  # changes at 400
    names = [f"reducible(5, min_records=20{more})" for more in ("", ", min_window=0.2")]
    outcome = run(profile, data, policies=names)
    whole, part = (outcome.tracks[name] for name in names)
    begins, sizes = (
        [
            [getattr(OffsetRange.parse(one.request.data[0]), of) for one in track.decisions[1:]]
            for track in (whole, part)
        ]
        for of in ("first", "size")
    )
    assert set(sizes[0]) == {300}
    assert 60 <= min(sizes[1]) < 150
    assert min(first for first in begins[1] if first > 400) < 500  # what came since the change
    after = slice(500, 800)
    assert np.nanmean(part.losses[after]) < np.nanmean(whole.losses[after])
    assert len(part.decisions) <= len(whole.decisions)


@pytest.mark.parametrize("late", [0, 40, 150])
def test_what_has_changed_is_counted_in_labelled_records_however_late(late: int) -> None:
    """Ranges reach back to the features of each label that counts: enough of them always join."""
    profile = profile_of(training={"records": 300, "initial": 100, "min_records": 50})
    data = stream_of(profile, n=1000)
    name = "reducible(5, min_records=20, min_window=0.2)"
    outcome = run(profile, data, policies=[name], delay_ms=late * MINUTE)
    decisions = outcome.tracks[name].decisions[1:]
    assert len(decisions) > 1
    assert min(one.records for one in decisions) >= 50
    assert "failed" not in {one.outcome for one in decisions}


WINDOWS = {"count": COUNT, "cycle": CYCLE}
CASES: dict[str, dict[str, Any]] = {
    "count": {},
    "cycle": {"window": CYCLE},
    "binary": {"task": "binary", "loss": "log_loss"},
    "late": {"late": 0.4},
    "late-cycle": {"late": 0.4, "window": CYCLE, "jitter": 3.0},
    "missing": {"missing": 0.1, "late": 0.2},
}


@pytest.mark.parametrize("case", CASES)
def test_the_pieces_of_the_replay_do_not_matter(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = dict(CASES[case])
    shape = {name: more.pop(name) for name in ("late", "jitter", "missing") if name in more}
    profile = profile_of(**more)
    data = stream_of(profile, **shape)
    found = []
    for chunk, ahead in [(512, 2048), (1, 1), (37, 7), (10_000, 10_000)]:
        monkeypatch.setattr(module, "CHUNK", chunk)
        monkeypatch.setattr(module, "AHEAD", ahead)
        found.append(bits(run(profile, data)))
    assert found[1] == found[0]
    assert found[2] == found[0]
    assert found[3] == found[0]


def partitioned(profile: Profile, seeds: tuple[int, ...] = (1, 2, 3), n: int = 250) -> StreamData:
    """Three partitions that arrive in event time; the second begins late and ends early."""
    from driftloop.records import Columns  # noqa: PLC0415

    parts = [stream_of(profile, seed=s, n=n, partition=p).columns for p, s in enumerate(seeds)]
    parts[1].ts = parts[1].ts + 40 * MINUTE
    both = Columns.concatenate(parts)
    order = np.lexsort((both.offsets, both.partitions, both.ts))
    return StreamData("a", both.select(order), partitions=len(parts))


def test_the_pieces_do_not_matter_either_with_several_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profile = profile_of(window=CYCLE)
    data = partitioned(profile)
    found = []
    for chunk in (512, 1, 100):
        monkeypatch.setattr(module, "CHUNK", chunk)
        found.append(run(profile, data))
    assert sum(len(t.decisions) for t in found[0].tracks.values()) > 10
    assert bits(found[1]) == bits(found[0])
    assert bits(found[2]) == bits(found[0])


def test_the_pieces_do_not_matter_where_features_decide_before_any_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Labels of a version come late, so its scores and numbers decide first."""
    monkeypatch.setattr(standing, "REFERENCE_ROWS", 100)
    profile = profile_of(task="binary", loss="log_loss", join_capacity=1000)
    data = stream_of(profile, n=900, drift_at=900)
    moved = np.arange(900) >= 700
    data.columns.x[moved] += 3.0
    policies = ['any(criteria=["ks", "score-ks"], alpha_per_year=100, min_records=20)']
    found = []
    for chunk in (512, 1, 170):
        monkeypatch.setattr(module, "CHUNK", chunk)
        found.append(run(profile, data, policies=policies, delay_ms=500.0 * MINUTE))
    (track,) = found[0].tracks.values()
    assert any("score-ks" in {g.criterion for g in d.request.grounds} for d in track.decisions)
    assert [bits(one) for one in found[1:]] == [bits(found[0])] * 2


def test_recorded_partitions_decide_as_the_monitors_parts_do() -> None:
    profile = profile_of(window=CYCLE, training={"records": 150})
    data = partitioned(profile)
    plan = plan_of(profile, recorded=True)
    (outcome,) = simulate(plan, [data])
    requests = 0
    for name, own in plan.profiles.items():
        played = Played(own, "a")
        for p in range(3):  # however the partitions are read
            played.records(data.columns.select(data.columns.partitions == p), partitions=3)
        expected = [e.id for e in played.of(RetrainRequested)]
        assert [d.request.id for d in outcome.tracks[name].decisions] == expected
        requests += len(expected)
    assert requests >= 4


def test_a_latency_delays_the_model_not_the_decision() -> None:
    profile = profile_of()
    data = stream_of(profile, n=500)
    policies = ["periodic(200, min_records=20)"]
    at_once, later = (
        run(profile, data, policies=policies, latency_ms=ms) for ms in (0.0, 20.0 * MINUTE)
    )
    (quick,), (slow,) = at_once.tracks.values(), later.tracks.values()
    first = [t.decisions[0].request.decided_at for t in (quick, slow)]
    assert first[0] == first[1]
    begun = [int(np.flatnonzero(np.isfinite(t.losses))[0]) for t in (quick, slow)]
    assert at_once.ts[begun[0]] > first[0]
    assert later.ts[begun[1]] >= first[1] + 20 * MINUTE
    assert later.ts[begun[1] - 1] < first[1] + 20 * MINUTE
    # The second model: until it comes, the first one predicts.
    change = int(np.searchsorted(later.ts, slow.decisions[1].request.decided_at + 20 * MINUTE))
    only_first = run(profile, data, policies=["never"], latency_ms=20.0 * MINUTE)
    (never,) = only_first.tracks.values()
    np.testing.assert_array_equal(slow.losses[:change], never.losses[:change])
    assert (slow.losses[change:] != never.losses[change:]).mean() > 0.9


def test_a_delay_of_labels_holds_decisions_back_by_as_much() -> None:
    profile = profile_of()
    data = stream_of(profile, n=500)
    plain, held = (run(profile, data, delay_ms=ms) for ms in (0.0, 60.0 * MINUTE))
    assert len(held.ts) == len(plain.ts) == 500
    np.testing.assert_array_equal(held.ts, plain.ts)  # of the predictions
    for name, track in plain.tracks.items():
        theirs = held.tracks[name]
        assert theirs.decisions[0].request.decided_at == pytest.approx(
            track.decisions[0].request.decided_at + 60 * MINUTE
        )
        begun = [int(np.flatnonzero(np.isfinite(t.losses))[0]) for t in (track, theirs)]
        # A record a minute. The last label comes right before a prediction, not with its own.
        assert begun[1] == begun[0] + 60 - 1


def test_late_labels_in_the_data_are_joined_as_a_delay_is() -> None:
    profile = profile_of()
    data = stream_of(profile, n=400)
    arrived = delayed(data.columns, 30.0 * MINUTE)
    by_plan = run(profile, data, delay_ms=30.0 * MINUTE)
    in_data = run(profile, StreamData("a", arrived.columns))
    for name, track in by_plan.tracks.items():
        assert decided(track) == decided(in_data.tracks[name])
        np.testing.assert_array_equal(track.losses, in_data.tracks[name].losses)


def test_recorded_predictions_are_judged_as_they_are_and_nothing_is_trained() -> None:
    """The decisions are those of the monitor's own parts over the same records."""
    profile = profile_of(training={"records": 150})
    data = stream_of(profile, versions=(0, 400))
    plan = plan_of(profile, recorded=True)
    (outcome,) = simulate(plan, [data])
    requests = 0
    for name, own in plan.profiles.items():
        played = Played(own, "a").records(data.columns)
        expected = [e.id for e in played.events if type(e).__name__ == "RetrainRequested"]
        # The event's id holds no name of a profile: it is the same for both.
        assert [d.request.id for d in outcome.tracks[name].decisions] == expected
        assert {d.outcome for d in outcome.tracks[name].decisions} <= {""}
        requests += len(expected)
        squared = np.abs(data.columns.y - data.columns.y_pred)
        np.testing.assert_allclose(outcome.tracks[name].losses, squared)
    assert requests >= 6


def test_a_records_own_loss_counts_where_it_carries_one() -> None:
    profile = profile_of(training={"records": 150})
    data = stream_of(profile)
    data.columns.loss[::2] = 42.0
    (outcome,) = simulate(plan_of(profile, ["never"], recorded=True), [data])
    (track,) = outcome.tracks.values()
    assert (track.losses[::2] == 42.0).all()
    assert (track.losses[1::2] != 42.0).all()


def test_streams_together_and_alone_come_out_alike() -> None:
    profile = profile_of()
    data = [stream_of(profile, name, seed) for seed, name in enumerate("abc")]
    plan = plan_of(profile)
    together = [bits(one) for one in simulate(plan, data)]
    assert together == [bits(one) for d in data for one in simulate(plan, [d])]


def test_a_run_stops_at_each_request_until_it_is_answered() -> None:
    profile = profile_of()
    (one,) = plan_of(profile, ["never"]).profiles.values()
    columns = stream_of(profile).columns
    simulation = Simulation("a", "p", one, Arrivals(columns, np.arange(600), 0))
    request = next(simulation.run())
    assert request.reason == "initial"
    rows = simulation.training_records(request)
    assert len(rows) == 100
    assert rows.offsets.max() < simulation.position <= 512


@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy_learns_its_first_model_from_the_same_records(policy: str) -> None:
    profile = profile_of()
    outcome = run(profile, stream_of(profile), policies=[policy])
    (track,) = outcome.tracks.values()
    assert track.decisions[0].request.reason == "initial"
    assert track.decisions[0].request.data == ["a:0:0:99"]
    assert (policy == "never") == (len(track.decisions) == 1)


def test_with_cycles_a_latency_counts_from_the_record_that_closes_the_window() -> None:
    profile = profile_of(window={**CYCLE, "lateness": "30m"})
    data = stream_of(profile, n=500)
    outcome = run(profile, data, policies=["always(min_records=20)"], latency_ms=20.0 * MINUTE)
    decision = next(d for t in outcome.tracks.values() for d in t.decisions[1:] if d.outcome)
    end = decision.request.decided_at
    (never,) = run(profile, data, policies=["never"], latency_ms=20.0 * MINUTE).tracks.values()
    (track,) = outcome.tracks.values()
    changed = int(np.flatnonzero(np.nan_to_num(track.losses) != np.nan_to_num(never.losses))[0])
    assert outcome.ts[changed] - end >= (30 + 20) * MINUTE


def test_a_measured_cost_follows_what_the_trainings_of_the_backtest_took() -> None:
    """A retrain is due by the median of the newest five, of which the expected is the first."""
    policy = (
        "reducible(min_records=20, price={gpu_second=1.0, seconds=1e-9, loss=1.0, measured=true})"
    )
    profile = profile_of()
    outcome = run(profile, stream_of(profile, n=900), policies=[policy])
    (track,) = outcome.tracks.values()
    assert len(track.decisions) > NEWEST + 1
    seconds = [1e-9]
    for decision in track.decisions:
        for ground in decision.request.grounds:
            if ground.criterion == "reducible":
                taken = f"{TAKES}{median_low(seconds[-NEWEST:]):.4g} s ("
                assert taken in ground.detail
        seconds.append(decision.seconds)
    assert seconds[-1] > 0
