"""What an operator orders, and what came of it."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from driftloop.messages.base import Event
from driftloop.messages.grounds import EventTime

Action = Literal[
    "retrain",
    "approve",
    "reject",
    "snooze",
    "resume",
    "pin",
    "unpin",
    "rollback",
    "reset-reference",
    "dismiss",
    "retire",
]
CommandOutcome = Literal["done", "accepted", "refused"]

SIGNATURE = "driftloop-signature"
"""Header of a signed command: ``<algorithm>:<key id>:<base64>`` over the bytes of the value."""


def incident_scope(identity: str) -> str:
    """The scope of commands that were given for all streams of an incident.

    >>> incident_scope("5b0c")
    'incident 5b0c'
    """
    return f"incident {identity}"


class Command(Event, kw_only=True, frozen=True):
    """What an operator orders for a stream.

    Attributes:
        action: What to do.
        who: Who orders it.
        why: For the audit.
        issued_at: Wall-clock time of whoever gives it. One that was not issued after all commands
            that its stream has forgotten is refused: it may have been carried out before.
        until: End of a snooze in event time; null until ``resume``, or until a snooze with an end.
        version: The version meant, or null.
        request_id: For approve and reject: the decision meant, or null for the one that waits. For
            dismiss: the retrain request, or the incident, that was a false alarm.
        scope: What the operator named where that was not one stream: a pattern, or an incident.
        batch: Shared by the commands that were given together, or empty.
        via: Where it was given: ``cli``, ``dashboard``, or a service of the user's.
    """

    type: ClassVar[str] = "driftloop.command.issued.v1"
    profile: str = ""
    action: Action
    who: str
    why: str
    issued_at: EventTime
    until: EventTime | None = None
    version: str | None = None
    request_id: str | None = None
    scope: str = ""
    batch: str = ""
    via: str = ""


class CommandAnswered(Event, kw_only=True, frozen=True):
    """What came of a command, told by the part that acts on it; one for each command.

    Attributes:
        command_id: The `Command`.
        action: Its action.
        outcome: ``done``; ``accepted``: something follows, by the ids in `led_to`; or ``refused``.
        detail: In words; of a refusal, the reason with what to do.
        led_to: Ids of the events that follow from it, as of a `RetrainRequested` or a
            `VersionOrdered`. Each has its outcome in a `TrainingFinished` of that `request_id`.
        answered_at: Event time of the stream, or when the command was issued where it has none.
        about: The request, incident or version that it came to be about; empty where it is none.
    """

    type: ClassVar[str] = "driftloop.command.answered.v1"
    command_id: str
    action: Action
    outcome: CommandOutcome
    detail: str = ""
    led_to: list[str] = msgspec.field(default_factory=list)
    answered_at: EventTime
    about: str = ""
