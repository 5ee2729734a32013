"""A command, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import Message

from driftloop.kafka.dead_letters import PREFIX
from driftloop.messages import Command, CommandAnswered, TrainingFinished, event_id
from driftloop.messages.envelope import header
from driftloop.settings import Settings

DONE, FAILED, BAD_INPUT, NO_ANSWER = 0, 1, 2, 3
"""Exit statuses: done, or accepted and published; refused or failed; bad input; no answer."""

_MS = 1000


class Told(NamedTuple):
    """A command, and what came of it.

    Attributes:
        command: The command.
        answer: What the monitor said, or None; of a dead-lettered command a refusal that is made
            here from the dead letter.
        finished: The outcome of what an accepted command led to, or None.
        dead_letter: Reason of its dead letter, as ``bad-signature``, or empty.
    """

    command: Command
    answer: CommandAnswered | None = None
    finished: TrainingFinished | None = None
    dead_letter: str = ""

    @property
    def complete(self) -> bool:
        """Whether nothing more is to come."""
        if self.answer is None:
            return False
        return self.answer.outcome != "accepted" or self.finished is not None


class DeadCommand(NamedTuple):
    """A dead letter of the commands' topic: where the message is, and why it was refused."""

    partition: int
    offset: int
    reason: str
    detail: str


def dead_command(message: Message, settings: Settings) -> DeadCommand | None:
    """A message of the dead-letter topic, if it is about a command."""
    headers = message.headers()
    if header(headers, PREFIX + "topic") != settings.topics.commands:  # type: ignore[arg-type]
        return None
    partition, offset, reason, detail = (
        header(headers, PREFIX + name)  # type: ignore[arg-type]  # the client's pairs
        for name in ("partition", "offset", "exception", "message")
    )
    if not (partition.isdecimal() and offset.isdecimal()):
        return None
    return DeadCommand(int(partition), int(offset), reason, detail)


def refusal(command: Command, letter: DeadCommand) -> CommandAnswered:
    """The answer of a command that was dead-lettered, for which the monitor sends none."""
    return CommandAnswered(
        id=event_id(command.stream, "", "answer", (command.id,)),
        stream=command.stream,
        profile=command.profile,
        command_id=command.id,
        action=command.action,
        outcome="refused",
        detail=f"{letter.reason}: {letter.detail}",
        answered_at=command.issued_at,
    )


def exit_status(told: Iterable[Told]) -> int:
    """The status that a command line ends with: the gravest of all commands'."""
    statuses = {_status(one) for one in told}
    for status in (NO_ANSWER, FAILED):
        if status in statuses:
            return status
    return DONE


def _status(told: Told) -> int:
    if told.answer is not None and told.answer.outcome == "refused":
        return FAILED
    if not told.complete:
        return NO_ANSWER
    return DONE if told.finished is None or told.finished.outcome == "published" else FAILED


def in_words(told: Told) -> str:
    """What came of a command, and what to do, in one line."""
    answer, finished = told.answer, told.finished
    if answer is None:
        return (
            "no answer: is a monitor running with this configuration? 'driftloop health monitor' "
            "says so; the command is kept and is carried out when one runs"
        )
    if finished is not None:
        version = f" as {finished.version}" if finished.version else ""
        why = f": {finished.detail}" if finished.detail else ""
        return f"{finished.outcome}{version}{why}"
    if answer.outcome == "accepted":
        return (
            f"accepted: {answer.detail}; no outcome yet: is a trainer running? "
            "'driftloop trainer --dry-run' shows the queue"
        )
    return f"{answer.outcome}: {answer.detail}" if answer.detail else answer.outcome
