"""Detectors on score and features see every record, with or without its label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftloop.detection.detectors import from_settings
from driftloop.detection.outputs import Alarm
from driftloop.detection.signals import score
from driftloop.detection.watch import Watch
from driftloop.records import Columns
from driftloop.settings import Policy, Profile
from tests.streams import STREAM, make_columns, make_profile, play, published

SHIFT = np.repeat([0.0, 4.0], [300, 200])


def watching(*detectors: Any, **changes: Any) -> Profile:
    return make_profile(policy=Policy(detectors=list(detectors)), **changes)


def rows(profile: Profile, n: int = 500, **given: Any) -> Columns:
    return make_columns(profile, 1000.0 * np.arange(n), **given)


def noisy(level: np.ndarray, seed: int = 0) -> np.ndarray:
    return level + np.random.default_rng(seed).normal(size=len(level))


def places(watch: Watch, given: Columns) -> list[tuple[str, int, str | None]]:
    return [(one.signal.detector, one.signal.row, one.version) for one in watch.look(given)]


def alone(profile: Profile, values: np.ndarray, which: int = 0) -> list[int]:
    return from_settings(profile.policy.detectors[which]).update_many(values)


def test_only_what_needs_no_label_is_watched() -> None:
    assert not Watch(watching("adwin", "ddm", "page_hinkley:error"))
    assert Watch(watching("adwin:score"))
    assert Watch(watching("kswin:x.b"))


def test_features_and_score_are_read_by_name_without_any_label() -> None:
    profile = watching("adwin:x.b", "page_hinkley:score", "adwin:x.a")
    x = np.stack([noisy(0 * SHIFT), noisy(SHIFT, 1)], axis=1)
    scores = noisy(5 * SHIFT, 2)
    found = Watch(profile).look(rows(profile, x=x, y_pred=scores))
    by_name = {name: [] for name in ("adwin:x.a", "adwin:x.b", "page_hinkley:score")}
    for one in found:
        by_name[one.signal.detector].append(one.signal.row)
        column = {"x.a": x[:, 0], "x.b": x[:, 1], "score": scores}[one.signal.on]
        assert one.signal.value == column[one.signal.row]
    assert by_name == {
        "adwin:x.a": [],
        "adwin:x.b": alone(profile, x[:, 1]),
        "page_hinkley:score": alone(profile, scores, 1),
    }
    assert by_name["adwin:x.b"]
    assert by_name["page_hinkley:score"]
    assert [one.signal.row for one in found] == sorted(one.signal.row for one in found)


def test_missing_values_are_skipped() -> None:
    profile = watching("adwin:x.a", "adwin:score")
    values = noisy(SHIFT)
    values[::7] = np.nan
    given = rows(profile, x=np.stack([values, values], axis=1), y_pred=values)
    assert [row for _, row, _ in places(Watch(profile), given)] == sorted(
        2 * alone(profile, values)
    )


def test_a_multiclass_score_is_the_probability_of_the_predicted_class() -> None:
    profile = watching(
        {"kind": "hddm_a", "on": "score", "two_sided_test": True},
        task="multiclass",
        loss="log_loss",
        classes=["a", "b", "c"],
    )
    sure = np.where(SHIFT > 0, 0.5, 0.9)
    y_pred = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], axis=1)
    expected = alone(profile, score(y_pred))
    assert expected
    given = rows(profile, y_pred=y_pred)
    assert [row for _, row, _ in places(Watch(profile), given)] == expected


def test_score_detectors_restart_with_each_version_and_feature_detectors_do_not() -> None:
    profile = watching("adwin:score", "adwin:x.a")
    values = noisy(SHIFT)
    versions = ["v1"] * 300 + ["v2"] * 200
    given = rows(profile, x=np.stack([values, values], axis=1), y_pred=values, versions=versions)
    expected = alone(profile, values)
    assert expected
    assert places(Watch(profile), given) == [("adwin:x.a", row, "v2") for row in expected]


def test_scores_of_an_earlier_version_are_skipped() -> None:
    profile = watching("page_hinkley:score")
    values = noisy(0 * SHIFT)
    versions = ["v1"] * 100 + ["v2"] * 400
    for row in range(120, 500, 3):
        versions[row], values[row] = "v1", 50.0
    assert places(Watch(profile), rows(profile, y_pred=values, versions=versions)) == []
    versions[120:] = ["v2"] * 380
    assert places(Watch(profile), rows(profile, y_pred=values, versions=versions)) != []


def test_a_publication_restarts_the_score_where_records_do_not_say_who_predicted() -> None:
    profile = watching("adwin:score")
    given = rows(profile, y_pred=noisy(SHIFT))
    whole = play(profile, given)
    assert [type(one) for one in whole.outputs] == [Alarm]
    told = play(profile, given, controls={300: published("v2")})
    assert not [one for one in told.outputs if isinstance(one, Alarm)]


@pytest.mark.parametrize("size", [1, 7, 64, 500])
def test_batches_do_not_matter_nor_how_versions_are_told(size: int) -> None:
    profile = watching("kswin:score", "page_hinkley:x.a")
    rng = np.random.default_rng(3)
    values = noisy(SHIFT)
    values[rng.random(500) < 0.1] = np.nan
    names = [None, "v1", "v2", "v3"]
    versions = [names[min(3, i // 150 + int(k))] for i, k in enumerate(rng.random(500) * 1.2)]
    given = rows(profile, x=np.stack([values, values], axis=1), y_pred=values, versions=versions)
    watch = Watch(profile)
    found = [
        (name, at + row, version)
        for at in range(0, 500, size)
        for name, row, version in places(watch, given.select(slice(at, at + size)))
    ]
    assert found == places(Watch(profile), given)
    assert found


def test_an_alarm_names_the_record_before_any_label_comes() -> None:
    profile = watching("adwin:x.a")
    values = noisy(SHIFT)
    played = play(profile, rows(profile, x=np.stack([values, values], axis=1)))
    alarms = [one for one in played.outputs if isinstance(one, Alarm)]
    expected = alone(profile, values)
    assert [one.range for one in alarms] == [f"{STREAM}:0:{row}:{row}" for row in expected]
    assert {(one.detector, one.on) for one in alarms} == {("adwin:x.a", "x.a")}
    assert played.states[0].counters.alarms == len(expected) > 0
