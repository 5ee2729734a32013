"""Who ordered what, and what came of it."""

from __future__ import annotations

from driftloop.kafka.contents import event_of
from driftloop.messages import Command
from driftloop.operator.told import Told
from driftloop.operator.topics import messages
from driftloop.operator.waiting import Outcomes
from driftloop.settings import Settings


def audit(settings: Settings, *, since_ms: int | None = None) -> list[Told]:
    """All commands that Kafka still holds, with what came of each, oldest first.

    Those that were refused for their signature are among them.

    Args:
        settings: The configuration.
        since_ms: Only those that were issued from then on, ms.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """
    topics = settings.topics
    held = list(messages(settings, [topics.commands]))
    first: dict[str, Command] = {}
    for message in held:
        event = event_of(message)
        if isinstance(event, Command) and (since_ms is None or event.issued_at >= since_ms):
            first.setdefault(event.id, event)
    outcomes = Outcomes(settings, first.values())
    for message in held:
        outcomes.take(message)
    if first:
        for message in messages(settings, [topics.trainings, topics.dlq]):
            outcomes.take(message)
    found = [*outcomes.told.values(), *outcomes.others]
    return sorted(found, key=lambda one: (one.command.issued_at, one.command.id))
