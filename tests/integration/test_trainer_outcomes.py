"""Every retrain request ends in exactly one outcome, on a real Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import TopicPartition

from driftloop.kafka.producer import CheckedProducer
from driftloop.messages import encode, event_id
from driftloop.messages.envelope import header
from driftloop.models import ModelStore, predict
from driftloop.records import Columns
from driftloop.trainer import load as loading
from driftloop.trainer.load import Wanted
from tests.integration.trainer_rig import TrainerRig


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[TrainerRig]:
    """A trainer's surroundings, cleaned afterwards."""
    made = TrainerRig(tmp_path, kafka_bootstrap)
    yield made
    made.clean()


def test_all_kinds_are_published_and_can_be_loaded(rig: TrainerRig) -> None:
    requests = {}
    for name, profile in (("streams", "numbers"), ("curves", "curves"), ("labels", "labels")):
        topic, data = rig.stream(f"{name}.one", 300, split=name == "streams")
        requests[profile] = rig.request(topic, data, profile=profile)
    rig.serve()
    models = {event.profile: event for event in rig.models()}
    assert sorted(models) == ["curves", "labels", "numbers"]
    for profile, request in requests.items():
        finished, model = rig.outcome(request), models[profile]
        assert (finished.outcome, finished.version) == ("published", "v1"), finished
        assert (model.sequence, model.parent_version, model.request_id) == (1, None, request.id)
        assert model.id == event_id(request.stream, "p", "model", [request.id])
        assert finished.id == event_id(request.stream, "p", "training", [request.id])
        assert finished.challenger["loss"] < 0.6 * finished.challenger["baseline"]
        artifact = ModelStore(rig.settings.store).load(model.uri, model.sha256)
        if profile == "numbers":
            got = predict(artifact, [[1.0, 0.0], [0.0, 1.0]], [["x", "new"]])
            assert np.allclose(got, [1.0, -2.0], atol=0.1)


def test_versions_follow_one_another_and_keep_their_trace(rig: TrainerRig) -> None:
    topic, data = rig.stream("streams.a", 200)
    first = rig.request(topic, data)
    rig.serve()
    _, newer = rig.stream("streams.a", 200, seed=1, slope=5.0)
    second = rig.request(topic, newer, version="v1")
    rig.serve()
    assert [event.version for event in rig.models()] == ["v1", "v2"]
    assert rig.models()[1].parent_version == "v1"
    assert rig.outcome(second).champion["loss"] > rig.outcome(second).challenger["loss"]
    traces = {}
    for message in rig.messages(rig.settings.topics.models):
        traces[json.loads(message.value())["request_id"]] = header(message.headers(), "traceparent")
    sent = {one.id: header(encode(one).headers, "traceparent") for one in (first, second)}
    for name, trace in traces.items():
        assert trace.split("-")[1] == sent[name].split("-")[1]
        assert trace.split("-")[2] != sent[name].split("-")[2]


def test_a_worse_challenger_is_rejected(rig: TrainerRig) -> None:
    topic, data = rig.stream("streams.a", 400)
    rig.request(topic, data)
    rig.serve()

    def spoil(i: int, record: dict) -> dict:
        return record | {"y": record["y"] + (40.0 * (i % 7) if i < 40 else 0.0)}

    _, poor = rig.stream("streams.a", 60, seed=2, change=spoil)
    request = rig.request(topic, poor)
    rig.serve()
    finished = rig.outcome(request)
    assert (finished.outcome, finished.reason) == ("rejected", "worse")
    assert "training.margin" in finished.detail
    assert [event.version for event in rig.models()] == ["v1"]


def test_older_requests_of_a_stream_are_superseded_and_repeated_ones_answered_once(
    rig: TrainerRig,
) -> None:
    topic, data = rig.stream("streams.a", 200)
    older = [rig.request(topic, data, tag=i) for i in range(2)]
    newest = rig.request(topic, data, tag="newest")
    rig.request(topic, data, tag=0)
    rig.request(topic, data, tag="newest")
    rig.serve()
    rig.request(topic, data, tag="newest")
    rig.request(topic, data, tag=1)
    rig.serve()
    assert len(rig.trainings()) == 3
    assert rig.outcome(newest).outcome == "published"
    for request in older:
        finished = rig.outcome(request)
        assert finished.outcome == "superseded"
        assert newest.id[:12] in finished.detail
    assert len(rig.models()) == 1


def test_expired_and_missing_records_fail_with_advice(rig: TrainerRig) -> None:
    topic, data = rig.stream("streams.old", 200)
    rig.admin.delete_records([TopicPartition(topic, 0, 50)])[TopicPartition(topic, 0)].result(30)
    expired = rig.request(topic, data)
    gone = rig.request(f"{rig.prefix}.streams.none", f"{rig.prefix}.streams.none:0:0:99")
    beyond_topic, beyond_data = rig.stream("streams.short", 60)
    beyond = rig.request(beyond_topic, beyond_data.replace(":59", ":99"))
    good_topic, good_data = rig.stream("streams.good", 200)
    good = rig.request(good_topic, good_data)
    rig.serve()
    assert rig.outcome(good).outcome == "published"
    assert rig.outcome(expired).reason == "expired-offsets"
    assert "retention" in rig.outcome(expired).detail
    assert data in rig.outcome(expired).detail
    assert rig.outcome(gone).reason == "topic-missing"
    assert rig.outcome(beyond).reason == "expired-offsets"
    assert "made anew" in rig.outcome(beyond).detail


def test_bad_data_and_profiles_fail_with_advice(rig: TrainerRig) -> None:
    few_topic, few_data = rig.stream("streams.few", 30)
    bare_topic, bare_data = rig.stream(
        "streams.bare", 60, change=lambda _, record: record | {"x": {"other": 1}}
    )
    same_topic, same_data = rig.stream(
        "labels.same", 60, change=lambda _, record: record | {"y": 1}
    )
    cases = {
        "too-few-records": (rig.request(few_topic, few_data), "training.min_records is 40"),
        "bad-features": (rig.request(bare_topic, bare_data), "fields.x"),
        "one-class": (rig.request(same_topic, same_data, profile="labels"), "training.window"),
    }
    rig.serve()
    cases |= {
        "unknown-profile": (rig.request(few_topic, few_data, tag=1, profile="x"), "driftloop.toml"),
        "bad-ranges": (rig.request(bare_topic, f"{bare_topic}:0:9:2", tag=1), "ends after"),
    }
    rig.serve()
    for reason, (request, advice) in cases.items():
        finished = rig.outcome(request)
        assert (finished.outcome, finished.reason) == ("failed", reason), finished
        assert advice in finished.detail
    assert not rig.models()


def test_what_is_no_request_becomes_a_dead_letter_and_the_trainer_goes_on(rig: TrainerRig) -> None:
    with CheckedProducer(rig.client) as producer:
        producer.produce(rig.settings.topics.retrain, key=b"k", value=b"\xff not json")
        producer.produce(rig.settings.topics.retrain, key=b"k", value=None)
    topic, data = rig.stream("streams.a", 100)
    request = rig.request(topic, data)
    rig.serve()
    assert rig.outcome(request).outcome == "published"
    letters = rig.messages(rig.settings.topics.dlq)
    assert sorted(letter.value() or b"" for letter in letters) == [b"", b"\xff not json"]
    assert {header(one.headers(), "__streams.errors.exception") for one in letters} == {"bad-event"}


@pytest.mark.parametrize("fault", ["corrupted", "missing"])
def test_a_damaged_champion_fails_the_request_and_a_tombstone_cures_it(
    rig: TrainerRig, fault: str
) -> None:
    topic, data = rig.stream("streams.a", 200)
    rig.request(topic, data)
    rig.serve()
    (weights,) = rig.store.rglob("weights.safetensors")
    if fault == "corrupted":
        weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    else:
        weights.unlink()
    request = rig.request(topic, data, tag=2)
    rig.serve()
    finished = rig.outcome(request)
    assert (finished.outcome, finished.reason) == ("failed", f"champion-{fault}")
    assert "tombstone" in finished.detail
    with CheckedProducer(rig.client) as producer:
        producer.produce(rig.settings.topics.models, key=topic.encode(), value=None)
    again = rig.request(topic, data, tag=3)
    rig.serve()
    assert rig.outcome(again).outcome == "published"
    assert rig.outcome(again).version == "v2"


def test_an_unwritable_store_fails_the_request_and_the_trainer_goes_on(rig: TrainerRig) -> None:
    topic, data = rig.stream("streams.a", 200)
    rig.store.write_text("a file where the folder should be")
    request = rig.request(topic, data)
    rig.serve()
    finished = rig.outcome(request)
    assert (finished.outcome, finished.reason) == ("failed", "store-unwritable")
    assert "store.uri" in finished.detail
    rig.store.unlink()
    again = rig.request(topic, data, tag=2)
    rig.serve()
    assert rig.outcome(again).version == "v1"


def test_too_many_records_fail_by_name_and_long_ranges_are_decoded_in_pieces(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, place = rig.stream("streams.long", records=330)
    many = rig.request(topic, f"{topic}:0:0:9999999")
    rig.serve()
    outcome = rig.outcome(many)
    assert (outcome.outcome, outcome.reason) == ("failed", "too-many-records")
    wanted = {"r": Wanted(rig.settings.profiles["numbers"], [place])}
    whole = loading.load(rig.client, wanted, lambda: None)["r"]
    monkeypatch.setattr(loading, "_PIECE", 100)
    parts = loading.load(rig.client, wanted, lambda: None)["r"]
    assert isinstance(whole, Columns)
    assert isinstance(parts, Columns)
    assert len(parts) == len(whole) == 330
    assert np.array_equal(parts.x, whole.x)
    assert parts.offsets.tolist() == whole.offsets.tolist()
    assert parts.categories == whole.categories
