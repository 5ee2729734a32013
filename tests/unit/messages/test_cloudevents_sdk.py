"""The CloudEvents SDK, written by others, reads and writes the same messages."""

from __future__ import annotations

import json

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given

from driftloop.messages import Event, decode, encode
from tests.strategies import events


@given(events)
def test_the_sdk_reads_what_is_encoded(event: Event) -> None:
    message = encode(event)
    read = from_binary(
        KafkaMessage(dict(message.headers), message.key, message.value), JSONFormat(), CloudEvent
    )
    assert read.get_id() == event.id
    assert read.get_type() == event.type
    assert read.get_subject() == event.subject
    assert read.get_data() == json.loads(message.value)
    assert read.get_extension("traceparent") == dict(message.headers)["traceparent"].decode()


@given(events)
def test_what_the_sdk_writes_is_decoded(event: Event) -> None:
    attributes = {
        "id": event.id,
        "source": "test",
        "type": event.type,
        "specversion": "1.0",
        "datacontenttype": "application/json",
    }
    written = to_binary(
        CloudEvent(attributes, json.loads(encode(event).value)), JSONFormat(), lambda _: "key"
    )
    assert decode(list(written.headers.items()), written.value) == event
