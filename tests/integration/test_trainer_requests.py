"""Requests about records that are not what they were: each ends by name, alone, on a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.kafka.topics import TopicSpec, ensure_topics
from driftloop.messages import RetrainRequested
from driftloop.models import ModelStore, predict
from tests.integration.trainer_rig import TrainerRig


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[TrainerRig]:
    """A trainer's surroundings, cleaned afterwards."""
    made = TrainerRig(tmp_path, kafka_bootstrap)
    yield made
    made.clean()


def _ends(rig: TrainerRig, request: RetrainRequested) -> tuple[str, str]:
    found = rig.outcome(request)
    return found.outcome, found.reason


def _delete(rig: TrainerRig, topic: str) -> None:
    rig.admin.delete_topics([topic])[topic].result(30)
    while topic in rig.admin.list_topics(timeout=10).topics:
        pass


def test_a_topic_that_was_deleted_or_made_anew_fails_its_requests_alone(rig: TrainerRig) -> None:
    """The champion stays: a deleted stream serves on with what it has."""
    gone, gone_data = rig.stream("streams.gone", 100)
    anew, anew_data = rig.stream("streams.anew", 100)
    good, good_data = rig.stream("streams.good", 100)
    for topic, data in ((gone, gone_data), (anew, anew_data)):
        rig.request(topic, data)
    rig.serve()
    for topic in (gone, anew):
        _delete(rig, topic)
    ensure_topics(rig.client, [TopicSpec(anew, 1)])
    requests = [
        rig.request(topic, data, tag=2, version=version)
        for topic, data, version in (
            (gone, gone_data, "v1"),
            (anew, anew_data, "v1"),
            (good, good_data, None),
        )
    ]
    rig.serve()
    assert [_ends(rig, one) for one in requests] == [
        ("failed", "topic-missing"),
        ("failed", "expired-offsets"),
        ("published", ""),
    ]
    assert "retire the stream" in rig.outcome(requests[0]).detail
    assert "made anew" in rig.outcome(requests[1]).detail
    assert sorted((one.stream, one.version) for one in rig.models()) == sorted(
        [(gone, "v1"), (anew, "v1"), (good, "v1")]
    )


def test_a_profile_whose_features_changed_shape_gets_a_version_and_says_what_was_not_compared(
    rig: TrainerRig,
) -> None:
    topic, data = rig.stream("streams.a", 120)
    rig.request(topic, data)
    rig.serve()
    text = rig.config.read_text()
    changed = text.replace('numeric = ["a", "b"], cat', 'numeric = ["b", "a", "d"], cat', 1)
    assert changed != text
    rig.config.write_text(changed)
    _, newer = rig.stream("streams.a", 120, seed=1)
    request = rig.request(topic, newer, version="v1")
    rig.serve()
    finished = rig.outcome(request)
    assert (finished.outcome, finished.version) == ("published", "v2")
    assert "champion v1 has other features" in finished.detail
    assert finished.champion is None
    model = rig.models()[1]
    assert model.parent_version == "v1"
    artifact = ModelStore(rig.settings.store).load(model.uri, model.sha256)
    assert artifact.encoding.numeric == ("b", "a", "d")
    assert np.allclose(predict(artifact, [[0.0, 1.0, np.nan]], [["x"]]), [1.0], atol=0.1)


def _other(i: int, record: dict[str, Any], **x: Any) -> dict[str, Any]:
    del i
    return record | {"x": record["x"] | x}


def test_columns_without_a_number_train_to_a_finite_model_or_fail_by_name(rig: TrainerRig) -> None:
    """One column that is nan or absent tells nothing; all of them, or no label, are refused."""
    nan = float("nan")
    streams = {
        "nan": rig.stream("streams.nan", 120, change=lambda i, one: _other(i, one, a=nan)),
        "list": rig.stream("streams.list", 120, change=lambda i, one: _other(i, one, a=[1, 2])),
        "absent": rig.stream(
            "curves.absent",
            120,
            change=lambda _, one: one | {"x": {"b": one["x"]["b"], "c": one["x"]["c"]}},
        ),
        "late": rig.stream(  # the column ends where the hold-out begins
            "curves.late",
            120,
            change=lambda i, one: _other(i, one, **({"a": None} if i >= 96 else {})),
        ),
        "bare": rig.stream(
            "streams.bare", 120, change=lambda i, one: _other(i, one, a=nan, b=nan, c=None)
        ),
        "unlabelled": rig.stream(
            "streams.unlabelled", 120, change=lambda _, one: one | {"y": float("nan")}
        ),
    }
    requests = {
        name: rig.request(topic, data, profile="curves" if ".curves." in topic else "numbers")
        for name, (topic, data) in streams.items()
    }
    rig.serve()
    ends = {name: _ends(rig, one) for name, one in requests.items()}
    assert ends.pop("bare") == ("failed", "bad-features")
    assert ends.pop("list") == ("failed", "unreadable-records")
    assert ends.pop("unlabelled") == ("failed", "too-few-records")
    store = ModelStore(rig.settings.store)
    published = {one.request_id: one for one in rig.models()}
    for name, end in ends.items():
        assert end == ("published", ""), name
        model = published[requests[name].id]
        artifact = store.load(model.uri, model.sha256)
        got = predict(
            artifact, [[np.nan, 0.5], [3.0, np.nan], [np.nan, np.nan]], [["x", "y", None]]
        )
        assert np.isfinite(got).all(), name


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_numbers_at_the_end_of_their_range_harm_their_own_request_only(rig: TrainerRig) -> None:
    huge, huge_data = rig.stream(
        "streams.huge", 120, change=lambda i, one: _other(i, one, a=(-1.0) ** i * 1e308)
    )
    label, label_data = rig.stream(
        "streams.label", 120, change=lambda i, one: one | {"y": (-1.0) ** i * 1e308}
    )
    good, good_data = rig.stream("streams.good", 120)
    requests = [rig.request(huge, huge_data), rig.request(label, label_data)]
    fine = rig.request(good, good_data)
    rig.serve()
    assert _ends(rig, fine) == ("published", "")
    assert [_ends(rig, one) for one in requests] == [("failed", "diverged")] * 2
    assert [one.stream for one in rig.models()] == [good]


def test_one_class_only_fails_by_its_name_and_one_class_in_the_hold_out_does_not(
    rig: TrainerRig,
) -> None:
    one, one_data = rig.stream("labels.one", 120, change=lambda _, record: record | {"y": 1})
    late, late_data = rig.stream(
        "labels.late", 120, change=lambda i, record: record | {"y": 1} if i >= 90 else record
    )
    only, only_data = rig.stream(
        "labels.only", 120, change=lambda i, record: record | {"y": int(i >= 96)}
    )
    requests = [
        rig.request(topic, data, profile="labels")
        for topic, data in ((one, one_data), (late, late_data), (only, only_data))
    ]
    rig.serve()
    assert _ends(rig, requests[0]) == ("failed", "one-class")
    assert "label '1'" in rig.outcome(requests[0]).detail
    assert rig.outcome(requests[1]).outcome in {"published", "rejected"}
    assert _ends(rig, requests[2]) == ("failed", "one-class")  # to train on; the other is held out
    assert len(rig.trainings()) == 3


def test_ten_records_fail_by_name_or_are_served_where_the_profile_allows_it(
    rig: TrainerRig,
) -> None:
    few, few_data = rig.stream("streams.ten", 10)
    curve, curve_data = rig.stream("curves.ten", 10)
    refused = rig.request(few, few_data)
    rig.serve()
    assert _ends(rig, refused) == ("failed", "too-few-records")
    assert "10 labelled records" in rig.outcome(refused).detail
    rig.config.write_text(rig.config.read_text().replace("min_records = 40", "min_records = 10"))
    requests = [
        rig.request(few, few_data, tag=2),
        rig.request(curve, curve_data, profile="curves"),
    ]
    rig.serve()
    assert [rig.outcome(one).outcome for one in requests] == ["published", "published"]
    assert [one.cost.records for one in rig.models() if one.cost] == [10, 10]


def test_ten_million_records_are_refused_before_they_are_read(rig: TrainerRig) -> None:
    """By the trainer's own limit; where that is raised, by the memory or by what the topic has."""
    topic, _ = rig.stream("streams.long", 100)
    good, good_data = rig.stream("streams.good", 100)
    many = f"{topic}:0:0:9999999"
    requests = [rig.request(topic, many)]
    rig.serve()
    assert _ends(rig, requests[0]) == ("failed", "too-many-records")
    assert "10,000,000 records" in rig.outcome(requests[0]).detail
    assert "trainer.max_records" in rig.outcome(requests[0]).detail
    text = rig.config.read_text()
    rig.config.write_text(text.replace("[trainer]\n", "[trainer]\nmax_records = 20_000_000\n"))
    again, fine = rig.request(topic, many, tag=2), rig.request(good, good_data)
    rig.serve()
    assert _ends(rig, fine) == ("published", "")
    finished = rig.outcome(again)
    assert finished.outcome == "failed"
    if finished.reason == "too-many-records":
        assert "are free" in finished.detail
    else:
        assert finished.reason == "expired-offsets"
        assert "made anew" in finished.detail


def test_a_version_that_is_missing_from_the_store_fails_the_request_by_its_place(
    rig: TrainerRig,
) -> None:
    """Its folder is gone; others of the same batch are served."""
    topic, data = rig.stream("streams.a", 100)
    rig.request(topic, data)
    rig.serve()
    (manifest,) = rig.store.rglob("model.json")
    place = manifest.parent
    place.rename(rig.folder / "elsewhere")
    good, good_data = rig.stream("streams.good", 100)
    request, fine = rig.request(topic, data, tag=2, version="v1"), rig.request(good, good_data)
    rig.serve()
    assert _ends(rig, request) == ("failed", "champion-missing")
    assert str(place) in rig.outcome(request).detail
    assert _ends(rig, fine) == ("published", "")
    (rig.folder / "elsewhere").rename(place)
    _, newer = rig.stream("streams.a", 100, seed=1, slope=4.0)
    cured = rig.request(topic, newer, tag=3, version="v1")
    rig.serve()
    assert rig.outcome(cured).version == "v2"
