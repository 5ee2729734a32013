"""The cost of a retrain follows what the stream's own trainings took, where it is measured."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from driftloop.detection.outputs import Counters, Ordered, VersionChanged
from driftloop.messages import Cost, Ground, TrainingFinished
from driftloop.policy import StreamTester, Tested
from driftloop.policy.cost import RetrainCost
from driftloop.settings import Features, Policy, Profile
from tests.streams import STREAM, command
from tests.unit.policy.windows import losses

EXPECTED = 10.0
PRICE = {"gpu_second": 0.5, "seconds": EXPECTED, "loss": 2.0, "measured": True}


def outcome(seconds: float | None, outcome: Any = "published") -> TrainingFinished:
    cost = None if seconds is None else Cost(seconds=seconds, records=10, device="cpu")
    return TrainingFinished(
        id="t", stream=STREAM, profile="p", request_id="r", outcome=outcome, finished_at=0,
        cost=cost,
    )  # fmt: skip


def make_state(**policy: Any) -> StreamTester:
    return StreamTester(
        Profile(
            policy=Policy(**{"price": PRICE, **policy}),
            features=Features(numeric=["a", "b"]),
            window={"kind": "count", "records": 100},
        )
    )


def window(state: StreamTester, index: int, saved: float = 0.1) -> tuple[Tested, Ground]:
    found = state.test(losses([2.0] * 10, [2.0 - saved] * 10, index))
    assert isinstance(found, Tested)
    return found, next(one for one in found.results if one.criterion == "reducible")


@pytest.mark.parametrize(
    ("took", "seconds", "words"),
    [
        ([], 10.0, "a retrain takes 10 s (the 10 s expected)"),
        ([2.0], 2.0, "a retrain takes 2 s (median of the 10 s expected and 1 training)"),
        ([99.0], 10.0, "a retrain takes 10 s (median of the 10 s expected and 1 training)"),
        ([99.0, 12.0], 12.0, "a retrain takes 12 s (median of the 10 s expected and 2 trainings)"),
        ([1, 2, 3, 4.0], 3.0, "a retrain takes 3 s (median of the 10 s expected and 4 trainings)"),
        ([1, 2, 3, 4, 5.0], 3.0, "a retrain takes 3 s (median of its newest 5 trainings)"),
        ([9, 9, 9, 1, 2, 3, 4, 5.0], 3.0, "a retrain takes 3 s (median of its newest 5 trainings)"),
    ],
)
def test_the_cost_rests_on_the_newest_trainings_and_at_first_on_what_is_expected(
    took: list[float], seconds: float, words: str
) -> None:
    cost = RetrainCost(Policy(price=PRICE))
    for one in took:
        cost.take(outcome(one))
    assert (cost.seconds, cost.words) == (seconds, words)
    assert cost.in_loss == pytest.approx(0.5 * seconds / 2.0)


def test_one_training_that_hung_never_makes_the_next_too_dear() -> None:
    """Nor two among four; the estimate never leaves the range of what the others took."""
    rng = np.random.default_rng(1)
    cost = RetrainCost(Policy(price=PRICE))
    for i in range(60):
        cost.take(outcome(3600.0 if i % 3 == 1 else float(rng.uniform(8.0, 12.0))))
        assert cost.seconds is not None
        assert cost.seconds <= 12.0


@pytest.mark.parametrize("kind", ["published", "rejected", "superseded", "failed"])
def test_whatever_came_of_a_training_it_was_paid_for(kind: Any) -> None:
    cost = RetrainCost(Policy(price=PRICE))
    cost.take(outcome(2.0, kind))
    assert cost.seconds == 2.0


def test_an_outcome_without_a_training_says_nothing_of_seconds() -> None:
    cost = RetrainCost(Policy(price=PRICE))
    cost.take(outcome(None, "superseded"))
    cost.take(outcome(0.0))
    assert cost.seconds == EXPECTED


@pytest.mark.parametrize(
    ("policy", "in_loss"),
    [
        ({"price": {**PRICE, "measured": False}}, 2.5),
        ({"price": None, "cost_loss": 7.0}, 7.0),
        ({"price": None}, None),
    ],
)
def test_a_cost_that_is_set_stays_as_it_is(policy: dict[str, Any], in_loss: float | None) -> None:
    cost = RetrainCost(Policy(**policy))
    cost.take(outcome(2.0))
    assert (cost.seconds, cost.words, cost.in_loss) == (None, "", in_loss)


def test_a_window_is_compared_with_the_cost_of_its_moment_and_says_what_it_rests_on() -> None:
    state = make_state()
    found, ground = window(state, 0)
    assert (found.metrics["threshold"], ground.threshold, found.retrain) == (2.5, 2.5, False)
    assert ground.detail.endswith("; a retrain takes 10 s (the 10 s expected)")
    state.test(outcome(4.0))
    found, ground = window(state, 1)
    assert (found.metrics["threshold"], ground.threshold, found.retrain) == (1.0, 1.0, True)
    assert "4 s (median of the 10 s expected and 1 training)" in ground.detail


def test_a_refused_challenger_takes_the_savings_along_and_leaves_its_seconds() -> None:
    state = make_state()
    window(state, 0, 0.2)
    state.test(outcome(4.0, "rejected"))
    found, ground = window(state, 1, 0.05)
    assert ground.statistic == pytest.approx(0.5)
    assert "a retrain takes 4 s (" in ground.detail
    assert not found.retrain


@pytest.mark.parametrize("how", ["version", "reset", "restart"])
def test_what_was_measured_outlives_versions_resets_and_restarts(how: str) -> None:
    state = make_state()
    window(state, 0)
    state.test(outcome(4.0))
    if how == "version":
        state.test(VersionChanged("v2"))
    elif how == "reset":
        state.test(Ordered(command("reset-reference"), [], 0, None, 0, Counters()))
    else:
        state = pickle.loads(pickle.dumps(state))  # noqa: S301  # our own bytes
    assert window(state, 1)[1].threshold == 1.0
    state.test(outcome(6.0))
    assert window(state, 2)[1].threshold == 1.5


def test_by_test_the_level_decides_and_no_seconds_are_told() -> None:
    state = make_state(mode="test")
    state.test(outcome(4.0))
    found, ground = window(state, 0)
    assert found.metrics["threshold"] == 1.0
    assert "a retrain takes" not in ground.detail


def test_the_accepted_rise_is_part_of_the_hypothesis_and_stays_by_what_is_expected() -> None:
    policy = Policy(price=PRICE, every_records=100)
    assert policy.effective_tolerance == pytest.approx(0.025)
    state = make_state(every_records=100)
    before = window(state, 0)[1]
    state.test(outcome(4.0))
    assert window(state, 0)[1].p_value == before.p_value
