"""Sending dead letters to their topics again: each once, whoever does it and whatever crashes.

The record and the marker that it was sent are one Kafka transaction. All who replay share one
transactional id, so the broker lets one at a time: who comes later ends the transaction of who came
before, then reads which markers were committed, and only then sends.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, Message, Producer

from driftloop.errors import DeliveryError, KafkaError, KafkaUnavailableError, ReplayError
from driftloop.kafka import codes
from driftloop.kafka.dead_letters import REPLAY_OF, REPLAYED_FROM
from driftloop.kafka.producer import producer_properties
from driftloop.kafka.rights import Right, denied, missing
from driftloop.kafka.topics import partition_counts
from driftloop.logs import client_logger
from driftloop.operator.letters import Letter, LetterPlace, Replay, letters_at, parse_place
from driftloop.records import RecordDecoder
from driftloop.settings import Settings

TRANSACTIONAL_ID = "driftloop-replay"
_SECONDS = 30.0


def replay(
    settings: Settings,
    places: Sequence[str | LetterPlace],
    *,
    who: str,
    why: str,
    value: bytes | None = None,
    force: bool = False,
) -> list[Replay]:
    """Send dead letters to the topics and partitions that they came from; all of them, or none.

    Args:
        settings: The configuration.
        places: Which ones.
        who: Who does it.
        why: Why, for those who look later.
        value: Other bytes than the letter's, for one place.
        force: Send what would be a dead letter again, too.

    Returns:
        One for each place, in their order.

    Raises:
        SettingsError: A text is no place.
        ReplayError: One is refused; tells all that are, and why. Nothing was sent.
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses, or another replay runs at this moment.
    """
    topic = settings.topics.dlq
    wanted = [parse_place(one, topic) if isinstance(one, str) else one for one in places]
    wanted = list(dict.fromkeys(wanted))
    if value is not None and len(wanted) != 1:
        raise ReplayError(f"other bytes are sent for one dead letter, got {len(wanted)} places")
    if not wanted:
        return []
    producer = _producer(settings)
    try:
        producer.init_transactions(_SECONDS)
        letters = letters_at(settings, wanted)  # none can be sent by another one from here on
        chosen = [letters[place] for place in wanted]
        _check(settings, chosen, value, force=force)
        return _send(settings, producer, chosen, who=who, why=why, value=value)
    except KafkaException as error:
        raise _translated(settings, error.args[0], wanted) from error


def _producer(settings: Settings) -> Producer:
    return Producer(
        {
            **producer_properties(settings.kafka.client()),
            "transactional.id": TRANSACTIONAL_ID,
            "transaction.timeout.ms": int(_SECONDS * 1000),
            "delivery.timeout.ms": int(_SECONDS * 1000),
        },
        logger=client_logger(),
    )


def refusal(settings: Settings, letter: Letter) -> str:
    """Why a dead letter is never sent again, or an empty text.

    Events are Driftloop's own and their headers are not kept: a command is given anew, by who may.
    """
    if letter.replayed is not None:
        done = letter.replayed
        return f"it was sent again by {done.who} to {done.topic}[{done.partition}]: {done.why}"
    if letter.topic == settings.topics.commands:
        return "commands are never sent again: give it anew, so that it carries your own signature"
    if letter.topic in settings.topics.names.values():
        return f"it is an event of {letter.topic}, whose headers are not kept: send it anew"
    if not letter.topic or letter.partition < 0:
        return "it does not say where it came from"
    return ""


def _check(
    settings: Settings, letters: Sequence[Letter], value: bytes | None, *, force: bool
) -> None:
    """Raises `ReplayError` unless all may be sent."""
    client = settings.kafka.client()
    counts = partition_counts(client, sorted({one.topic for one in letters if one.topic}))
    faults = []
    for one in letters:
        why = refusal(settings, one)
        if not why and one.partition >= counts.get(one.topic, 0):
            why = f"{one.topic}[{one.partition}] is not there any more"
        if not why and not force:
            why = still_unreadable(settings, one, value)
        if why:
            faults.append(f"\n  {one.place}: {why}")
    if faults:
        raise ReplayError("nothing was sent:" + "".join(faults))


def still_unreadable(settings: Settings, letter: Letter, value: bytes | None = None) -> str:
    """Why a record would be a dead letter again, or an empty text; asks the profile as it is now.

    A topic that no profile is meant for, as the scorer's features, is not asked about.
    """
    found = settings.profile_of(letter.topic)
    if found is None:
        return ""
    sent = letter.value if value is None else value
    _, dead = RecordDecoder(found[1]).decode(
        letter.topic, letter.partition, [sent], [letter.offset], [letter.timestamp]
    )
    if not dead:
        return ""
    return (
        f"it would be a dead letter again ({dead[0].reason}: {dead[0].detail}); mend profile "
        f"{found[0]!r}, or give other bytes"
    )


def _send(
    settings: Settings,
    producer: Producer,
    letters: Sequence[Letter],
    *,
    who: str,
    why: str,
    value: bytes | None,
) -> list[Replay]:
    dlq, now = settings.topics.dlq, round(time.time() * 1000)
    offsets: dict[LetterPlace, int] = {}

    def told(place: LetterPlace, error: ClientError | None, message: Message) -> None:
        if error is None:
            offsets[place] = message.offset() or 0

    made = []
    producer.begin_transaction()
    try:
        for one in letters:
            sent = one.value if value is None else value
            done = Replay(
                place=str(one.place),
                topic=one.topic,
                partition=one.partition,
                who=who,
                why=why,
                at=now,
                changed=sent != one.value,
            )
            made.append(done)
            _produce(
                producer,
                one.topic,
                one.partition,
                one.key,
                sent,
                {REPLAYED_FROM: f"{dlq}:{one.place}"},
                timestamp=max(0, one.timestamp),  # 0: now
                on_delivery=partial(told, one.place),
            )
            marker = {REPLAY_OF: str(one.place), "content-type": "application/json"}
            body = msgspec.json.encode(done)
            key = one.topic.encode()
            _produce(producer, dlq, one.place.partition, key, body, marker)
        producer.commit_transaction(_SECONDS)
    except (KafkaException, DeliveryError):
        # What ends it otherwise, as a crash, is ended by the broker or by the next replay.
        try:
            producer.abort_transaction(_SECONDS)
        except KafkaException:
            # Left open, it would hold up all who read the stream: a successor ends it.
            with suppress(KafkaException):
                _producer(settings).init_transactions(_SECONDS)
        raise
    return [
        msgspec.structs.replace(done, offset=offsets.get(one.place, -1))
        for done, one in zip(made, letters, strict=True)
    ]


def _produce(
    producer: Producer,
    topic: str,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    headers: Mapping[str, str],
    **more: Any,
) -> None:
    encoded: Any = [(name, text.encode()) for name, text in headers.items()]
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            producer.produce(
                topic, partition=partition, key=key, value=value, headers=encoded, **more
            )
        except BufferError:
            producer.poll(0.1)
            if time.monotonic() > deadline:
                raise DeliveryError(f"topic {topic}: the producer's queue stays full") from None
        else:
            return


def _translated(
    settings: Settings, cause: ClientError, wanted: Sequence[LetterPlace]
) -> KafkaError:
    code = cause.code()
    if code in codes.FENCED:
        return KafkaError("another replay was begun at this moment, and this one sent nothing")
    if code == ClientError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return KafkaError(denied(f"transactional id {TRANSACTIONAL_ID}", "Write"))
    if code == ClientError.TOPIC_AUTHORIZATION_FAILED:
        topics = {one.topic for one in letters_at(settings, wanted).values()}
        rights = [Right("topic", one, "Write") for one in (*sorted(topics), settings.topics.dlq)]
        for one in missing(settings.kafka.client(), rights):
            return KafkaError(denied(f"topic {one.name}", "Write"))
    if codes.passes(cause):
        return KafkaUnavailableError(
            f"{cause.name()}: {cause.str()}: whether it was sent is not known; do it again, which "
            "never sends it twice"
        )
    return KafkaError(f"nothing was sent: {cause.name()}: {cause.str()}")
