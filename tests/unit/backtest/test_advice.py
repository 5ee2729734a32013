"""The advice in words: what it must tell, and what it must warn of."""

from __future__ import annotations

import msgspec
import pytest

from driftloop.backtest.advice import advise
from driftloop.backtest.result import Advice, Baseline, Failure, PolicyScore, StreamScore
from driftloop.plots.figures import (
    change,
    decimals,
    duration,
    percent,
    seconds,
)
from tests.unit.backtest.examples import example
from tests.unit.backtest.test_choice import ALWAYS, NEVER, result, score

BEST = score("reducible(20)", 6.2, 8, seconds=4.0)


def advice(*policies: PolicyScore, **more: object) -> Advice:
    found = advise(result(*policies, **more))
    assert found is not None
    return found


def test_the_headline_says_which_policy_and_what_it_costs() -> None:
    assert advice(NEVER, ALWAYS, BEST).headline == (
        "Take reducible(20): 95 % of what retraining at every window saves, "
        "with 8 retrains a stream instead of 50."
    )


def test_reasons_tell_losses_interval_retrains_and_the_fixed_period() -> None:
    periods = [score("periodic(7d)", 6.1, 40), score("periodic(28d)", 7.0, 10)]
    told = advice(NEVER, ALWAYS, BEST, *periods).reasons
    assert told[0] == (
        "Mean absolute error: 10.00 with never, 6.20 with reducible(20) (−38 %), "  # noqa: RUF001
        "6.00 with always (−40 %)."  # noqa: RUF001
    )
    assert "3.800 a record (95 % interval 3.700 to 3.900)" in told[1]
    assert told[2].startswith("8 retrains a stream over 3.8 months, 25 a year; 80 in all, 4.0 s")
    assert told[3].startswith("The best fixed period in hindsight needs about 34.3 retrains")
    assert told[3].endswith("4.3 times as many.")


def test_it_says_that_retraining_does_not_pay() -> None:
    found = advice(NEVER, score("always", 9.99, 50))
    assert found.headline == "Do not retrain: on this data it does not pay."
    assert "10.00 with never, 9.99 with always" in found.reasons[0]
    assert any("no more than chance" in reason for reason in found.reasons)


def test_it_offers_the_knee_where_the_advice_is_costly() -> None:
    found = advice(NEVER, ALWAYS, score("periodic(7d)", 6.1, 45), score("reducible(80)", 6.6, 4))
    assert found.policy == "periodic(7d)"
    assert any("reducible(80) reaches 6.60 with 4 a stream" in r for r in found.reasons)


def test_it_owns_up_that_never_was_not_run() -> None:
    plain = [
        msgspec.structs.replace(p, saved=None, saved_low=None, saved_high=None)
        for p in (score("periodic(90d)", 9.0, 2), BEST)
    ]
    found = advice(*plain)
    assert any("cannot say whether retraining pays" in reason for reason in found.reasons)


def test_money_is_told_where_it_decides() -> None:
    policies = [
        msgspec.structs.replace(p, cost=c)
        for p, c in ((NEVER, 1000.0), (ALWAYS, 900.0), (BEST, 700.0))
    ]
    assert advice(*policies).headline == (
        "Take reducible(20): it costs least, 700 in all instead of 1,000 (never), "
        "with 8 retrains a stream."
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"baseline": Baseline(name="last value", loss=6.0)}, "worse than the trivial baseline"),
        ({"failures": [Failure(stream="x", why="empty")]}, "not part of this: x."),
        ({"warmup": 60}, "First models had only 60 records"),
        ({"records": 300}, "Only 300 records"),
        ({}, "0 streams alone"),
    ],
)
def test_it_warns(more: dict[str, object], expected: str) -> None:
    assert any(expected in warning for warning in advice(NEVER, ALWAYS, BEST, **more).warnings)


def test_a_better_model_than_the_baseline_is_a_reason_and_no_warning() -> None:
    found = advice(NEVER, ALWAYS, BEST, baseline=Baseline(name="last value", loss=20.0))
    assert not any("trivial" in warning for warning in found.warnings)
    assert any("trivial baseline, last value, has 20.00" in reason for reason in found.reasons)


def test_known_drifts_are_counted() -> None:
    streams = [StreamScore(stream="s", records=5, loss=6.2, delays=[86_400_000] * 3)]
    policy = msgspec.structs.replace(BEST, missed=1, false=2, delay=86_400_000.0, streams=streams)
    told = advice(NEVER, ALWAYS, policy).reasons
    expected = (
        "3 of 4 known drifts answered, after 1 day (median); 2 retrains that no known drift "
        "explains."
    )
    assert expected in told


def test_the_example_is_advised_in_full() -> None:
    found = example().advice
    assert found is not None
    assert found.policy == "reducible(20)"
    assert any(reason.startswith("50 of 50 streams") for reason in found.reasons)


def test_figures_are_told_as_people_say_them() -> None:
    assert decimals([None]) == 2
    assert decimals([0.0004]) == 7
    assert percent(0.9996) == "100 %"
    assert change(None, 3.0) == change(3.0, 0.0) == ""
    assert change(3.0, 3.0) == "0 %"
    assert [seconds(value) for value in (0.4, 45.0, 1200.0, 9000.0)] == [
        "0.4 s",
        "45 s",
        "20 min",
        "2.5 h",
    ]
    assert [duration(ms) for ms in (90_000_000, 3_600_000, 45_000_000_000)] == [
        "25 hours",
        "1 hour",
        "17 months",
    ]


def test_failed_trainings_are_told_with_the_reason() -> None:
    stream = StreamScore(
        stream="a", records=100, loss=6.2, retrains=8, failed=3, failure="too few records"
    )
    failing = msgspec.structs.replace(BEST, failed=3, streams=[stream])
    told = advice(NEVER, ALWAYS, failing).warnings
    assert (
        "Trainings failed, and count as retrains: 3 of 80 of reducible(20); too few records."
        in told
    )
    assert not any("failed" in one for one in advice(NEVER, ALWAYS, BEST).warnings)


def test_as_many_retrains_as_always_are_called_so() -> None:
    found = advice(NEVER, ALWAYS, score("reducible(20)", 6.1, 50)).headline
    assert found.endswith("with 50 retrains a stream, as many.")
