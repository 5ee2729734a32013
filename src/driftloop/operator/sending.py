"""Sending commands, signed where a key is configured."""

from __future__ import annotations

from collections.abc import Sequence

from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import driftloop_topics, ensure_topics
from driftloop.messages import SIGNATURE, Command, Envelope, encode
from driftloop.messages.signing import Key, signature
from driftloop.settings import Settings


def send(settings: Settings, commands: Sequence[Command]) -> None:
    """Produce commands; the broker has acknowledged all of them afterwards.

    Raises:
        SettingsError: The key to sign with cannot be read.
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses, or a topic is missing and cannot be made.
    """
    key = settings.commands.signing()
    client = settings.kafka.client()
    if settings.topics.create:
        ensure_topics(client, driftloop_topics(settings.topics))
    with CheckedProducer(client) as producer:
        for command in commands:
            producer.produce(
                settings.topics.commands, signed(encode(command), key, settings.commands.key_id)
            )


def signed(envelope: Envelope, key: Key | None, key_id: str) -> Envelope:
    """The message with its signature, or as it is where there is no key."""
    if key is None:
        return envelope
    made = signature(key, key_id, envelope.value).encode()
    return envelope._replace(headers=[*envelope.headers, (SIGNATURE, made)])
