"""Outcomes and consumed offsets in one Kafka transaction: all of it is seen, or nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka import KafkaError as ClientError

from driftloop.errors import DeliveryError, KafkaError
from driftloop.kafka import codes
from driftloop.kafka.rights import Right, denied, is_denial, missing
from driftloop.logs import client_logger
from driftloop.trainer import metrics

TRANSACTION_MS = 10_000
_CALL_SECONDS = 5.0
_QUICK_SECONDS = 0.5
_HUNG_SECONDS = 15.0
_log = structlog.get_logger(__name__)


class Message(NamedTuple):
    """A message of a transaction; a partition of -1 lets the key choose."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class FencedError(KafkaError):
    """Another trainer uses the same instance name."""


def rival(instance: str) -> str:
    """What is said when another trainer has the same name."""
    return (
        f"another trainer runs as instance {instance!r}: give each its own trainer.instance, or "
        "leave it empty"
    )


class RenewedError(KafkaError):
    """The producer had to be made anew: whether the last transaction took effect is not known."""


class _HungError(Exception):
    """The client does not return from a call."""


class Publisher:
    """A transactional producer.

    Args:
        client: Client properties.
        instance: The transactional id: one trainer at a time has it.
        pause: Called between tries while the broker is away; raises to give up.

    Raises:
        KafkaError: The broker refuses transactions for good.
    """

    def __init__(self, client: Mapping[str, Any], instance: str, pause: Callable[[], None]) -> None:
        self._client = client
        self._instance = instance
        self._pause = pause
        self._renew()

    def _renew(self) -> None:
        while True:
            self._producer = self._connect()
            try:
                return self._patiently(partial(self._producer.init_transactions, _CALL_SECONDS))
            except _HungError:
                _log.warning("trainer.client_hangs", instance=self._instance)
            except KafkaException as error:
                self._refuse_id(error.args[0])
                raise

    def _refuse_id(self, cause: ClientError) -> None:
        """Raise where the transactional id may not be used.

        Raises:
            KafkaError: A right is missing; names it.
        """
        if cause.code() == ClientError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            what = f"transactional id {self._instance}"
            raise KafkaError(denied(what, "Write")) from None

    def _refuse_topics(self, cause: ClientError, topics: Collection[str]) -> None:
        """Raise for a transaction that was refused; the broker does not say for which topic.

        Raises:
            KafkaError: A right is missing; names it.
        """
        if cause.code() == ClientError.GROUP_AUTHORIZATION_FAILED:
            raise KafkaError(denied("the trainer's group", "Read"))
        self._refuse_id(cause)
        rights = [Right("topic", topic, "Write") for topic in sorted(topics)]
        for one in missing(self._client, rights):
            raise KafkaError(denied(f"topic {one.name}", "Write"))

    def _connect(self) -> Producer:
        return Producer(
            {
                # Polled only while there is something to write; the consumer tells the same.
                "log_level": 2,
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": 16 * 1024 * 1024,
                **self._client,
                "transactional.id": self._instance,
                "enable.idempotence": True,
                "acks": "all",
                "transaction.timeout.ms": TRANSACTION_MS,
                "delivery.timeout.ms": TRANSACTION_MS,
            },
            logger=client_logger(),
        )

    def publish(
        self, messages: Sequence[Message], offsets: Sequence[TopicPartition], consumer: Consumer
    ) -> bool:
        """Write messages and offsets, all or nothing.

        Args:
            messages: What to write.
            offsets: The next offset to consume of each partition.
            consumer: A member of the group; the broker checks that it still is.

        Returns:
            False when the transaction was aborted: nothing was written, try again.

        Raises:
            FencedError: Another trainer has the same instance name.
            RenewedError: Look whether the messages are there, then try again.
            KafkaError: A right is missing; names it.
        """
        try:
            return self._attempt(messages, offsets, consumer)
        except _HungError:
            _log.warning("trainer.client_hangs", instance=self._instance)
            self._renew()
            raise RenewedError("a call of the client did not return") from None

    def _attempt(
        self, messages: Sequence[Message], offsets: Sequence[TopicPartition], consumer: Consumer
    ) -> bool:
        producer = self._producer  # a call that hangs holds on to it, never to its successor
        try:
            producer.begin_transaction()
            failures: list[str] = []

            def report(error: ClientError | None, _: Any) -> None:
                if error is not None:
                    failures.append(error.str())

            for one in messages:
                self._produce(one, report)
            group = consumer.consumer_group_metadata()
            self._patiently(
                lambda: producer.send_offsets_to_transaction(list(offsets), group, _CALL_SECONDS)
            )
            self._patiently(lambda: producer.commit_transaction(_CALL_SECONDS))
            if failures:  # the client refuses to commit such a transaction; never seen
                raise DeliveryError(f"a committed message was not acknowledged: {failures[0]}")
        except KafkaException as error:
            cause = error.args[0]
            metrics.PRODUCE_ERRORS.labels(cause.name()).inc()
            _log.warning("trainer.transaction_failed", error=cause.name(), why=cause.str())
            if cause.txn_requires_abort():
                if is_denial(cause):  # a start aborts what is left of it
                    self._refuse_topics(cause, {one.topic for one in messages})
                self._abort()
                return False
            self._refuse_id(cause)
            self._recover(cause)
        return True

    def _produce(self, one: Message, report: Callable[[Any, Any], None]) -> None:
        while True:
            try:
                self._producer.produce(
                    one.topic,
                    partition=one.partition,
                    key=one.key,
                    value=one.value,
                    headers=list(one.headers),
                    on_delivery=report,
                )
            except BufferError:
                self._producer.poll(0.1)
                self._pause()
            else:
                self._producer.poll(0)
                return

    def _abort(self) -> None:
        producer = self._producer
        try:
            self._patiently(lambda: producer.abort_transaction(_CALL_SECONDS))
        except KafkaException as error:
            self._recover(error.args[0])

    def _recover(self, cause: ClientError) -> None:
        """After a fatal error: tell a rival from a transaction that the broker ended by itself."""
        if cause.code() in codes.FENCED:
            raise FencedError(rival(self._instance))
        self._renew()
        raise RenewedError(f"{cause.name()}: {cause.str()}")

    def _bounded(self, call: Callable[[], None]) -> None:
        """Make a call that must not block for long, whatever the client does.

        ``send_offsets_to_transaction`` ignores its timeout and may block for good when the broker
        goes away in the middle of it (librdkafka's issue 5456). Its thread is then left alone with
        its producer, which the new one fences.

        Raises:
            _HungError: It blocks.
        """
        failures: list[BaseException] = []

        def target() -> None:
            try:
                call()
            except BaseException as error:  # noqa: BLE001  # raised again by the caller
                failures.append(error)

        thread = threading.Thread(target=target, name="driftloop-transaction", daemon=True)
        thread.start()
        deadline = time.monotonic() + _HUNG_SECONDS
        thread.join(_QUICK_SECONDS)
        while thread.is_alive():
            if time.monotonic() > deadline:
                raise _HungError
            self._pause()
        if failures:
            raise failures[0]

    def _patiently(self, call: Callable[[], None]) -> None:
        """Repeat a call until it succeeds or fails for good."""
        while True:
            try:
                return self._bounded(call)
            except KafkaException as error:
                cause = error.args[0]
                if not cause.retriable():
                    raise
                _log.warning("trainer.broker_away", error=cause.name(), why=cause.str())
            self._pause()
