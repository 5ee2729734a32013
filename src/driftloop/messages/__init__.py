"""The events that Driftloop's parts and its downstream services exchange over Kafka."""

from driftloop.messages.envelope import Envelope, decode, encode
from driftloop.messages.events import (
    EVENT_TYPES,
    Command,
    Event,
    Evidence,
    FleetIncident,
    ModelPublished,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
)
from driftloop.messages.grounds import Cost, Ground
from driftloop.messages.identity import event_id, new_traceparent, next_span
from driftloop.messages.ranges import OffsetRange

__all__ = [
    "EVENT_TYPES",
    "Command",
    "Cost",
    "Envelope",
    "Event",
    "Evidence",
    "FleetIncident",
    "Ground",
    "ModelPublished",
    "OffsetRange",
    "RetrainRequested",
    "StreamStatus",
    "TrainingFinished",
    "decode",
    "encode",
    "event_id",
    "new_traceparent",
    "next_span",
]
