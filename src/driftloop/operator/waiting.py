"""Waiting for what comes of commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import Message

from driftloop.kafka.contents import event_of
from driftloop.messages import Command, CommandAnswered, TrainingFinished
from driftloop.operator.told import Told, dead_command, refusal
from driftloop.operator.topics import Tail
from driftloop.settings import Settings

MARGIN_MS = 600_000
"""Clocks of other machines may be behind by so much, ms."""


class Outcomes:
    """What came of commands, as far as messages told it.

    Args:
        settings: Names of the topics.
        commands: The commands, each with an id of its own.
    """

    def __init__(self, settings: Settings, commands: Iterable[Command]) -> None:
        self._settings = settings
        self.told = {command.id: Told(command) for command in commands}
        self.others: list[Told] = []  # dead-lettered copies of a command, or forged ones of its id
        self._places: dict[tuple[int, int], Command] = {}
        self._finished: dict[str, TrainingFinished] = {}
        self._led: dict[str, str] = {}  # id of what followed: the command

    @property
    def complete(self) -> bool:
        """Whether nothing more is to come."""
        return all(one.complete for one in self.told.values())

    def take(self, message: Message) -> CommandAnswered | None:
        """Take a message of any of Driftloop's topics; a command's first answer is returned."""
        if message.topic() == self._settings.topics.dlq:
            return self._dead(message)
        event = event_of(message)
        if isinstance(event, Command) and event.id in self.told:
            self._places[message.partition() or 0, message.offset() or 0] = event
        elif isinstance(event, CommandAnswered):
            return self._answered(event)
        elif isinstance(event, TrainingFinished):
            self._finished[event.request_id] = event
            if event.request_id in self._led:
                self._finish(self._led[event.request_id], event)
        return None

    def _answered(self, event: CommandAnswered, reason: str = "") -> CommandAnswered | None:
        known = self.told.get(event.command_id)
        if known is None or known.answer is not None or event.stream != known.command.stream:
            return None
        self.told[event.command_id] = known._replace(answer=event, dead_letter=reason)
        for identity in event.led_to:
            self._led[identity] = event.command_id
            if identity in self._finished:
                self._finish(event.command_id, self._finished[identity])
        return event

    def _finish(self, command_id: str, event: TrainingFinished) -> None:
        self.told[command_id] = self.told[command_id]._replace(finished=event)

    def _dead(self, message: Message) -> CommandAnswered | None:
        letter = dead_command(message, self._settings)
        value = None if letter is None else message.value()
        if letter is None or value is None:
            return None
        command = self._places.pop((letter.partition, letter.offset), None)
        if command is None:
            return None
        answer = refusal(command, letter)
        known = self.told[command.id]
        if known.answer is None and known.command == command:
            return self._answered(answer, letter.reason)
        self.others.append(Told(command, answer, dead_letter=letter.reason))
        return None


def wait(
    settings: Settings,
    commands: Sequence[Command],
    *,
    timeout: float,
    on_answer: Callable[[CommandAnswered], None] = lambda _: None,
) -> list[Told]:
    """Wait for what comes of commands that were sent: their answers, and of accepted ones the end.

    Args:
        settings: The configuration.
        commands: What was sent.
        timeout: Seconds for all of it.
        on_answer: Told of each command's answer as it comes.

    Returns:
        What is known when all is known, or the time is over; in the order of `commands`.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """
    if not commands:
        return []
    outcomes = Outcomes(settings, commands)
    topics = settings.topics
    since = min(command.issued_at for command in commands) - MARGIN_MS
    deadline = time.monotonic() + timeout
    # A dead letter is known by the place of its command, which may be read after it.
    letters: list[Message] = []
    with Tail(settings, [topics.commands, topics.trainings, topics.dlq], since) as tail:
        while not outcomes.complete and time.monotonic() < deadline:
            found = tail.poll(deadline)
            letters += [one for one in found if one.topic() == topics.dlq]
            rest = [one for one in found if one.topic() != topics.dlq]
            for message in (*rest, *letters):
                answer = outcomes.take(message)
                if answer is not None:
                    on_answer(answer)
    return list(outcomes.told.values())
