"""A backtest reads from a real Kafka what the monitor's decoder reads, in the order of arrival."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.backtest import topics
from driftloop.backtest.address import Bound, parse_address
from driftloop.backtest.data import open_source
from driftloop.backtest.source import StreamData
from driftloop.backtest.topics import KafkaSource
from driftloop.errors import DataError, KafkaUnavailableError
from driftloop.records import Columns, RecordDecoder, join
from driftloop.settings import CycleWindow, Features, Profile

MakeTopic = Callable[..., str]
T0 = 1_700_000_000_000
FEATURES = Features(numeric=["a", "b"], categorical=["c"])
PROFILE = Profile(features=FEATURES)
CYCLES = CycleWindow(kind="cycle", length="1d", lateness="1h")


def message(i: int, **more: Any) -> dict[str, Any]:
    """A record without its label."""
    x = {"a": i / 3, "b": None if i % 7 == 0 else i, "c": "xyz"[i % 3]}
    return {"id": f"r{i}", "ts": T0 + 60_000 * i, "x": x, "y_pred": i / 5, **more}


def label(i: int) -> dict[str, Any]:
    """Its label, in a record of its own."""
    return {"id": f"r{i}", "ts": T0 + 60_000 * i + 30_000, "y": i / 4}


KEPT = {"retention.ms": "-1"}
"""The records are of 2023: a broker would soon take them for expired."""


def produce(
    servers: str,
    topic: str,
    values: Sequence[Any],
    partition: int = 0,
    at: int = T0,
    step: int = 1000,
) -> list[bytes]:
    """Write messages with Kafka timestamps `at`, `at` + `step`, …; returns their bytes."""
    raw = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5})
    for i, value in enumerate(raw):
        producer.produce(topic, value, partition=partition, timestamp=at + step * i)
    assert producer.flush(30) == 0
    return raw


def decoded(
    profile: Profile, topic: str, raw: list[bytes], partition: int = 0, first: int = 0, at: int = T0
) -> Columns:
    """What the monitor decodes of the same messages."""
    stamps = [at + 1000 * i for i in range(len(raw))]
    offsets = range(first, first + len(raw))
    return RecordDecoder(profile).decode(topic, partition, raw, offsets, stamps)[0]


def same(found: Columns, wanted: Columns) -> None:
    for name in Columns.__slots__:
        one, other = getattr(found, name), getattr(wanted, name)
        if isinstance(one, list):
            assert one == other, name
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


def url(servers: str, pattern: str, **bounds: Any) -> str:
    more = "".join(f"&{name.rstrip('_')}={value}" for name, value in bounds.items())
    return f"kafka://{pattern}?bootstrap={servers}{more}"


def test_columns_are_the_decoders_and_labels_stay_in_order_of_arrival(
    kafka_bootstrap: str,
    make_topic: MakeTopic,
    topic_name: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topics, "_PIECE", 97)  # read in many pieces
    prefix = topic_name("bt")
    made = [make_topic(f"{prefix}.{name}", config=KEPT) for name in ("a", "b")]
    make_topic(f"{prefix}.empty", config=KEPT)
    raw = {}
    for k, topic in enumerate(made):
        values: list[Any] = []
        for i in range(400):
            values.append(message(i + k))
            if i >= 30:
                values.append(label(i - 30 + k))
        values.insert(50, b"no json")
        values.insert(90, message(1, y="text"))
        raw[topic] = produce(kafka_bootstrap, topic, values)
    source = open_source(url(kafka_bootstrap, rf"{prefix}\..+"), PROFILE)
    assert source.streams == made
    assert source.notes == [f"without records within from and to: {prefix}.empty"]
    source = pickle.loads(pickle.dumps(source))  # noqa: S301
    for topic in made:
        data = source.read(topic)
        wanted = decoded(PROFILE, topic, raw[topic])
        same(data.columns, wanted)
        same(data.labelled, join(wanted))
        assert len(data.labelled) == 370
        assert data.has_predictions
        assert data.dead_letters == 2
        assert data.notes[0].startswith(
            f"2 records could not be read; the first: {topic}[0]@50: a record is a JSON object"
        )
    with pytest.raises(DataError, match="there is no stream 'other'"):
        source.read("other")


def test_many_streams_are_read_at_once_and_one_that_went_away_spares_the_others(
    kafka_bootstrap: str,
    make_topic: MakeTopic,
    topic_name: Callable[..., str],
    admin: AdminClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topics, "_BATCH", 100)
    prefix = topic_name("many")
    made = [make_topic(f"{prefix}.{k}", config=KEPT) for k in range(5)]
    for topic in made:
        produce(kafka_bootstrap, topic, [message(i, y=i) for i in range(40)])
    source = open_source(url(kafka_bootstrap, rf"{prefix}\..+"), PROFILE)
    alone = {topic: source.read(topic) for topic in made}
    for future in admin.delete_records([TopicPartition(made[1], 0, 7)]).values():
        future.result(timeout=30)
    found = dict(source.read_all([*made, "other"]))
    assert set(found) == {*made, "other"}
    for topic in made:
        data = found[topic]
        if topic == made[1]:
            assert isinstance(data, DataError)
            assert f"{topic}: cannot be read: range {topic}:0:0:39" in str(data)
        else:
            assert isinstance(data, StreamData)
            same(data.columns, alone[topic].columns)
    assert "there is no stream 'other'" in str(found["other"])


def test_ranges_by_offset_and_by_time(kafka_bootstrap: str, make_topic: MakeTopic) -> None:
    topic = make_topic(config=KEPT)
    raw = produce(kafka_bootstrap, topic, [message(i, y=i) for i in range(100)])

    def offsets(**bounds: Any) -> list[int]:
        source = open_source(url(kafka_bootstrap, topic, **bounds), PROFILE)
        assert isinstance(source, KafkaSource)
        columns = source.read(topic).columns
        part = raw[columns.offsets[0] : columns.offsets[-1] + 1]
        first = int(columns.offsets[0])
        same(columns, decoded(PROFILE, topic, part, first=first, at=T0 + 1000 * first))
        found = [int(columns.offsets[0]), int(columns.offsets[-1])]
        assert [(one.first, one.last) for one in source.ranges[topic]] == [tuple(found)]
        return found

    assert offsets() == [0, 99]
    assert offsets(from_=10, to=19) == [10, 19]
    assert offsets(from_=90, to=1000) == [90, 99]
    assert offsets(from_=T0 + 5000, to=T0 + 8000) == [5, 7]
    assert offsets(from_=T0 + 4001) == [5, 99]
    assert offsets(from_="earliest", to="2023-11-14T22:13:30Z") == [0, 9]
    assert offsets(from_="2023-11-14T23:13:30+01:00", to="latest") == [10, 99]
    for bounds in ({"from_": 100}, {"from_": T0 + 10**9}, {"from_": 5, "to": 4}):
        with pytest.raises(DataError, match=f"no record of {topic} lies within from and to"):
            open_source(url(kafka_bootstrap, topic, **bounds), PROFILE)


def test_partitions_meet_in_event_time_or_are_streams_of_their_own(
    kafka_bootstrap: str, make_topic: MakeTopic
) -> None:
    topic = make_topic(partitions=3, config=KEPT)
    ahead = T0 + 10**9
    raw = [
        produce(kafka_bootstrap, topic, [message(i, y=i) for i in rows], part, at=ahead)
        for part, rows in enumerate([range(0, 90, 2), range(1, 90, 2), []])
    ]
    each = PROFILE.model_copy(update={"partitions": "each"})
    source = open_source(url(kafka_bootstrap, topic), each)
    assert source.streams == [f"{topic}:0", f"{topic}:1"]
    for part in (0, 1):
        wanted = decoded(each, topic, raw[part], part, at=ahead)
        same(source.read(f"{topic}:{part}").columns, wanted)
    data = open_source(
        url(kafka_bootstrap, topic), PROFILE.model_copy(update={"window": CYCLES})
    ).read(topic)
    assert data.partitions == 3
    assert data.notes == ("no records in partition 2: it holds the whole stream back",)
    assert data.columns.ids == [f"r{i}" for i in range(90)]
    assert data.columns.partitions.tolist() == [0, 1] * 45
    for chunk in data.chunks(20):
        assert len(set(chunk.partitions.tolist())) == 1
        assert (np.diff(chunk.offsets) == 1).all()
    with pytest.raises(DataError, match="windows by count need one partition, got 3"):
        open_source(url(kafka_bootstrap, topic), PROFILE).read(topic)


def test_a_profile_is_guessed_of_what_is_on_kafka(
    kafka_bootstrap: str, make_topic: MakeTopic
) -> None:
    topic = make_topic(config=KEPT)
    raw = produce(kafka_bootstrap, topic, [message(i, y=["no", "yes"][i % 2]) for i in range(6)])
    produce(kafka_bootstrap, topic, [b"no json"])
    source = open_source(url(kafka_bootstrap, topic, to=5))
    profile = source.profile
    assert (profile.task, profile.classes, profile.fields.x) == ("binary", ["no", "yes"], "x")
    assert (profile.features.numeric, profile.features.categorical) == (["a", "b"], ["c"])
    source.profile = profile.model_copy(update={"task": "multiclass", "loss": "zero_one"})
    with pytest.raises(DataError, match=f"{topic}: none of 6 records can be read; the first: "):
        source.read(topic)  # y_pred is a number, and no class
    source.profile = PROFILE.model_copy(
        update={"task": "binary", "loss": "zero_one", "classes": ["no", "yes"]}
    )
    same(source.read(topic).columns, decoded(source.profile, topic, raw))


def test_what_cannot_be_read_is_told(kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no topic matches 'no-such-.*', of [0-9]+ topics"):
        open_source(url(kafka_bootstrap, "no-such-.*"), PROFILE)
    monkeypatch.setattr(topics, "_ANSWER", 0.5)
    with pytest.raises(KafkaUnavailableError, match=r"no broker answers at 127\.0\.0\.1:1: "):
        open_source(url("127.0.0.1:1", "a"), PROFILE)


def test_addresses() -> None:
    """A pattern may hold what a query does; times keep their plus."""
    found = parse_address(r"kafka://a?b\..+?bootstrap=h:1,i:2&from=2024-01-01T01:00:00+01:00")
    assert (found.pattern.pattern, found.bootstrap) == (r"a?b\..+", "h:1,i:2")
    assert (found.first, found.end) == (Bound("time", 1_704_067_200_000), Bound("latest"))
    assert parse_address("kafka://a").first == Bound("earliest")
    assert parse_address("kafka://a%2Bb?to=7").end == Bound("offset", 7)
    for text, said in {
        "kafka://": "topics are named as kafka://topic-pattern",
        "kafka://a(": "the topic pattern is a regular expression: ",
        "kafka://a?from=1&until=2": "stand bootstrap, from and to; got 'until'",
        "kafka://a?from=soon": "'from' is earliest, latest, an offset, or a time as .*; got 'soon'",
        "kafka://a?to=-1": "'to' is earliest",
    }.items():
        with pytest.raises(DataError, match=said):
            parse_address(text)
    with pytest.raises(DataError, match="no broker is named"):
        open_source("kafka://a", PROFILE)
