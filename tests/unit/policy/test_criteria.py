"""The criteria on closed windows: what is tested, accumulated, begun anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from driftloop.detection.outputs import VersionChanged
from driftloop.detection.windows import Part
from driftloop.messages import TrainingFinished
from driftloop.policy import StreamTester, Tested
from driftloop.settings import Features, Policy, Profile
from driftloop.statistics.levels import alpha_for_span
from tests.streams import STREAM
from tests.unit.policy.windows import features, losses


def make_state(**policy: Any) -> StreamTester:
    return StreamTester(
        Profile(
            policy=Policy(**policy),
            features=Features(numeric=["a", "b"]),
            window={"kind": "count", "records": 100},
        )
    )


def judged(state: StreamTester, window: Any) -> Tested:
    found = state.test(window)
    assert isinstance(found, Tested)
    return found


def test_accumulated_saving_is_compared_with_the_cost_in_mean_losses_of_the_first_window() -> None:
    state = make_state(cost=2.5)
    first = judged(state, losses([2.0] * 10, [1.9] * 10))
    assert first.metrics == {
        "loss": 2.0,
        "corrected_loss": pytest.approx(1.9),
        "reference_loss": 2.0,
        "baseline_loss": None,
        "accumulated": pytest.approx(1.0),
        "threshold": 5.0,
    }
    assert not first.retrain
    second = judged(state, losses([3.0] * 10, [2.6] * 10, 1))
    assert second.metrics["accumulated"] == pytest.approx(5.0)
    assert second.metrics["reference_loss"] == 2.0
    third = judged(state, losses([3.0] * 10, [2.9] * 10, 2))
    assert third.retrain
    (ground,) = (g for g in third.results if g.criterion == "reducible")
    assert (ground.statistic, ground.threshold) == (pytest.approx(6.0), 5.0)
    assert (ground.rejected, ground.n, ground.effect) == (True, 10, pytest.approx(0.1))
    assert third.saving == pytest.approx(1.0)


def test_the_accumulated_saving_never_falls_below_nothing() -> None:
    state = make_state(cost=2.0)
    judged(state, losses([1.0] * 10, [5.0] * 10))
    assert judged(state, losses([1.0] * 10, [0.9] * 10, 1)).metrics["accumulated"] == (
        pytest.approx(1.0)
    )


def test_the_cost_may_be_given_in_units_of_loss() -> None:
    assert judged(make_state(cost_loss=7.0), losses([1.0], [1.0])).metrics["threshold"] == 7.0


def test_a_first_window_without_any_error_makes_no_retrain_free() -> None:
    state = make_state(cost=5.0)
    judged(state, losses([0.0] * 20, [0.0] * 20))
    noisy = judged(state, losses([0.0] * 19 + [1.0], [0.0] * 19 + [0.5], 1))
    assert noisy.metrics["threshold"] == pytest.approx(0.25)
    assert noisy.metrics["reference_loss"] == pytest.approx(0.05)


def test_a_new_version_begins_all_evidence_anew() -> None:
    state = make_state(cost=100.0)
    for index in range(3):
        judged(state, losses([2.0] * 10, [1.0] * 10, index))
    change = VersionChanged("v2")
    assert state.test(change) is change
    fresh = judged(state, losses([4.0] * 10, [3.9] * 10, 3))
    assert fresh.metrics["accumulated"] == pytest.approx(1.0)
    assert fresh.metrics["reference_loss"] == 4.0
    assert [g.criterion for g in fresh.results] == ["reducible"]


@pytest.mark.parametrize(
    ("outcome", "left"), [("rejected", 1.0), ("failed", 11.0), ("superseded", 11.0)]
)
def test_a_rejected_challenger_shows_that_what_was_accumulated_cannot_be_saved(
    outcome: Any, left: float
) -> None:
    state = make_state(cost=100.0)
    judged(state, losses([2.0] * 10, [1.0] * 10))
    finished = TrainingFinished(
        id="t", stream=STREAM, profile="p", request_id="r", outcome=outcome, finished_at=0
    )
    assert state.test(finished) is finished
    after = judged(state, losses([2.0] * 10, [1.9] * 10, 1))
    assert after.metrics["accumulated"] == pytest.approx(left)


def test_by_test_a_windows_own_saving_must_be_significant_at_its_level() -> None:
    rng = np.random.default_rng(0)
    state = make_state(mode="test", alpha_per_year=1.0)
    base = rng.normal(1, 0.1, 100)
    none = judged(state, losses(base, base - rng.normal(0, 0.1, 100)))
    assert not none.retrain
    saved = judged(state, losses(base, base - rng.normal(0.2, 0.1, 100), 1))
    assert saved.retrain
    ground = saved.results[0]
    assert ground.threshold == alpha_for_span(1.0, 86_400)
    assert ground.p_value is not None
    assert ground.p_value <= ground.threshold
    few = judged(state, losses(base[:5], base[:5] - 1.0, 2))
    assert not few.retrain
    assert "fewer than 10" in few.results[0].detail


def test_mlma_tests_against_both_references_at_half_the_level_each() -> None:
    rng = np.random.default_rng(1)
    state = make_state(kind="mlma", alpha_per_year=1.0)
    assert judged(state, losses(rng.normal(1, 0.3, 100))).results == []
    calm = judged(state, losses(rng.normal(1, 0.3, 100), index=1))
    assert [g.criterion for g in calm.results] == ["mlma-adaptive", "mlma-anchored"]
    assert {g.threshold for g in calm.results} == {alpha_for_span(1.0, 86_400) / 2}
    assert calm.results[0].reference == [f"{STREAM}:0:0:99"]
    assert not calm.retrain
    worse = judged(state, losses(rng.normal(2, 0.3, 100), index=2))
    assert worse.retrain
    assert worse.saving == pytest.approx(100.0, rel=0.2)


def test_under_the_default_policy_mlmas_verdict_is_evidence_only() -> None:
    rng = np.random.default_rng(2)
    state = make_state()
    for index, level in enumerate([1.0, 1.0, 5.0]):
        base = rng.normal(level, 0.3, 100)
        last = judged(state, losses(base, base, index))
    assert any(g.rejected for g in last.results if g.criterion.startswith("mlma"))
    assert not last.retrain


def test_records_with_nothing_but_a_loss_are_judged_by_that_loss_under_the_default_policy() -> None:
    state = make_state(alpha_per_year=1.0)
    random = np.random.default_rng(3)
    judged(state, losses(random.normal(1.0, 0.2, 100)))
    calm = judged(state, losses(random.normal(1.0, 0.2, 100), index=1))
    worse = judged(state, losses(random.normal(3.0, 0.2, 100), index=2))
    assert (calm.retrain, worse.retrain) == (False, True)
    assert [ground.criterion for ground in worse.results] == ["mlma-adaptive", "mlma-anchored"]


@pytest.mark.parametrize("kind", ["periodic", "never"])
def test_other_policies_test_no_losses_and_still_tell_their_mean(kind: Any) -> None:
    found = judged(make_state(kind=kind, every="1d"), losses([1.0, 3.0]))
    assert found.results == []
    assert found.metrics["loss"] == 2.0


def test_a_window_without_any_loss_says_nothing() -> None:
    found = judged(make_state(), losses([np.nan] * 5))
    assert (found.retrain, found.results, found.metrics["loss"]) == (False, [], None)


@pytest.mark.parametrize(("rows", "windows"), [(50, 6), (100, 4), (400, 3)])
def test_features_are_compared_with_a_versions_first_windows(rows: int, windows: int) -> None:
    """Four of them and 300 rows, or a thousand rows."""
    state, rng = make_state(), np.random.default_rng(4)
    for index in range(windows):
        assert not judged(state, features(rng.normal(size=(rows, 2)), index)).results
    assert judged(state, features(rng.normal(size=(rows, 2)), windows)).results


def test_a_shifted_feature_is_told_from_one_that_is_not() -> None:
    rng = np.random.default_rng(3)
    state = make_state()
    for index in range(4):
        assert judged(state, features(rng.normal(size=(100, 2)), index)).results == []
    same = judged(state, features(rng.normal(size=(100, 2)), 10))
    assert [g.detail for g in same.results] == ["a", "b"]
    assert not same.shifted
    x = rng.normal(size=(100, 2))
    x[:, 1] += 2.0
    x[:7, 0] = np.nan
    moved = judged(state, features(x, 11))
    assert moved.shifted
    assert [(g.rejected, g.n) for g in moved.results] == [(False, 93), (True, 100)]
    assert moved.metrics == {"missing_rate": pytest.approx(0.035)}
    assert not moved.retrain


def test_with_both_the_accumulated_saving_must_exceed_the_cost_and_be_significant() -> None:
    rng = np.random.default_rng(1)
    state = make_state(mode="both", cost=30.0, alpha_per_year=1.0)
    loss = 1.0 + 0.1 * rng.standard_normal((6, 100))
    asked = []
    for index, own in enumerate(loss):
        found = judged(state, losses(own, own - 0.1 - 0.05 * rng.standard_normal(100), index))
        asked.append(found.retrain)
        (own_ground,) = (g for g in found.results if g.criterion == "reducible")
        assert own_ground.n == 100 * (index + 1)  # all since the saving was nil
        assert found.p_value == (own_ground.p_value if index >= 3 else 1.0)
    assert asked[:2] == [False, False]  # significant, but 10 and 20 do not pay 30
    assert asked[4:] == [True, True]


def test_with_both_a_dear_saving_that_may_be_chance_asks_for_nothing() -> None:
    """One record brings it all: S is far above the cost, the mean no more than its error."""
    d = np.zeros(100)
    d[50] = 50.0
    rng = np.random.default_rng(2)
    noise = 0.01 * rng.standard_normal(100)
    asked = {}
    for mode in ("accumulate", "both"):
        state = make_state(mode=mode, cost=5.0)
        asked[mode] = judged(state, losses(np.ones(100), 1.0 - d + noise)).retrain
    assert asked == {"accumulate": True, "both": False}


def test_with_both_a_rejected_challenger_takes_the_savings_along() -> None:
    state = make_state(mode="both", cost=100.0)
    judged(state, losses([2.0] * 50, [1.0] * 50))
    state.test(
        TrainingFinished(
            id="t", stream=STREAM, profile="p", request_id="r", outcome="rejected", finished_at=0
        )
    )
    after = judged(state, losses([2.0] * 50, [1.9] * 50, 1))
    (own,) = (g for g in after.results if g.criterion == "reducible")
    assert own.n == 50


def test_with_both_the_savings_are_bounded_and_dropped_when_nil() -> None:
    state = make_state(mode="both", cost=1e9)
    rng = np.random.default_rng(3)
    for index in range(6):
        found = judged(state, losses(np.ones(1000), 0.5 + 0.01 * rng.random(1000), index))
    assert next(g for g in found.results if g.criterion == "reducible").n == 5000
    judged(state, losses(np.ones(1000), np.full(1000, 10.0), 6))
    after = judged(state, losses(np.ones(100), 0.5 + 0.01 * rng.random(100), 7))
    assert next(g for g in after.results if g.criterion == "reducible").n == 100


def test_what_is_trained_on_begins_where_the_saving_began() -> None:
    state = make_state(cost=25.0, min_window=0.1)
    judged(state, long(losses([1.0] * 50, [1.2] * 50)))
    risen = [judged(state, long(losses([1.0] * 50, [0.8] * 50, k))) for k in (1, 2, 3)]
    assert [one.retrain for one in risen] == [False, False, True]
    assert [one.training for one in risen] == [
        [f"{STREAM}:0:{begin}:399"] for begin in (350, 300, 250)
    ]
    (own,) = (g for g in risen[-1].results if g.criterion == "reducible")
    assert "began 150 labelled records ago: trained on the newest 150 of 400" in own.detail


@pytest.mark.parametrize(
    ("policy", "begin"), [({}, None), ({"min_window": 0.4}, 200), ({"min_window": 0.01}, 350)]
)
def test_a_share_of_the_window_and_the_least_records_are_always_trained_on(
    policy: dict[str, Any], begin: int | None
) -> None:
    """`training.min_records` is 50 of 400, and whole parts of 50 are taken."""
    state = make_state(cost=1.0, **policy)
    found = judged(state, long(losses([1.0] * 20, [0.8] * 20), parts=policy != {}))
    assert found.retrain
    assert found.training == (None if begin is None else [f"{STREAM}:0:{begin}:399"])


def test_a_rejected_challenger_lets_the_saving_begin_anew() -> None:
    state = make_state(cost=1000.0, min_window=0.01)
    judged(state, long(losses([1.0] * 200, [0.8] * 200)))
    state.test(
        TrainingFinished(
            id="t", stream=STREAM, profile="p", request_id="r", outcome="rejected", finished_at=0
        )
    )
    found = judged(state, long(losses([1.0] * 60, [0.8] * 60, 1)))
    assert found.training == [f"{STREAM}:0:300:399"]


def test_a_window_that_cannot_be_corrected_is_a_part_of_the_change() -> None:
    state = make_state(cost=1000.0, min_window=0.01)
    judged(state, long(losses([1.0] * 50, [0.8] * 50)))
    judged(state, long(losses([1.0] * 50, None, 1)))
    assert judged(state, long(losses([1.0] * 50, [0.8] * 50, 2))).training == [
        f"{STREAM}:0:250:399"
    ]


def long(window: Any, *, parts: bool = True) -> Any:
    """The window, of a stream with 400 labelled records to train on, in parts of 50."""
    found = [Part(50, {0: (at, at + 49)}) for at in range(0, 400, 50)]
    return replace(
        window, labelled=400, training=[f"{STREAM}:0:0:399"], parts=found if parts else []
    )
