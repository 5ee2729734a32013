"""From losses to a result: means, savings, gains, drifts, curves, money, and what is missing."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from driftloop.backtest.result import Result, StreamScore
from driftloop.backtest.runs import PolicyRun, StreamRun
from driftloop.backtest.summary import summarise
from driftloop.settings.policy import Price
from tests.unit.backtest.examples import BEGIN, DAY, FACTS, NAN, constant, example, run


def _named(result: Result, name: str):  # noqa: ANN202
    return next(score for score in result.policies if score.name == name)


def test_losses_are_means_over_records_and_savings_their_paired_differences() -> None:
    rng = np.random.default_rng(1)
    never, always = rng.gamma(4, 1, 500), rng.gamma(4, 0.5, 500)
    never[7] = NAN
    found = summarise([constant("never", never), constant("always", always, [BEGIN])], FACTS)
    assert [score.name for score in found.policies] == ["always", "never"]
    assert _named(found, "never").loss == pytest.approx(np.nanmean(never))
    assert _named(found, "always").saved == pytest.approx(np.nanmean(never - always))
    assert _named(found, "always").gain_share == 1.0
    assert _named(found, "never").gain_share == 0.0
    assert found.records == 499


def test_a_result_goes_through_json_unchanged() -> None:
    found = example(("never", "always", "reducible(20)"), streams=12)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Result) == found


def test_it_is_deterministic_and_does_not_depend_on_the_order_of_policies_or_streams() -> None:
    names = ("never", "always", "reducible(20)", "periodic(28d)")
    one, other = example(names, streams=12), example(names[::-1], streams=12)
    assert one == other
    runs = [run(name, retrains, 2.0, streams=12) for name, retrains in (("never", 0), ("vote", 5))]
    turned = [PolicyRun(r.name, list(r.streams)[::-1]) for r in runs]
    assert summarise(runs, FACTS) == summarise(turned, FACTS)


def test_the_interval_is_by_streams_from_ten_on_else_by_blocks() -> None:
    def width(streams: int) -> float:
        """Noise cancels out and every stream saves the same: between streams nothing varies."""
        at = BEGIN + np.arange(400, dtype=np.int64) * DAY
        saved = 1.0 + np.sin(np.arange(400) / 9)
        runs = [
            PolicyRun(
                name,
                [
                    StreamRun(StreamScore(stream=f"{i}", records=0, loss=None), at, 5 - part)
                    for i in range(streams)
                ],
            )
            for name, part in (("never", 0 * saved), ("always", saved))
        ]
        score = _named(summarise(runs, FACTS), "always")
        assert score.saved is not None
        return score.saved_high - score.saved_low

    assert width(10) == pytest.approx(0.0, abs=1e-9)
    assert width(9) > 0.05


def test_accuracy_is_the_share_of_right_classes() -> None:
    at = np.arange(4, dtype=np.int64)
    right = np.array([True, True, False, True])
    score = StreamScore(stream="s", records=0, loss=None)
    found = summarise([PolicyRun("never", [StreamRun(score, at, 1.0 - right, right)])], FACTS)
    assert found.policies[0].accuracy == 0.75
    assert found.policies[0].loss == 0.25


def test_drifts_are_matched_stream_by_stream() -> None:
    policy = constant("mlma(1)", np.ones(100), [BEGIN + 12 * DAY, BEGIN + 80 * DAY])
    drifts = {"s": [BEGIN + 10 * DAY, BEGIN + 40 * DAY]}
    found = summarise([policy], FACTS, drifts=drifts, horizon=10 * DAY)
    score = found.policies[0]
    assert (score.delay, score.missed, score.false) == (2 * DAY, 1, 1)
    assert score.streams[0].delays == [2 * DAY]
    assert found.horizon == 10 * DAY
    untouched = summarise([policy], FACTS, drifts={}).policies[0]
    assert (untouched.delay, untouched.missed, untouched.false) == (None, 0, 2)
    unknown = summarise([policy], FACTS, horizon=5)
    assert unknown.policies[0].missed is None
    assert unknown.horizon is None


def test_money_is_the_price_of_retrains_and_the_value_of_losses() -> None:
    price = Price(gpu_second=0.5, seconds=4.0, loss=0.1)
    policy = constant("periodic(50d)", [2.0] * 100, [BEGIN + 50 * DAY])
    assert summarise([policy], FACTS, price=price).policies[0].cost == pytest.approx(2.0 + 20.0)
    assert summarise([policy], FACTS).policies[0].cost is None


def test_measured_retrains_cost_the_seconds_that_they_took() -> None:
    price = Price(gpu_second=0.5, seconds=4.0, loss=0.1, measured=True)
    policy = constant("periodic(50d)", [2.0] * 100, [BEGIN + 50 * DAY])
    (stream,) = policy.streams
    took = msgspec.structs.replace(stream.score, seconds=7.0)
    policy = PolicyRun(policy.name, [replace(stream, score=took)])
    cost = summarise([policy], FACTS, price=price).policies[0].cost
    assert cost == pytest.approx(3.5 + 20.0)


def test_curves_are_means_of_intervals_and_gaps_are_null() -> None:
    losses = np.concatenate([np.full(50, 4.0), np.full(50, NAN), np.full(20, 8.0)])
    found = summarise([constant("never", losses)], FACTS)
    (curve,) = found.curves
    assert len(curve.at) == len(curve.loss) == len(curve.retrains) == 60
    assert (curve.loss[0], curve.loss[30], curve.loss[-1]) == (4.0, None, 8.0)
    assert found.first_ts < curve.at[0] < curve.at[-1] < found.last_ts


def test_curves_are_those_of_never_always_and_the_advised_policy_with_all_retrains() -> None:
    found = example(streams=12)
    assert found.advice is not None
    assert {c.policy for c in found.curves} == {"never", "always", found.advice.policy}
    for curve in found.curves:
        assert sum(curve.retrains) == _named(found, curve.policy).retrains


def test_the_best_periods_are_on_their_frontier() -> None:
    runs = [
        constant("periodic(7d)", [3.0] * 99, [BEGIN] * 9),
        constant("periodic(14d)", [2.0] * 99, [BEGIN] * 5),
        constant("periodic(28d)", [4.0] * 99, [BEGIN] * 2),
    ]
    assert summarise(runs, FACTS).best_periodic == ["periodic(28d)", "periodic(14d)"]


def test_a_stream_that_a_policy_lacks_is_left_out_of_all_and_named() -> None:
    whole, part = (
        run("never", 0, 0.0, streams=3, records=50),
        run("always", 8, 0.0, streams=2, records=50),
    )
    found = summarise([whole, part], FACTS)
    assert [len(score.streams) for score in found.policies] == [2, 2]
    (failure,) = found.failures
    assert failure.why == "did not run under always"
    longer = constant("never", [1.0] * 5), constant("always", [1.0] * 6)
    assert summarise(longer, FACTS).failures[0].why == "other records under some policies"


def test_no_losses_no_streams_and_no_policies_survive() -> None:
    empty = summarise([constant("never", [NAN] * 30), constant("always", [NAN] * 30)], FACTS)
    assert empty.advice is None
    assert [score.loss for score in empty.policies] == [None, None]
    assert [score.saved for score in empty.policies] == [None, None]
    assert summarise([PolicyRun("never", [])], FACTS).advice is None
    assert summarise([], FACTS).policies == []
    assert summarise([constant("never", [])], FACTS).records == 0


def test_without_never_nothing_is_saved_or_gained() -> None:
    score = summarise([constant("always", [1.0] * 99, [BEGIN])], FACTS).policies[0]
    assert (score.saved, score.saved_low, score.gain_share) == (None, None, None)


def test_undisturbed_streams_are_advised_to_stay() -> None:
    """Fifty histories without drift in which retraining only adds noise: at most 5 % pay."""
    rng = np.random.default_rng(2)
    stays = 0
    for _ in range(50):
        noise = rng.gamma(4, 1, 2000)
        runs = [constant("never", noise)]
        runs += [
            constant(name, noise + rng.normal(0, 0.8, 2000), [BEGIN] * 7)
            for name in ("always", "mlma(1)", "vote(2)", "reducible(5)")
        ]
        advice = summarise(runs, FACTS).advice
        assert advice is not None
        stays += advice.policy == "never"
    assert stays >= 47
