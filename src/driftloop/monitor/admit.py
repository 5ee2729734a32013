"""Which commands are let in: those for a stream that is watched, and signed where they must be."""

from __future__ import annotations

import structlog
from confluent_kafka import Message

from driftloop.messages import Command, Event
from driftloop.monitor.items import stream_of, topic_of
from driftloop.settings import Settings

_log = structlog.get_logger(__name__)


class CommandGate:
    """Refuses commands by the reason and detail of a dead letter: none vanishes.

    Reasons: ``unknown-stream``, and where signatures are required ``unsigned-command`` and
    ``bad-signature``.

    Args:
        settings: The whole configuration.

    Raises:
        SettingsError: A key cannot be read.
        DriftloopError: A key needs ``cryptography``, which is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verifier = settings.commands.verifier()

    def __call__(self, event: Event, message: Message) -> tuple[str, str] | None:
        """Why an event is not let in, or None."""
        if not isinstance(event, Command):
            return None
        why = self._untrusted(event, message) or self._unknown(event.stream)
        if why is not None:
            _log.warning(
                "monitor.command_refused",
                stream=event.stream,
                event_id=event.id,
                action=event.action,
                who=event.who,
                reason=why[0],
                detail=why[1],
            )
        return why

    def _untrusted(self, event: Command, message: Message) -> tuple[str, str] | None:
        if self._verifier is None:
            return None
        return self._verifier.fault(
            message.value(),
            message.headers(),  # type: ignore[arg-type]  # the client's list of pairs
            event.who,
        )

    def _unknown(self, stream: str) -> tuple[str, str] | None:
        topic = topic_of(stream)
        found = self._settings.profile_of(topic)
        if found is None or topic in self._settings.topics.names.values():
            return "unknown-stream", f"no profile's topics match {topic!r}"
        mode = found[1].partitions
        number = stream.partition(":")[2]
        if stream != topic and not number.isdecimal():
            return "unknown-stream", f"a stream is a topic or topic:partition, got {stream!r}"
        if stream != stream_of(topic, int(number or 0), mode):
            each = "topic:partition" if mode == "each" else "its topic"
            return "unknown-stream", f"a stream of profile {found[0]!r} is {each}, got {stream!r}"
        return None
