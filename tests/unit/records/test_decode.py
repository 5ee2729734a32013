"""Decoding of messages: golden cases of every field, and dead letters with their coordinates."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from driftloop.records import Columns, DeadLetter, RecordDecoder
from driftloop.settings import Features, Fields, Profile

KAFKA_MS = 1_700_000_000_000
NOW = {"kind": "cycle", "length": "1d"}


def decode(
    profile: Profile, *values: bytes | dict[str, Any] | None, kafka: list[int] | None = None
) -> tuple[Columns, list[DeadLetter]]:
    """Decode messages at offsets 100, 101, … of streams.a[3]."""
    raw = [json.dumps(v).encode() if isinstance(v, dict) else v for v in values]
    times = kafka or [KAFKA_MS + i for i in range(len(raw))]
    return RecordDecoder(profile).decode(
        "streams.a",
        3,
        raw,
        range(100, 100 + len(raw)),
        times,
        lambda i: b"key-%d" % i,
    )


def one(profile: Profile, value: bytes | dict[str, Any]) -> Columns:
    """The record that a message holds."""
    columns, dead = decode(profile, value)
    assert not dead, dead
    return columns


def reason(profile: Profile, value: bytes | dict[str, Any] | None) -> str:
    """Why a message is refused."""
    columns, dead = decode(profile, value)
    assert len(columns) == 0
    return dead[0].reason


PLAIN = Profile(features=Features(numeric=["a", "b"], categorical=["c"]))


def test_every_field_of_the_default_contract_is_read() -> None:
    found = one(
        PLAIN,
        {
            "id": "r1",
            "ts": 1_600_000_000_000,
            "x": {"a": 1.5, "b": 2, "c": "red", "unknown": [1, {}]},
            "y_pred": 3,
            "y": 4.25,
            "loss": 1.25,
            "model_version": "v2",
            "more": None,
        },
    )
    assert found.partitions.tolist() == found.origin_partitions.tolist() == [3]
    assert found.offsets.tolist() == found.origin_offsets.tolist() == [100]
    assert found.ts.tolist() == [1_600_000_000_000.0]
    assert (found.ids, found.versions, found.categories) == (["r1"], ["v2"], [["red"]])
    assert found.x.tolist() == [[1.5, 2.0]]
    assert (found.y_pred.tolist(), found.y.tolist(), found.loss.tolist()) == ([3], [4.25], [1.25])


def test_absent_and_null_fields_are_missing_and_the_time_is_kafkas() -> None:
    nulls = {"id": None, "ts": None, "x": None, "y_pred": None, "y": None, "model_version": None}
    for value in ({}, nulls, {"x": {"a": None, "c": None}}):
        found = one(PLAIN, value)
        assert found.ts.tolist() == [KAFKA_MS]
        assert (found.ids, found.versions, found.categories) == ([None], [None], [[None]])
        for column in (found.x, found.y_pred, found.y, found.loss):
            assert np.isnan(column).all()


def test_numbers_that_are_not_finite_are_missing_values_and_spoil_no_other() -> None:
    raw = b'{"id": "1", "x": {"a": NaN, "b": 1e999}, "y": -Infinity, "y_pred": Infinity, "loss": 1}'
    columns, dead = decode(PLAIN, raw, {"id": "2", "x": {"a": 1.0, "b": 2.0}, "y": 3.0})
    assert not dead
    assert np.isnan([*columns.x[0], columns.y[0], columns.y_pred[0]]).all()
    assert columns.loss[0] == 1.0
    assert columns.x[1].tolist() == [1.0, 2.0]
    assert columns.ids == ["1", "2"]


def test_ids_versions_and_categories_that_are_numbers_become_texts() -> None:
    found = one(PLAIN, {"id": 17, "model_version": 3, "x": {"c": 2.0}})
    assert (found.ids, found.versions, found.categories) == (["17"], ["3"], [["2"]])
    assert one(PLAIN, {"x": {"c": 2.5}}).categories == [["2.5"]]
    assert one(PLAIN, {"x": {"c": True}}).categories == [["true"]]
    assert one(PLAIN, b'{"x": {"c": NaN}}').categories == [[None]]


def test_fields_lie_on_nested_paths_and_null_objects_on_the_way_are_missing() -> None:
    profile = Profile(
        fields=Fields(
            id="meta.id", ts="meta.time.event", x="in.features", y="out.truth", y_pred="out.guess"
        ),
        features=Features(numeric=["deep.a", "b"]),
    )
    full = {
        "meta": {"id": "7", "time": {"event": 5}},
        "in": {"features": {"deep": {"a": 1}, "b": 2}},
        "out": {"truth": 3, "guess": 4},
    }
    columns, dead = decode(
        profile,
        full,
        {"meta": None, "in": None, "out": None},
        {"meta": {"id": "8", "time": None}, "in": {"features": {"deep": None, "b": 2}}},
        {"meta": 5},
    )
    assert columns.ids == ["7", None, "8"]
    assert columns.ts.tolist() == [5.0, KAFKA_MS + 1, KAFKA_MS + 2]
    assert columns.x[0].tolist() == [1.0, 2.0]
    assert np.isnan(columns.x[1]).all()
    assert np.isnan(columns.x[2, 0])
    assert columns.x[2, 1] == 2.0
    assert (columns.y[0], columns.y_pred[0]) == (3.0, 4.0)
    assert [(letter.offset, letter.reason) for letter in dead] == [(103, "wrong-type")]


def test_flat_records_have_their_features_beside_the_other_fields() -> None:
    profile = Profile(
        fields=Fields(x="", loss="", model_version=""), features=Features(numeric=["a"])
    )
    found = one(profile, {"id": "1", "a": 2, "y": 3, "loss": "unread", "model_version": [1]})
    assert found.x.tolist() == [[2.0]]
    assert np.isnan(found.loss).all()
    assert found.versions == [None]


def test_roles_may_share_a_field_and_each_reads_it_as_its_own() -> None:
    profile = Profile(
        fields=Fields(x=""), features=Features(numeric=["id", "ts"], categorical=["y"])
    )
    columns, dead = decode(
        profile,
        {"id": "12", "ts": "2013-01-01T00:00:00Z", "y": 1},
        {"id": 5, "ts": 1000, "y": 2.5},
        {"id": 10**30, "ts": 1000},
    )
    assert not dead
    assert columns.ids == ["12", "5", str(10**30)]
    assert columns.ts.tolist() == [1_356_998_400_000.0, 1000.0, 1000.0]
    np.testing.assert_array_equal(columns.x, [[np.nan, np.nan], [5, 1000], [1e30, 1000]])
    assert columns.categories == [["1", "2.5", None]]
    assert columns.y[:2].tolist() == [1.0, 2.5]


def test_features_may_be_an_array_of_exactly_the_named_length() -> None:
    profile = Profile(features=Features(numeric=["a", "b"], array=True))
    columns, dead = decode(
        profile, {"x": [1, 2.5]}, {"x": [1]}, {"x": [None, 4]}, {}, {"x": []}, {"x": [1, "2"]}
    )
    np.testing.assert_array_equal(columns.x, [[1, 2.5], [np.nan, 4], [np.nan, np.nan]])
    assert columns.offsets.tolist() == [100, 102, 103]
    assert [(letter.offset, letter.reason) for letter in dead] == [
        (101, "bad-features"),
        (104, "bad-features"),
        (105, "wrong-type"),
    ]
    assert "array of 2 numbers, got 1" in dead[0].detail


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2013-01-01T00:00:00Z", 1_356_998_400_000.0),
        ("2013-01-01T01:00:00+01:00", 1_356_998_400_000.0),
        ("2013-01-01T00:00:00.123Z", 1_356_998_400_123.0),
        ("2013-01-01T00:00:00.123456789Z", 1_356_998_400_123.456),
        ("2013-01-01 00:00:00", 1_356_998_400_000.0),
        ("20130101", 1_356_998_400_000.0),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000.0),
    ],
)
def test_times_may_be_rfc_3339_and_mean_the_same_in_any_company(text: str, ms: float) -> None:
    profile = Profile(max_future="4000000d")  # no bound to speak of
    alone, _ = decode(profile, {"ts": text})
    among, _ = decode(profile, {"ts": 5}, {"ts": text}, {"ts": "2014-01-01T00:00:00Z"}, {})
    assert alone.ts.tolist() == [ms]
    assert among.ts[1] == ms


@pytest.mark.parametrize(
    "value", ["12345", "soon", "", "2013-13-01T00:00:00Z", -1, 1e300, 253_402_300_800_000]
)
def test_what_is_no_time_is_refused_alone_and_in_company(value: Any) -> None:
    assert reason(PLAIN, {"ts": value}) == "bad-timestamp"
    columns, dead = decode(PLAIN, {"ts": "2013-01-01T00:00:00Z"}, {"ts": value}, {"ts": 1.5})
    assert columns.offsets.tolist() == [100, 102]
    assert [letter.offset for letter in dead] == [101]


def test_a_record_without_any_usable_time_is_refused() -> None:
    columns, dead = decode(PLAIN, {}, {"ts": 7}, kafka=[-1, -1])
    assert columns.ts.tolist() == [7.0]
    assert [letter.reason for letter in dead] == ["bad-timestamp"]
    assert "Kafka timestamp, got -1" in dead[0].detail


def test_records_from_far_ahead_of_their_own_kafka_timestamp_are_refused() -> None:
    """Kafka timestamps need not be in order: each record counts against its own."""
    day = 86_400_000
    profile = Profile(max_future="7d", window=NOW)
    kafka = [100 * day, 10 * day, 10 * day, 10 * day]
    values = [{"ts": 100 * day}, {"ts": 17 * day}, {"ts": 17 * day + 1}, {"ts": 1}]
    columns, dead = decode(profile, *values, kafka=kafka)
    assert columns.offsets.tolist() == [100, 101, 103]
    assert [(letter.offset, letter.reason) for letter in dead] == [(102, "bad-timestamp")]
    assert "max_future" in dead[0].detail


BINARY = Profile(task="binary", loss="log_loss")
NAMED = Profile(task="binary", loss="log_loss", classes=["no", "yes"])
MANY = Profile(task="multiclass", loss="log_loss", classes=["a", "b", "3"])


@pytest.mark.parametrize(
    ("profile", "label", "code"),
    [
        (BINARY, 0, 0.0),
        (BINARY, 1.0, 1.0),
        (BINARY, True, 1.0),
        (BINARY, None, None),
        (NAMED, "yes", 1.0),
        (NAMED, "no", 0.0),
        (MANY, "b", 1.0),
        (MANY, 3, 2.0),
        (MANY, "3", 2.0),
    ],
)
def test_labels_become_class_indices(profile: Profile, label: Any, code: float | None) -> None:
    found = one(profile, {"y": label}).y[0]
    assert np.isnan(found) if code is None else found == code


@pytest.mark.parametrize(
    ("profile", "label"),
    [(BINARY, 2), (BINARY, "1"), (BINARY, 0.5), (NAMED, "maybe"), (NAMED, 1), (MANY, "A")],
)
def test_labels_that_are_no_class_are_refused_with_the_rule(profile: Profile, label: Any) -> None:
    _, dead = decode(profile, {"y": label})
    assert dead[0].reason == "bad-label"
    assert f"got {label!r}" in dead[0].detail


@pytest.mark.parametrize(
    ("profile", "prediction", "expected"),
    [
        (BINARY, 0.25, 0.25),
        (BINARY, [0.75, 0.25], 0.25),
        (BINARY, True, 1.0),
        (NAMED, "yes", 1.0),
        (NAMED, 0.5, 0.5),
        (MANY, [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
        (MANY, "b", [0.0, 1.0, 0.0]),
        (MANY, 3, [0.0, 0.0, 1.0]),
    ],
)
def test_predictions_become_probabilities(profile: Profile, prediction: Any, expected: Any) -> None:
    assert one(profile, {"y_pred": prediction}).y_pred[0].tolist() == expected


@pytest.mark.parametrize(
    ("profile", "prediction"),
    [
        (BINARY, 1.5),
        (BINARY, -0.1),
        (BINARY, [1.0]),
        (BINARY, "x"),
        (NAMED, "maybe"),
        (MANY, [0.5, 0.5]),
        (MANY, [2.0, 0.0, 0.0]),
        (MANY, "d"),
    ],
)
def test_predictions_that_fit_no_class_are_refused(profile: Profile, prediction: Any) -> None:
    assert reason(profile, {"y_pred": prediction}) == "bad-prediction"


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity"])
def test_labels_and_probabilities_that_are_not_finite_are_missing(literal: bytes) -> None:
    for profile in (BINARY, NAMED, MANY):
        found = one(profile, b'{"y": %s, "y_pred": %s}' % (literal, literal))
        assert np.isnan(found.y).all()
        assert not found.has_prediction.any()
    found = one(MANY, b'{"y_pred": [0.5, %s, 0.5]}' % literal)
    assert np.isnan(found.y_pred).all()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\x00\xff", "not-json"),
        (b'{"id": "1"', "not-json"),
        (b'{"id": "\\ud800"}', "not-json"),
        (b"[" * 100_000, "not-json"),
        (b'{"y": ' + b"9" * 5000 + b"}", "not-json"),
        (b"[1, 2]", "wrong-type"),
        (b"17", "wrong-type"),
        (b"null", "wrong-type"),
        (b'{"y": "1.5"}', "wrong-type"),
        (b'{"y": [1]}', "wrong-type"),
        (b'{"id": {"a": 1}}', "wrong-type"),
        (b'{"x": 5}', "wrong-type"),
        (b'{"x": {"a": "1"}}', "wrong-type"),
        (b'{"ts": true}', "wrong-type"),
    ],
)
def test_unreadable_bytes_have_a_reason(value: bytes | None, expected: str) -> None:
    assert reason(PLAIN, value) == expected


def test_dead_letters_keep_bytes_key_time_and_coordinates_and_the_rest_goes_on() -> None:
    columns, dead = decode(PLAIN, {"id": "1"}, b"bad", {"id": "2"}, None, {"ts": "soon"})
    assert columns.ids == ["1", "2"]
    assert columns.offsets.tolist() == [100, 102]
    assert [letter.offset for letter in dead] == [101, 103, 104]
    first = dead[0]
    assert (first.topic, first.partition, first.key, first.value) == (
        "streams.a",
        3,
        b"key-1",
        b"bad",
    )
    assert first.timestamp_ms == KAFKA_MS + 1
    assert first.detail.startswith("streams.a[3]@101: ")


def test_no_messages_and_none_readable_give_empty_columns_of_the_right_shapes() -> None:
    for values in ((), (b"bad",)):
        columns, dead = decode(MANY, *values)
        assert len(columns) == 0
        assert len(dead) == len(values)
        assert columns.y_pred.shape == (0, 3)
        assert columns.x.shape == (0, 0)
