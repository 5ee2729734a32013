"""What earlier retrains say of the next: ratios by credibility, seconds by rates."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest
from scipy.stats import f_oneway

from driftloop.trainer.ledger import LEAST_RATIO, UNKNOWN_SECONDS, Ledger, _Ratios, credibility
from tests.unit.trainer.requests import DAY_MS, NOON, finished, judged, request

_KINDS = {"numbers": "linear", "curves": "mlp_regressor", "others": "linear"}


def _retrain(ledger: Ledger, name: str, stream: str, promised: float, saved: float) -> None:
    one = request(name, stream)
    ledger.finished(finished(one), promised)
    ledger.judged(judged(one, saved))


def test_without_a_history_promises_are_kept() -> None:
    assert Ledger(_KINDS).ratio("streams.a", "numbers") == 1.0


def test_few_retrains_move_a_ratio_by_the_documented_formula() -> None:
    """Two of one stream saved half of what was promised: m = (4 + 1) / 6, ratio = (4 m + 1) / 6."""
    ledger = Ledger(_KINDS)
    for i in range(2):
        _retrain(ledger, f"r{i}", "streams.a", promised=2.0, saved=1.0)
    mean = 5 / 6
    assert ledger.ratio("streams.a", "numbers") == pytest.approx((4 * mean + 1.0) / 6)
    assert ledger.ratio("streams.b", "numbers") == pytest.approx(mean)
    assert ledger.ratio("streams.a", "curves") == 1.0


def _groups(values: Iterable[Iterable[float]]) -> dict[str, _Ratios]:
    groups = {}
    for i, xs in enumerate(values):
        groups[str(i)] = _Ratios()
        for x in xs:
            groups[str(i)].add(float(x))
    return groups


def test_credibility_of_streams_of_one_size_follows_from_the_f_statistic() -> None:
    """Of n retrains a stream, k = n / (F - 1), F that of a one-way analysis of variance."""
    generator = np.random.default_rng(1)
    values = generator.normal(generator.normal(0.8, 0.5, (12, 1)), 0.4, (12, 6))
    mean, k = credibility(_groups(values))
    assert k == pytest.approx(6 / (f_oneway(*values).statistic - 1))
    assert 0.5 < k < 10
    assert mean == pytest.approx((4 + values.sum()) / (4 + 72))


def test_credibility_finds_the_variances_that_streams_were_drawn_with() -> None:
    """Of unlike sizes: .5 within and .4 between give k = 1.5625."""
    generator = np.random.default_rng(2)
    values = [
        generator.normal(generator.normal(0.8, 0.4), 0.5, generator.integers(2, 12))
        for _ in range(2000)
    ]
    assert credibility(_groups(values))[1] == pytest.approx(1.5625, rel=0.1)


def test_streams_that_do_not_differ_are_taken_together_and_unlike_ones_apart() -> None:
    chance = random.Random(3)
    alike, unlike = Ledger(_KINDS), Ledger(_KINDS)
    for i in range(200):
        stream = f"streams.{i % 20}"
        _retrain(alike, f"r{i}", stream, promised=1.0, saved=chance.choice([0.0, 1.0]))
        own = 1.0 if i % 20 < 10 else 0.1
        _retrain(unlike, f"r{i}", stream, promised=1.0, saved=own + chance.uniform(-0.05, 0.05))
    ratios = [alike.ratio(f"streams.{i}", "numbers") for i in range(20)]
    assert max(ratios) - min(ratios) < 0.25
    assert unlike.ratio("streams.0", "numbers") == pytest.approx(1.0, abs=0.05)
    assert unlike.ratio("streams.19", "numbers") == pytest.approx(0.1, abs=0.05)


def test_a_rejected_challenger_saved_nothing_and_a_pinned_one_says_nothing() -> None:
    ledger = Ledger(_KINDS)
    ledger.finished(finished(request("r1", "streams.a"), "rejected", reason="pinned"), 1.0)
    ledger.finished(finished(request("r0", "streams.a"), "rejected", reason="canary-unscored"), 1.0)
    ledger.finished(finished(request("r2", "streams.a"), "failed", reason="internal"), 1.0)
    ledger.finished(finished(request("r3", "streams.a")), 1.0)
    ledger.judged(judged(request("r3", "streams.a"), None))
    assert ledger.ratio("streams.a", "numbers") == 1.0
    ledger.finished(finished(request("r4", "streams.a"), "rejected", reason="worse"), 1.0)
    assert ledger.ratio("streams.a", "numbers") < 1.0


def test_no_ratio_falls_below_its_floor_or_exceeds_two() -> None:
    ledger = Ledger(_KINDS)
    for i in range(200):
        _retrain(ledger, f"bad{i}", "streams.bad", promised=1.0, saved=-50.0)
        _retrain(ledger, f"good{i}", "streams.good", promised=0.001, saved=50.0)
        _retrain(ledger, f"fair{i}", "streams.fair", promised=1.0, saved=1.0)
    assert ledger.ratio("streams.bad", "numbers") == LEAST_RATIO
    assert 1.9 < ledger.ratio("streams.good", "numbers") <= 2.0


def test_a_judgement_counts_once_and_in_any_order() -> None:
    """The monitor repeats events after a restart; partitions are read one after the other."""
    one = request("r1", "streams.a")
    forth, back = Ledger(_KINDS), Ledger(_KINDS)
    forth.finished(finished(one), 1.0)
    for _ in range(3):
        forth.judged(judged(one, 0.25))
    back.judged(judged(one, 0.25))
    back.finished(finished(one), 1.0)
    assert forth.ratio("streams.a", "numbers") == back.ratio("streams.a", "numbers")
    assert forth.ratio("streams.a", "numbers") == pytest.approx((4 * 4.25 / 5 + 0.25) / 5)


def test_seconds_are_those_of_the_profile_else_of_its_kind_else_of_all() -> None:
    ledger = Ledger(_KINDS)
    assert ledger.seconds("numbers", 1000) == UNKNOWN_SECONDS
    curve = finished(request("r1"), seconds=4.0, records=1000)
    ledger.trained("curves", curve.cost, NOON)
    assert ledger.seconds("numbers", 500) == pytest.approx(2.0)
    number = finished(request("r2"), seconds=0.5, records=1000)
    ledger.trained("numbers", number.cost, NOON)
    assert ledger.seconds("numbers", 500) == pytest.approx(0.25)
    assert ledger.seconds("others", 500) == pytest.approx(0.25)
    assert ledger.seconds("curves", 500) == pytest.approx(2.0)


def test_recent_trainings_weigh_twice_as_much_as_those_of_four_weeks_before() -> None:
    ledger = Ledger(_KINDS)
    slow = finished(request("r1"), seconds=3.0, records=1000).cost
    quick = finished(request("r2"), seconds=0.0, records=1000).cost
    ledger.trained("numbers", slow, NOON - 28 * DAY_MS)
    ledger.trained("numbers", quick, NOON)
    assert ledger.seconds("numbers", 1000) == pytest.approx(1.0)
