"""Which policy is chosen, rule by rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftloop.backtest.choice import choose, pays
from driftloop.backtest.names import family_and_threshold
from driftloop.backtest.result import PolicyScore, Result


def score(
    name: str, loss: float | None, retrains: float, *, half: float = 0.1, **more: Any
) -> PolicyScore:
    """A policy beside a ``never`` of loss 10, with an interval of ± `half`."""
    family, threshold = family_and_threshold(name)
    saved = None if loss is None else 10.0 - loss
    return PolicyScore(
        name=name,
        family=family,
        threshold=threshold,
        loss=loss,
        saved=saved,
        saved_low=None if saved is None else saved - half,
        saved_high=None if saved is None else saved + half,
        retrains=round(retrains * 10),
        retrains_per_stream=retrains,
        **more,
    )


def result(*policies: PolicyScore, **more: Any) -> Result:
    """A result of these policies."""
    values: dict[str, Any] = {
        "version": "0", "created_at": 0, "data": "d", "task": "regression", "loss": "absolute",
        "model": "linear", "records": 10_000, "first_ts": 0, "last_ts": 10**10,
    }  # fmt: skip
    return Result(policies=list(policies), **{**values, **more})


NEVER, ALWAYS = score("never", 10.0, 0, half=0.0), score("always", 6.0, 50)


def chosen(*policies: PolicyScore, **more: Any) -> tuple[str, str] | None:
    found = choose(result(*policies, **more))
    return None if found is None else (found.policy.name, found.rule)


def test_the_fewest_retrains_that_reach_95_percent_of_the_gain() -> None:
    policies = [
        score("periodic(7d)", 6.1, 30),
        score("reducible(5)", 6.1, 16),
        score("reducible(20)", 6.2, 8),
        score("reducible(80)", 6.21, 4),
    ]
    assert chosen(NEVER, ALWAYS, *policies) == ("reducible(20)", "gain")


def test_where_a_policy_gains_more_than_always_its_gain_is_the_measure() -> None:
    better = score("reducible(20, min_window=0.5)", 5.0, 9)
    less = score("reducible(50)", 6.1, 7)
    assert chosen(NEVER, ALWAYS, less) == ("reducible(50)", "gain")
    assert chosen(NEVER, ALWAYS, less, better) == ("reducible(20, min_window=0.5)", "gain")
    dearer = score("periodic(1d)", 5.0, 60)  # for more retrains than always has, it is none
    assert chosen(NEVER, ALWAYS, less, dearer) == ("reducible(50)", "gain")


def test_of_nearly_equal_retrains_the_simplest_policy() -> None:
    policies = [score("vote(2)", 6.05, 8.0), score("periodic(30d)", 6.1, 8.3)]
    assert chosen(NEVER, ALWAYS, *policies) == ("periodic(30d)", "gain")
    assert chosen(NEVER, ALWAYS, policies[0], score("periodic(30d)", 6.1, 8.6)) == (
        "vote(2)",
        "gain",
    )


def test_where_none_reaches_it_the_knee_of_the_frontier() -> None:
    policies = [
        score("reducible(20)", 6.5, 8),  # .875 - .16
        score("reducible(80)", 8.0, 2),  # .5 - .04
        score("periodic(7d)", 6.3, 25),  # .925 - .5
    ]
    assert chosen(NEVER, ALWAYS, *policies) == ("reducible(20)", "knee")


def test_always_where_everything_else_is_worse_than_its_share() -> None:
    assert chosen(NEVER, ALWAYS, score("mlma(1)", 9.5, 30)) == ("always", "knee")


@pytest.mark.parametrize(
    "always",
    [
        score("always", 9.8, 50, half=0.3),  # may be chance
        score("always", 9.95, 50, half=0.01),  # sure, but less than 1 %
        score("always", 11.0, 50),  # worse
        score("always", None, 50),
    ],
)
def test_never_where_always_saves_nothing_to_speak_of(always: PolicyScore) -> None:
    assert chosen(NEVER, always, score("reducible(20)", 9.97, 3, half=0.01)) == (
        "never",
        "nothing",
    )


def test_prices_do_not_make_a_retrain_pay_that_saves_nothing() -> None:
    cheap = score("mlma(1)", 9.99, 3, cost=1.0)
    never = msgspec.structs.replace(NEVER, cost=2.0)
    assert chosen(never, cheap) == ("never", "nothing")


def test_another_policy_takes_the_place_of_an_always_that_harms() -> None:
    policies = [score("reducible(20)", 8.0, 6), score("reducible(80)", 8.05, 3)]
    assert chosen(NEVER, score("always", 10.5, 50), *policies) == ("reducible(80)", "gain")


def test_the_best_of_many_must_be_surer_than_one_alone() -> None:
    lucky = score("mlma(1)", 9.8, 6, half=0.17)
    assert pays(lucky, NEVER)
    assert not pays(lucky, NEVER, tries=10)
    others = [score(f"reducible({n})", 10.0, 5) for n in range(1, 10)]
    assert chosen(NEVER, lucky, *others) == ("never", "nothing")


def test_with_prices_the_least_cost() -> None:
    policies = [
        score("reducible(20)", 6.2, 8, cost=70.0),
        score("reducible(80)", 6.6, 4, cost=66.0),
        score("periodic(60d)", 6.7, 5, cost=66.2),
    ]
    never = msgspec.structs.replace(NEVER, cost=100.0)
    always = msgspec.structs.replace(ALWAYS, cost=90.0)
    assert chosen(never, always, *policies) == ("periodic(60d)", "cost")
    assert chosen(never, always, *policies[:2]) == ("reducible(80)", "cost")


def test_without_never_the_fewest_retrains_are_the_measure() -> None:
    plain = [
        msgspec.structs.replace(p, saved=None, saved_low=None)
        for p in (score("periodic(90d)", 9.0, 2), score("reducible(20)", 6.1, 8), ALWAYS)
    ]
    assert chosen(*plain) == ("reducible(20)", "gain")
    assert chosen(plain[0], msgspec.structs.replace(plain[1], loss=8.95)) == (
        "periodic(90d)",
        "nothing",
    )


def test_one_policy_leaves_no_choice_and_no_loss_none_at_all() -> None:
    assert chosen(NEVER) == ("never", "only")
    assert chosen(score("never", None, 0), score("always", None, 9)) is None
    assert chosen() is None


def test_a_loss_of_zero_needs_no_retrain() -> None:
    zero = [msgspec.structs.replace(p, loss=0.0, saved=0.0, saved_low=0.0) for p in (NEVER, ALWAYS)]
    assert chosen(*zero) == ("never", "nothing")


def test_recorded_predictions_are_judged_by_known_drifts_alone() -> None:
    policies = [
        score("never", 10.0, 0, missed=4, false=0),
        score("mlma(1)", 10.0, 5, missed=1, false=1, delay=5.0),
        score("vote(2)", 10.0, 5, missed=0, false=2, delay=4.0),
    ]
    assert chosen(*policies, mode="recorded") == ("vote(2)", "drifts")
    assert chosen(NEVER, score("mlma(1)", 10.0, 5), mode="recorded") is None
