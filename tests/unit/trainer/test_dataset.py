"""Labelled records to a hold-out and a job."""

from __future__ import annotations

import json

import numpy as np
import pytest

from driftloop.errors import TrainingError
from driftloop.records import Columns, RecordDecoder, join
from driftloop.settings import Profile
from driftloop.trainer.dataset import job_of, spec_of, split, trained_on


def _profile(**more: object) -> Profile:
    return Profile.model_validate(
        {"features": {"numeric": ["a"], "categorical": ["c"]}, "loss": "squared", **more}
    )


def _records(profile: Profile, count: int, *, bare: int = 0) -> Columns:
    values = [
        json.dumps(
            {"id": str(i), "y": i % 2, "x": {} if i < bare else {"a": i, "c": "xy"[i % 2]}}
        ).encode()
        for i in range(count)
    ]
    columns, letters = RecordDecoder(profile).decode("t", 0, values, range(count), range(count))
    assert not letters
    return join(columns)


def test_the_newest_share_is_held_out() -> None:
    profile = _profile()
    data = split(profile, _records(profile, 100))
    assert (len(data.all), len(data.fitted), len(data.held)) == (100, 80, 20)
    assert data.held.offsets.tolist() == list(range(80, 100))


def test_records_that_the_champion_was_trained_on_are_no_hold_out() -> None:
    """They go to the challenger's training, so that both know them."""
    profile = _profile()
    data = split(profile, _records(profile, 100), ["t:0:0:39", "t:0:40:87"])
    assert data.held.offsets.tolist() == list(range(88, 100))
    assert data.fitted.offsets.tolist() == list(range(88))
    assert data.seen == 0


def test_where_too_few_others_are_left_they_are_held_out_and_counted() -> None:
    profile = _profile()
    data = split(profile, _records(profile, 100), ["t:0:0:90"])
    assert data.held.offsets.tolist() == list(range(80, 100))
    assert data.seen == 11
    small = _profile(training={"min_records": 4})
    unseen = split(small, _records(profile, 20), ["t:0:0:15"])
    assert (len(unseen.held), unseen.seen) == (4, 0)  # a hold-out of four is never larger


def test_the_oldest_share_is_held_out_too_where_asked() -> None:
    profile = _profile(training={"forgetting_holdout": 0.1})
    data = split(profile, _records(profile, 100), ["t:0:4:85"])
    assert data.older is not None
    assert data.older.offsets.tolist() == list(range(10))
    assert data.older_seen == 6
    assert data.fitted.offsets.tolist() == list(range(10, 86))
    assert len(data.all) == 100
    assert split(_profile(), _records(profile, 100)).older is None


def test_a_model_was_trained_on_a_record_if_it_knew_both_its_halves() -> None:
    profile = _profile()
    halves = [{"id": "0", "x": {"a": 1.0}}, {"id": "1", "x": {"a": 2.0}}, {"id": "0", "y": 1.0},
              {"id": "2", "x": {"a": 3.0}, "y": 1.0}, {"id": "1", "y": 2.0}]  # fmt: skip
    values = [json.dumps(one).encode() for one in halves]
    columns, letters = RecordDecoder(profile).decode("t", 0, values, range(5), range(5))
    assert not letters
    records = join(columns)  # 0 completed at offset 2, 2 at 3, 1 at 4
    assert trained_on(records, ["t:0:0:3"]).tolist() == [True, True, False]
    assert trained_on(records, ["t:0:1:4"]).tolist() == [False, True, True]
    assert trained_on(records, ["t:1:0:4"]).tolist() == [False, False, False]
    assert trained_on(records, []).tolist() == [False, False, False]


def test_records_without_any_feature_do_not_count() -> None:
    profile = _profile(training={"min_records": 60})
    assert len(split(profile, _records(profile, 100, bare=40)).all) == 60
    with pytest.raises(TrainingError, match=r"training\.min_records is 60") as error:
        split(profile, _records(profile, 100, bare=41))
    assert error.value.reason == "too-few-records"


def test_one_class_is_refused_by_its_name() -> None:
    profile = _profile(task="binary", loss="log_loss", classes=["no", "yes"])
    columns = _records(_profile(), 100)
    columns.y[:] = 1.0
    with pytest.raises(TrainingError, match="'yes'") as error:
        split(profile, columns)
    assert error.value.reason == "one-class"


def test_a_profile_without_features_is_refused() -> None:
    with pytest.raises(TrainingError, match="names no features"):
        split(Profile(), _records(_profile(), 100))


def test_job_and_encoding_follow_the_records() -> None:
    profile = _profile()
    encoding, job = job_of(profile, _records(profile, 50), seed=3)
    assert encoding.width == job.inputs.shape[1] == 4
    assert np.isfinite(job.inputs).all()
    assert job.spec == spec_of(profile)


def test_linear_profiles_with_other_settings_share_a_stack() -> None:
    one, two = _profile(), _profile(loss="absolute", model={"epochs": 7})
    assert spec_of(one) == spec_of(two)
