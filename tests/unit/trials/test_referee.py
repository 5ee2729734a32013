"""Trials: the records that count, both losses, the verdict, and what becomes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftloop.messages import RetrainJudged, StreamStatus, TrainingFinished, VersionOrdered
from driftloop.records import Columns
from driftloop.settings import Profile
from driftloop.statistics.losses import compute
from driftloop.trials import Missing
from tests.court import Court, candidate, off_by, trained
from tests.streams import MINUTE, START, STREAM, frozen, make_profile, make_stream

RECORDS = 700
MODELS: dict[str, Any] = {"v0": off_by(0.0), "v1": off_by(0.0), "v2": off_by(0.0)}


def profile_of(**training: Any) -> Profile:
    given = {"watch": {"records": 400}, **training}
    return make_profile(training=given, join_capacity=100, window={"kind": "count", "records": 60})


def stream(profile: Profile, seed: int = 1, *, bad: float = 0.0, **more: Any) -> Columns:
    """Records of v0, and from record 100 on of v1, whose predictions are off by `bad`."""
    rows = make_stream(profile, seed, RECORDS, versions=(100,), **more)
    late = np.array([one == "v1" for one in rows.versions])
    rows.y_pred = np.where(late, rows.y_pred + bad, rows.y_pred)
    return rows


def test_a_version_worse_than_its_parent_would_have_been_is_rolled_back_early() -> None:
    profile = profile_of()
    court = Court(profile, MODELS).play(
        stream(profile, bad=2.0), controls={100: trained("v1", "v0")}
    )
    (verdict,) = court.verdicts
    assert (verdict.verdict, verdict.ending, verdict.records) == ("worse", "", 200)
    judged, order = court.of(RetrainJudged), court.of(VersionOrdered)
    assert len(judged) == len(order) == 1
    assert (judged[0].verdict, judged[0].version, judged[0].parent_version) == ("worse", "v1", "v0")
    assert judged[0].low <= judged[0].saved <= judged[0].high < 0
    assert (judged[0].seconds, judged[0].device, judged[0].cost) == (2.0, "cpu", None)
    assert (order[0].action, order[0].version, order[0].against) == ("rollback", "v0", "v1")
    assert (order[0].reason, order[0].request_id) == ("live-losses", "request-v1")
    told = [one.detail for one in court.of(StreamStatus)]
    assert any("rollback to v0 ordered: v1 is worse than v0 would have been" in one for one in told)


def test_the_numbers_are_those_of_the_records() -> None:
    profile = profile_of()
    rows = stream(profile, bad=0.2)
    court = Court(profile, MODELS).play(rows, controls={100: trained("v1", "v0")})
    (verdict,) = court.verdicts
    counted = rows.select(slice(100, 500))
    new = compute("absolute", counted.y, counted.y_pred)
    old = compute("absolute", counted.y, off_by(0.0)(counted))  # type: ignore[operator]
    assert (verdict.ending, verdict.records) == ("complete", 400)
    assert verdict.metrics["loss_new"] == pytest.approx(new.mean())
    assert verdict.metrics["loss_old"] == pytest.approx(old.mean())
    assert verdict.metrics["difference"] == pytest.approx((new - old).mean())
    assert verdict.ts == int(counted.ts.max())


def test_a_better_version_is_judged_on_all_its_records_and_stays() -> None:
    profile = profile_of()
    models = {**MODELS, "v0": off_by(3.0)}
    court = Court(profile, models).play(stream(profile), controls={100: trained("v1", "v0")})
    (judged,) = court.of(RetrainJudged)
    assert (judged.verdict, judged.records) == ("better", 400)
    assert judged.low > 0
    assert not court.of(VersionOrdered)
    last = court.events[-1]
    assert (last.judged, last.better, last.worse, last.trial) == (1, 1, 0, "")
    assert last.saved == pytest.approx(judged.saved * 400)


def test_the_status_tells_what_is_on_trial() -> None:
    profile = profile_of(canary=True)
    court = Court(profile, MODELS)
    assert court.control(trained("v1", "v0"))[-1].trial == "watch v1 against v0"  # type: ignore[attr-defined]
    assert court.control(candidate("v2", "v1"))[-1].trial == "canary v2 against v1"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("bias", "action", "records"), [(0.0, "promote", 300), (2.0, "discard", 160)]
)
def test_a_candidate_is_promoted_or_discarded_by_the_records_of_the_version_that_serves(
    bias: float, action: str, records: int
) -> None:
    profile = profile_of(canary=True)
    court = Court(profile, {**MODELS, "v2": off_by(bias)})
    court.play(stream(profile), controls={100: candidate("v2", "v1")})
    (verdict,) = court.verdicts
    assert verdict.records == records
    (order,) = court.of(VersionOrdered)
    assert (order.action, order.version, order.against) == (action, "v2", "v1")
    assert (order.request_id, order.reason) == ("request-v2", "canary")
    assert len(court.of(RetrainJudged)) == (action == "discard")


def test_a_better_candidate_is_promoted_early() -> None:
    profile = profile_of(canary=True)
    rows = stream(profile, bad=2.0)
    court = Court(profile, MODELS).play(rows, controls={100: candidate("v2", "v1")})
    assert [one.verdict for one in court.verdicts] == ["better"]
    assert court.verdicts[0].records < 300
    assert [one.action for one in court.of(VersionOrdered)] == ["promote"]


def test_a_watch_that_another_version_ends_is_judged_with_what_there_is() -> None:
    profile = profile_of()
    court = Court(profile, MODELS)
    court.play(
        stream(profile, bad=2.0),
        controls={100: trained("v1", "v0"), 265: trained("v2", "v1")},
    )
    first = court.of(RetrainJudged)[0]
    assert (first.version, first.records, first.detail) == (
        "v1", 160, "another version took its place",
    )  # fmt: skip
    assert not [one for one in court.of(VersionOrdered) if one.against == "v1"]


def test_a_restored_version_is_not_watched() -> None:
    profile = profile_of()
    court = Court(profile, MODELS)
    court.control(trained("v0", "v1", action="rolled-back"))
    court.records(stream(profile))
    assert not court.pieces


def test_a_version_without_records_of_its_own_ends_unscored_by_its_patience() -> None:
    profile = profile_of(watch={"patience": "3h"})
    rows = stream(profile)
    rows.versions = ["v0"] * len(rows)
    court = Court(profile, MODELS).play(rows, controls={100: trained("v1", "v0")})
    (judged,) = court.of(RetrainJudged)
    assert (judged.verdict, judged.records, judged.saved) == ("unscored", 0, None)
    assert judged.judged_at == START + 280 * MINUTE
    assert "fewer than 20 records" in judged.detail
    assert not court.of(VersionOrdered)


@pytest.mark.parametrize("unscored", ["promote", "discard"])
def test_a_candidate_that_nothing_can_be_compared_on_ends_as_the_profile_says(
    unscored: str,
) -> None:
    profile = profile_of(canary={"patience": "2h", "unscored": unscored})
    rows = stream(profile)
    rows.y = np.full(len(rows), np.nan)
    court = Court(profile, MODELS).play(rows, controls={100: candidate("v2", "v1")})
    (order,) = court.of(VersionOrdered)
    assert (order.action, order.reason) == (unscored, "unscored")


def test_an_artifact_that_cannot_be_had_ends_a_trial_unscored_and_nothing_else() -> None:
    profile = profile_of()
    court = Court(profile, {"v0": Missing("no model.json lies at v0")})
    court.play(stream(profile, bad=2.0), controls={100: trained("v1", "v0")})
    (judged,) = court.of(RetrainJudged)
    assert (judged.verdict, judged.detail) == ("unscored", "no model.json lies at v0")
    assert not court.of(VersionOrdered)


def test_a_model_that_raises_ends_its_trial_alone() -> None:
    def broken(rows: Columns) -> np.ndarray:
        raise ValueError(f"{len(rows)} rows are too many")

    profile = profile_of()
    court = Court(profile, {"v0": broken})
    court.play(stream(profile), controls={100: trained("v1", "v0")})
    (judged,) = court.of(RetrainJudged)
    assert (judged.verdict, judged.detail) == ("unscored", "ValueError: 20 rows are too many")


def test_an_outcome_ends_a_canary_without_an_order() -> None:
    profile = profile_of(canary=True)
    finished = TrainingFinished(
        id="t",
        stream=STREAM,
        profile="default",
        request_id="request-v2",
        outcome="superseded",
        finished_at=0,
    )
    court = Court(profile, MODELS).play(
        stream(profile), controls={100: candidate("v2", "v1"), 150: finished}
    )
    assert not court.of(VersionOrdered)
    assert not court.states[3]


def test_a_stream_without_a_trial_makes_no_pieces_and_one_without_features_has_none() -> None:
    profile = profile_of(watch=False)
    court = Court(profile, MODELS)
    court.play(stream(profile), controls={100: trained("v1", "v0")})
    assert not court.pieces
    bare = make_profile(features={"numeric": [], "categorical": []}, training={"canary": True})
    court = Court(bare, MODELS)
    court.control(trained("v1", "v0"))
    orders = court.control(candidate("v2", "v1"))
    assert not court.pieces
    assert [one.action for one in orders if isinstance(one, VersionOrdered)] == ["promote"]


def test_the_first_version_is_not_watched() -> None:
    profile = profile_of()
    court = Court(profile, MODELS)
    court.control(trained("v1", None))
    court.records(stream(profile))
    assert not court.pieces


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.sets(st.integers(1, 900), max_size=30),
    pickles=st.integers(0, 2**32 - 1),
    late=st.sampled_from([0.0, 0.4]),
    missing=st.sampled_from([0.0, 0.05]),
    bad=st.sampled_from([0.0, 0.3, 2.0]),
    patience=st.sampled_from(["14d", "5h"]),
    ready=st.sampled_from([1, 5, 40]),
)
@example(
    seed=3316,
    cuts=set(),
    pickles=0,
    late=0.0,
    missing=0.0,
    bad=0.0,
    patience="14d",
    ready=40,
)
def test_neither_batches_nor_restarts_nor_a_late_artifact_change_a_verdict(
    seed: int,
    cuts: set[int],
    pickles: int,
    late: float,
    missing: float,
    bad: float,
    patience: str,
    ready: int,
) -> None:
    profile = profile_of(
        watch={"records": 300, "patience": patience}, canary={"records": 200, "patience": patience}
    )
    rows = stream(profile, seed, bad=bad, late=late, missing=missing, jitter=3.0)
    controls = {120: trained("v1", "v0"), 200: candidate("v2", "v1")}
    restarts = np.random.default_rng(pickles).random(1000) < 0.3
    models = {**MODELS, "v2": off_by(0.5)}
    whole = Court(profile, models).play(rows, controls=controls)
    cut = Court(profile, models, ready=lambda nth: nth >= ready)
    cut.play(rows, {one for one in cuts if one < len(rows)}, controls, lambda i: bool(restarts[i]))
    while cut.states[3].wanted():
        cut.settle()
    assert len(whole.verdicts) == 2
    key = lambda one: one.trial.kind  # noqa: E731
    assert frozen(sorted(whole.verdicts, key=key)) == frozen(sorted(cut.verdicts, key=key))
    for kind in (VersionOrdered, RetrainJudged):
        assert {one.id for one in whole.of(kind)} == {one.id for one in cut.of(kind)}
