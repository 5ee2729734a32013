"""Answers to commands: their ids, and what is said to one that came before, or may have."""

from __future__ import annotations

from collections.abc import Sequence

from driftloop.detection.outputs import Ordered
from driftloop.messages import Command, CommandAnswered, Standing, event_id
from driftloop.messages.commands import CommandOutcome
from driftloop.policy.incidents import moment as _moment

NOT_REMEMBERED = (
    "it was given before, and its answer is not remembered; 'driftloop audit' tells what came of it"
)


def moment(ms: int) -> str:
    """An event time in words; whatever number a command holds."""
    try:
        return _moment(ms)
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms since the epoch"


def answer(
    stream: str,
    profile: str,
    order: Ordered,
    outcome: CommandOutcome,
    detail: str,
    led_to: Sequence[str] = (),
    about: str = "",
    of: str = "",
) -> CommandAnswered:
    """The answer to a command; its id is a function of the command's, and of its standing `of`."""
    command = order.command
    parts = (command.id, of) if of else (command.id,)
    return CommandAnswered(
        id=event_id(stream, "", "answer", parts),
        stream=stream,
        profile=profile,
        command_id=command.id,
        action=command.action,
        outcome=outcome,
        detail=detail,
        led_to=list(led_to),
        answered_at=order.event_time,
        about=about,
    )


def why_late(command: Command, standing: Standing) -> str:
    """Why a command is not carried out that is not new, and whose answer nobody remembers."""
    if standing.word == "again":
        return NOT_REMEMBERED
    return (
        f"it was issued at {moment(command.issued_at)}, and its stream knows only those that were "
        f"issued after {moment(standing.since)}: it may have been carried out before; give it "
        "anew, by a clock that is right"
    )
