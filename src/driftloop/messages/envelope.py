"""CloudEvents 1.0 in Kafka binary content mode: attributes in `ce_*` headers, plain JSON as value.

Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2, and its distributed tracing
extension; the plain ``traceparent`` header is what Kafka instrumentations of OpenTelemetry read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from driftloop.errors import MessageError
from driftloop.messages.base import Event
from driftloop.messages.commands import Command, CommandAnswered
from driftloop.messages.events import (
    EVENT_TYPES,
    Evidence,
    FleetIncident,
    ModelPublished,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
)
from driftloop.messages.identity import new_traceparent
from driftloop.messages.parts import PartReported
from driftloop.messages.versions import CandidateTrained, RetrainJudged, VersionOrdered

SOURCE = "driftloop"
Headers = list[tuple[str, bytes]]

_encoder = msgspec.json.Encoder()
_decoders = {name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()}


class Envelope(NamedTuple):
    """A Kafka message that holds an event: key is the event's subject."""

    key: bytes
    value: bytes
    headers: Headers


def _time_ms(event: Event) -> int | None:
    match event:
        case RetrainRequested():
            return event.decided_at
        case ModelPublished():
            return event.published_at
        case TrainingFinished():
            return event.finished_at
        case Command():
            return event.issued_at
        case CommandAnswered():
            return event.answered_at
        case Evidence():
            return event.closed_at
        case StreamStatus():
            return event.event_time
        case CandidateTrained():
            return event.trained_at
        case VersionOrdered():
            return event.decided_at
        case RetrainJudged():
            return event.judged_at
        case PartReported():
            return event.reported_at
        case FleetIncident():
            return event.opened_at if event.closed_at is None else event.closed_at
    return None


def _rfc3339(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(event: Event, *, source: str = SOURCE, traceparent: str = "") -> Envelope:
    """Turn an event into a Kafka message.

    Args:
        event: Any of `EVENT_TYPES`.
        source: URI reference of the part that emits it.
        traceparent: Trace to continue; by default one that follows from the event's id.

    >>> message = encode(Command(id="1", stream="s", action="pin", who="me", why="", issued_at=0))
    >>> decode(message.headers, message.value).action
    'pin'
    """
    trace = (traceparent or new_traceparent(event.id)).encode()
    subject = event.subject.encode()
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_subject", subject),
        ("content-type", b"application/json"),
        ("ce_traceparent", trace),
        ("traceparent", trace),
    ]
    time = _time_ms(event)
    if time is not None:
        headers.insert(4, ("ce_time", _rfc3339(time).encode()))
    return Envelope(subject, _encoder.encode(event), headers)


def decode(headers: Iterable[tuple[str, bytes | str | None]] | None, value: bytes | None) -> Event:
    """Read an event from a Kafka message.

    Raises:
        MessageError: No value, no or an unknown ``ce_type``, or a value that does not fit it.
    """
    found = dict(headers or [])
    name = found.get("ce_type")
    text = name.decode(errors="replace") if isinstance(name, bytes) else (name or "")
    decoder = _decoders.get(text)
    if decoder is None:
        known = ", ".join(sorted(_decoders))
        raise MessageError(f"header ce_type is one of {known}; got {text!r}")
    if value is None:
        raise MessageError(f"an event {text} has a value, got a tombstone")
    try:
        return decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MessageError(f"an event {text} has another form: {error}") from error


def header(headers: Iterable[tuple[str, bytes | str | None]] | None, name: str) -> str:
    """Value of a header as text, or an empty string."""
    for key, value in headers or []:
        if key == name and value is not None:
            return value.decode(errors="replace") if isinstance(value, bytes) else value
    return ""
