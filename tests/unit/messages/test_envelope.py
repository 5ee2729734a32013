"""Events survive the way through a Kafka message, and only fitting messages are read."""

from __future__ import annotations

import contextlib
import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.errors import MessageError
from driftloop.messages import (
    EVENT_TYPES,
    Command,
    Event,
    ModelPublished,
    StreamStatus,
    decode,
    encode,
    next_span,
)
from driftloop.messages.envelope import header
from tests.strategies import BY_TYPE, events, headers

_COMMAND = Command(
    id="c1",
    stream="s",
    profile="p",
    action="retrain",
    who="ada",
    why="",
    issued_at=1_700_000_000_123,
)


@given(events)
def test_what_is_encoded_decodes_to_the_same_event(event: Event) -> None:
    message = encode(event)
    assert decode(message.headers, message.value) == event
    assert message.key == event.subject.encode()


@given(events)
def test_headers_are_those_of_a_cloudevent_in_binary_mode(event: Event) -> None:
    found = dict(encode(event).headers)
    assert found["ce_specversion"] == b"1.0"
    assert found["ce_id"] == event.id.encode()
    assert found["ce_type"] == event.type.encode()
    assert found["ce_source"]
    assert found["ce_subject"] == event.subject.encode()
    assert found["content-type"] == b"application/json"
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01", found["traceparent"])
    assert found["ce_traceparent"] == found["traceparent"]
    if "ce_time" in found:
        assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["ce_time"])


def test_time_is_the_events_own_in_rfc_3339() -> None:
    assert header(encode(_COMMAND).headers, "ce_time") == "2023-11-14T22:13:20.123Z"


@given(events)
def test_the_value_is_plain_json_without_nan(event: Event) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert isinstance(json.loads(encode(event).value, parse_constant=refuse), dict)


def test_a_number_that_is_not_finite_is_written_as_null() -> None:
    event = msgspec.structs.replace(_evidence(), metrics={"loss": float("nan")})
    message = encode(event)
    read = decode(message.headers, message.value)
    assert read.metrics == {"loss": None}  # type: ignore[attr-defined]


def _evidence() -> Event:
    kind = EVENT_TYPES["driftloop.evidence.v1"]
    return kind(
        id="e",
        stream="s",
        profile="p",
        kind="window",
        opened_at=0,
        closed_at=1,
        window=["s:0:0:9"],
        records=10,
        model_version=None,
        results=[],
        metrics={},
    )


def test_a_reader_ignores_fields_that_it_does_not_know() -> None:
    message = encode(_COMMAND)
    value = json.loads(message.value) | {"added_later": [1, 2]}
    assert decode(message.headers, json.dumps(value).encode()) == _COMMAND


def test_the_event_id_fixes_the_trace() -> None:
    assert encode(_COMMAND).headers == encode(_COMMAND).headers
    other = msgspec.structs.replace(_COMMAND, id="c2")
    assert (
        dict(encode(_COMMAND).headers)["traceparent"] != dict(encode(other).headers)["traceparent"]
    )


def test_a_trace_that_is_handed_on_stays_one_trace() -> None:
    first = header(encode(_COMMAND).headers, "traceparent")
    second = next_span(first)
    assert first.split("-")[1] == second.split("-")[1]
    assert first.split("-")[2] != second.split("-")[2]
    assert header(encode(_COMMAND, traceparent=second).headers, "ce_traceparent") == second


@given(headers, st.none() | st.binary(max_size=60))
def test_any_bytes_give_an_event_or_a_message_error(
    given_headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    with contextlib.suppress(MessageError):
        decode(given_headers, value)


@given(st.sampled_from(sorted(EVENT_TYPES)), st.binary(max_size=60))
def test_any_bytes_under_a_known_type_give_an_event_or_a_message_error(
    name: str, value: bytes
) -> None:
    with contextlib.suppress(MessageError):
        decode([("ce_type", name.encode())], value)


@pytest.mark.parametrize(
    ("given_headers", "value", "told"),
    [
        (None, b"{}", "header ce_type is one of"),
        ([("ce_type", b"other")], b"{}", "got 'other'"),
        ([("ce_type", b"driftloop.command.issued.v1")], None, "tombstone"),
        ([("ce_type", b"driftloop.command.issued.v1")], b"{", "has another form"),
        ([("ce_type", b"driftloop.command.issued.v1")], b'{"id": 1}', "has another form"),
    ],
)
def test_a_message_error_tells_the_rule(
    given_headers: list[tuple[str, bytes]] | None, value: bytes | None, told: str
) -> None:
    with pytest.raises(MessageError, match=re.escape(told)):
        decode(given_headers, value)


def test_every_event_type_has_a_strategy() -> None:
    assert set(BY_TYPE) == set(EVENT_TYPES.values())


def test_an_event_that_was_written_before_a_field_was_added_is_read() -> None:
    """As they lie on topics that are kept for a year, or compacted."""
    published = {
        "id": "m",
        "stream": "s",
        "profile": "p",
        "version": "v1",
        "sequence": 1,
        "parent_version": None,
        "kind": "linear",
        "uri": "u",
        "sha256": "h",
        "format": "f",
        "champion": None,
        "challenger": {},
        "data": [],
        "request_id": "r",
        "published_at": 1,
        "cost": {"seconds": 1.0, "records": 2, "device": "cpu"},
    }
    event = decode([("ce_type", b"driftloop.model.published.v1")], json.dumps(published).encode())
    assert isinstance(event, ModelPublished)
    assert (event.action, event.parent_uri, event.parent_sha256) == ("trained", None, None)
    status = {
        "id": "s",
        "stream": "s",
        "profile": "p",
        "state": "monitoring",
        "model_version": None,
        "event_time": None,
    }
    event = decode([("ce_type", b"driftloop.stream.status.v1")], json.dumps(status).encode())
    assert isinstance(event, StreamStatus)
    assert (event.trial, event.judged, event.saved) == ("", 0, 0.0)
