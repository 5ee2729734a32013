"""The events that Driftloop's parts and its downstream services exchange over Kafka."""

from driftloop.messages.base import Event
from driftloop.messages.commands import SIGNATURE, Action, Command, CommandAnswered, incident_scope
from driftloop.messages.envelope import Envelope, decode, encode
from driftloop.messages.events import (
    EVENT_TYPES,
    Evidence,
    FleetIncident,
    ModelPublished,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
)
from driftloop.messages.grounds import Cost, Ground
from driftloop.messages.identity import event_id, new_traceparent, next_span
from driftloop.messages.memory import CommandMemory, Standing
from driftloop.messages.parts import PartReported
from driftloop.messages.ranges import OffsetRange
from driftloop.messages.versions import CandidateTrained, RetrainJudged, VersionOrdered

__all__ = [
    "EVENT_TYPES",
    "SIGNATURE",
    "Action",
    "CandidateTrained",
    "Command",
    "CommandAnswered",
    "CommandMemory",
    "Cost",
    "Envelope",
    "Event",
    "Evidence",
    "FleetIncident",
    "Ground",
    "ModelPublished",
    "OffsetRange",
    "PartReported",
    "RetrainJudged",
    "RetrainRequested",
    "Standing",
    "StreamStatus",
    "TrainingFinished",
    "VersionOrdered",
    "decode",
    "encode",
    "event_id",
    "incident_scope",
    "new_traceparent",
    "next_span",
]
