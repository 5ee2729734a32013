"""Producing without loss: every message has a delivery report, and a flush that checks them all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, Message, Producer

from driftloop.errors import DeliveryError
from driftloop.logs import client_logger
from driftloop.messages.envelope import Envelope

Headers = Sequence[tuple[str, bytes]]

DELIVERY_SECONDS = 60.0
# librdkafka reports each message within delivery.timeout.ms; silence longer than that is a fault.
_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.1
_SHOWN = 5

_DEFAULTS: dict[str, Any] = {
    # What matters comes as a delivery report; the client's own lines repeat endlessly.
    "log_level": 2,
    "linger.ms": 5,
    "compression.type": "lz4",
    "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
    # The broker's limit is the topic's max.message.bytes; this one must not be below it.
    "message.max.bytes": 16 * 1024 * 1024,
}
_FIXED: dict[str, Any] = {"enable.idempotence": True, "acks": "all"}


def producer_properties(client: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of an idempotent producer; `client` overrides all but what delivery rests on."""
    return {**_DEFAULTS, **client, **_FIXED}


class Ledger:
    """What one user of a producer handed over, and what the broker said of it.

    Not thread-safe in `send` and `settle`; delivery reports may come in any thread.

    Args:
        producer: Shared or not; polled from here.
        patience: Seconds without any delivery report after which waiting ends.
    """

    def __init__(self, producer: Producer, patience: float) -> None:
        self._producer = producer
        self._patience = patience
        self._sent = 0
        self._acknowledged = 0
        self._failed = 0
        self._failures: list[str] = []
        self._last: tuple[str, bytes | None] = ("", None)

    @property
    def outstanding(self) -> int:
        """Messages whose fate is not known yet."""
        return self._sent - self._acknowledged - self._failed

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> None:
        """Hand one message over; waits while the producer's queue is full.

        Raises:
            DeliveryError: The client refuses the message, or its queue stays full.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._producer.produce(
                    topic, value=value, key=key, headers=list(headers), on_delivery=self._report
                )
            except BufferError:
                seen = self._acknowledged + self._failed
                self.poll(_POLL_SECONDS)
                if self._acknowledged + self._failed != seen:
                    deadline = time.monotonic() + self._patience
                elif time.monotonic() > deadline:
                    raise DeliveryError(
                        f"{_name(topic, key)}: the producer's queue was full for "
                        f"{self._patience:g} s without one acknowledgement"
                    ) from None
            except KafkaException as error:
                raise DeliveryError(f"{_name(topic, key)}: {_reason(error.args[0])}") from error
            else:
                self._sent += 1
                self._last = (topic, key)
                return

    def poll(self, seconds: float = 0.0) -> None:
        """Take delivery reports; waits so long for the first.

        Raises:
            DeliveryError: The producer cannot go on; names the topic that was written to last.
        """
        try:
            self._producer.poll(seconds)
        except KafkaException as error:
            raise DeliveryError(f"{_name(*self._last)}: {_reason(error.args[0])}") from error

    def settle(self) -> None:
        """Wait until the fate of every message is known.

        Raises:
            DeliveryError: At least one was not acknowledged, now or since the last `settle`;
                names topic, key and reason.
        """
        last = self.outstanding
        deadline = time.monotonic() + self._patience
        while last and not self._failures:
            self.poll(_POLL_SECONDS)
            if self.outstanding != last:
                last = self.outstanding
                deadline = time.monotonic() + self._patience
            elif time.monotonic() > deadline:
                raise DeliveryError(
                    f"{last} message(s) had no delivery report for {self._patience:g} s"
                )
        self.check()

    def check(self) -> None:
        """Raise `DeliveryError` if a delivery report so far was bad; waits for nothing."""
        if self._failures:
            shown = "; ".join(self._failures)
            raise DeliveryError(f"{self._failed} message(s) were not acknowledged: {shown}")

    def _report(self, error: ClientError | None, message: Message) -> None:
        if error is None:
            self._acknowledged += 1
            return
        self._failed += 1
        if len(self._failures) < _SHOWN:
            self._failures.append(f"{_name(message.topic(), message.key())}: {_reason(error)}")


def _name(topic: str | None, key: bytes | None) -> str:
    return f"topic {topic}, key {key.decode(errors='replace') if key is not None else None!r}"


def _reason(error: ClientError) -> str:
    if error.code() == ClientError.TOPIC_AUTHORIZATION_FAILED:
        return "not allowed; the right Write on the topic is missing"
    if error.code() == ClientError.CLUSTER_AUTHORIZATION_FAILED:
        return "not allowed; the right Write on the topic is missing, as on all others"
    return f"{error.name()}: {error.str()}"


def patience_of(properties: Mapping[str, Any]) -> float:
    """Seconds without a delivery report that are more than the client itself ever takes."""
    timeout = properties.get("delivery.timeout.ms", properties.get("message.timeout.ms"))
    return float(timeout or DELIVERY_SECONDS * 1000) / 1000 + _GRACE_SECONDS


class CheckedProducer:
    """An idempotent producer that never forgets a message; for commands, scripts and the demo.

    Args:
        client: Properties from `driftloop.settings.KafkaSettings.client`.

    ::

        with CheckedProducer(settings.kafka.client()) as producer:
            producer.produce(topic, encode(event))

    Leaving the block flushes; an exception inside it takes precedence.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        properties = producer_properties(client)
        self._producer = Producer(properties, logger=client_logger())
        self._ledger = Ledger(self._producer, patience_of(properties))

    def produce(
        self,
        topic: str,
        message: Envelope | None = None,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Headers = (),
    ) -> None:
        """Hand over an event's envelope, or a message given by key, value and headers.

        Raises:
            DeliveryError: An earlier message was not acknowledged, or this one is refused.
        """
        if message is not None:
            key, value, headers = message
        self._ledger.send(topic, key, value, headers)
        self._ledger.poll()
        self._ledger.check()

    def flush(self) -> None:
        """Wait until every message is acknowledged.

        Raises:
            DeliveryError: At least one was not; names topic, key and reason.
        """
        self._ledger.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.flush()
