"""Seconds a day: by profile, by UTC day, rebuilt from outcomes."""

from __future__ import annotations

from driftloop.messages import CandidateTrained, Cost
from driftloop.settings import Profile, Settings, TrainerBudget, TrainerSettings
from driftloop.trainer.budget import Budget, next_day_ms
from driftloop.trainer.worth import Worth
from tests.unit.trainer.requests import DAY_MS, NOON, finished, request


def test_a_profile_of_its_own_limit_and_one_without() -> None:
    budget = Budget(TrainerBudget(profiles={"numbers": 10.0}))
    budget.spend("numbers", 4.0, NOON)
    budget.spend("curves", 400.0, NOON)
    assert budget.left("numbers", NOON) == 6.0
    assert budget.left("curves", NOON) is None
    both = Budget(TrainerBudget(seconds_per_day=3.0, profiles={"numbers": 10.0}))
    assert (both.left("numbers", NOON), both.left("curves", NOON)) == (10.0, 3.0)


def test_it_begins_anew_with_the_utc_day_and_never_falls_below_nothing() -> None:
    budget = Budget(TrainerBudget(seconds_per_day=5.0))
    budget.spend("numbers", 9.0, NOON)
    midnight = next_day_ms(NOON)
    assert midnight == NOON + DAY_MS // 2
    assert budget.left("numbers", midnight - 1) == 0.0
    assert budget.left("numbers", midnight) == 5.0
    assert next_day_ms(midnight) == midnight + DAY_MS


def test_it_is_rebuilt_from_outcomes_and_a_candidate_counts_once() -> None:
    """A candidate was trained when its trial began; the outcome at its end repeats the cost."""
    settings = Settings(
        profiles={"numbers": Profile(topics="streams..+")},
        trainer=TrainerSettings(budget=TrainerBudget(seconds_per_day=10.0)),
    )
    worth = Worth(settings)
    worth.take(finished(request("r1"), seconds=2.0))
    worth.take(finished(request("r2"), "rejected", seconds=1.0))
    worth.take(finished(request("r3"), "superseded"))
    worth.take(finished(request("r4"), seconds=5.0, at=NOON - DAY_MS))
    one = request("r5")
    worth.take(
        CandidateTrained(
            id="c", stream=one.stream, profile="numbers", profile_hash="p", version="v2",
            sequence=2, parent_version="v1", parent_uri="", parent_sha256="", kind="linear",
            uri="", sha256="", format="", champion=None, challenger={}, data=[],
            cost=Cost(seconds=3.0, records=10, device="cpu"), request_id="r5", trained_at=NOON,
            promised=1.0,
        )
    )  # fmt: skip
    assert worth.budget.left("numbers", NOON) == 4.0
    worth.take(finished(one, "rejected", reason="canary-worse", seconds=3.0, at=NOON + DAY_MS))
    assert worth.budget.left("numbers", NOON) == 4.0
    assert worth.budget.left("numbers", NOON + DAY_MS) == 10.0
    assert worth.ledger.ratio(one.stream, "numbers") < 1.0
