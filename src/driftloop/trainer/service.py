"""The trainer's loop: requests from Kafka, batches to a worker thread, outcomes to Kafka.

The main thread alone talks to the consumer group and never blocks for long, so no rebalance takes
work away because training takes time. A worker thread trains one batch; the partitions are paused
meanwhile. What it found is published in one transaction with the offsets of its requests, unless
their partition was taken away: then the new owner serves them again.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as ClientError

from driftloop import __version__
from driftloop.errors import KafkaError, KafkaUnavailableError
from driftloop.heartbeat import Heartbeat
from driftloop.kafka import codes
from driftloop.kafka.groups import group_members
from driftloop.kafka.topics import driftloop_topics, ensure_topics, partition_counts
from driftloop.logs import client_logger
from driftloop.settings import Settings
from driftloop.trainer import publish
from driftloop.trainer.batch import Batch, Ticket, outgoing, read_ticket, serve
from driftloop.trainer.history import History
from driftloop.trainer.job import CancelledTrainingError
from driftloop.trainer.metrics import observe
from driftloop.trainer.train import device_of
from driftloop.trainer.work import Result, Trainer

_POLL_SECONDS = 0.1
_RETRY_SECONDS = 2.0
_STOP_SECONDS = 5.0
_ALONE_SECONDS = 30.0
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class _StoppedError(Exception):
    """The trainer was told to stop."""


@dataclass(slots=True, eq=False)
class _Work:
    """A batch in the worker thread."""

    batch: Batch
    thread: threading.Thread
    cancelled: threading.Event
    results: list[Result] | None = None
    error: BaseException | None = None


class TrainerService:
    """Serves retrain requests until it is stopped.

    Args:
        settings: The whole configuration.
        once: End when all that waits is served.
        report: Told of every published batch: its results and the seconds that it took.

    Attributes:
        member: The ``client.id`` with which it is in the group.

    Raises:
        SettingsError: A setting does not fit this machine.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        once: bool = False,
        report: Callable[[Sequence[Result], float], None] = lambda _results, _seconds: None,
    ) -> None:
        self._settings = settings
        self._once = once
        self._report = report
        self._client = settings.kafka.client()
        self._topics = settings.topics
        self._instance = settings.trainer.instance or f"{socket.gethostname()}-{os.getpid()}"
        self._device = device_of(settings.trainer.device)
        self._trainer = Trainer(settings, self._device)
        self._heartbeat = Heartbeat(settings.home, "trainer")
        self._stopping = threading.Event()
        self.member = ""
        self._owned: dict[int, int] = {}  # partition: how many assignments came before this one
        self._assignments = 0
        self._ended: set[int] = set()
        self._pending: list[Ticket] = []
        self._since = 0.0
        self._not_before = 0.0
        self._work: _Work | None = None

    def stop(self) -> None:
        """Ask the loop to end; may be called from a signal handler or another thread."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until stopped.

        Raises:
            KafkaError: Something that waiting does not cure; says what to do.
        """
        try:
            self._patiently(self._check_topics)
            publisher = publish.Publisher(
                self._client, f"driftloop-trainer-{self._instance}", self._breathe
            )
        except _StoppedError:
            return
        history = History(self._client, self._topics.models, self._topics.trainings)
        consumer = self._subscribed()
        _log.info(
            "trainer.started",
            version=__version__,
            kafka=self._settings.kafka.bootstrap_servers,
            instance=self._instance,
            device=str(self._device),
        )
        try:
            while not self._loop(consumer, publisher, history):
                consumer.close()
                consumer = self._subscribed()
        except _StoppedError:
            pass
        finally:
            self._abandon()
            consumer.close()
            if self._work is None:
                history.close()
        _log.info("trainer.stopped", instance=self._instance)

    def _subscribed(self) -> Consumer:
        """A new member of the group."""
        self.member = f"driftloop-trainer-{self._instance}-{secrets.token_hex(4)}"
        # A trainer with a name of its own is a static member: after a crash it takes its partitions
        # up at once. Any other is let go by the group after the session's timeout.
        static = {"group.instance.id": self._instance} if self._settings.trainer.instance else {}
        consumer = Consumer(
            {
                "fetch.wait.max.ms": 100,
                "session.timeout.ms": 10_000,
                **self._client,
                **static,
                "client.id": self.member,
                "group.id": self._settings.trainer.group,
                "partition.assignment.strategy": "cooperative-sticky",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            },
            logger=client_logger(),
        )
        consumer.subscribe(
            [self._topics.retrain],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )
        return consumer

    def _loop(self, consumer: Consumer, publisher: publish.Publisher, history: History) -> bool:
        """Serve until told to end: True; or until the consumer must be made anew: False."""
        began = time.monotonic()
        while not self._stopping.is_set():
            self._heartbeat.beat()
            room = self._work is None and len(self._pending) < self._settings.trainer.max_requests
            message = consumer.poll(_POLL_SECONDS if not room else self._patience())
            if message is not None and not self._receive(message):
                return False
            if self._work is not None:
                if not self._work.thread.is_alive():
                    self._finish(consumer, publisher)
            elif self._due():
                self._start(consumer, history)
            elif self._once and self._done(began):
                return True
        return True

    def _patience(self) -> float:
        """Seconds to wait for the next request."""
        if not self._pending:
            return _POLL_SECONDS
        left = self._since + self._settings.trainer.linger.total_seconds() - time.monotonic()
        return min(max(left, 0.0), _POLL_SECONDS)

    def _done(self, began: float) -> bool:
        if self._pending:
            return False
        if not self._assignments or not self._owned:  # others of the group may have all of it
            return time.monotonic() - began > _ALONE_SECONDS
        return self._ended >= self._owned.keys()

    def _due(self) -> bool:
        now = time.monotonic()
        if not self._pending or now < self._not_before:
            return False
        if len(self._pending) >= self._settings.trainer.max_requests:
            return True
        if self._once and self._ended >= self._owned.keys():
            return True
        return now >= self._since + self._settings.trainer.linger.total_seconds()

    def _receive(self, message: Message) -> bool:
        """Take a request in; False where the consumer is of no use any more."""
        partition, error = message.partition() or 0, message.error()
        if error is not None:
            if error.code() == codes.PARTITION_EOF:
                self._ended.add(partition)
            elif error.code() in codes.FENCED or error.code() == codes.FATAL:
                _log.warning("trainer.consumer_error", error=error.name(), why=error.str())
                self._look_for_rival()
                return False
            elif error.fatal() or error.code() in (
                ClientError.TOPIC_AUTHORIZATION_FAILED,
                ClientError.GROUP_AUTHORIZATION_FAILED,
            ):
                raise KafkaError(
                    f"topic {self._topics.retrain}, group {self._settings.trainer.group}: "
                    f"{error.str()}: the trainer needs the right Read on both"
                )
            else:
                _log.warning("trainer.consumer_error", error=error.name(), why=error.str())
            return True
        self._ended.discard(partition)
        assignment = self._owned.get(partition)
        if assignment is None:
            return True
        if not self._pending:
            self._since = time.monotonic()
        self._pending.append(read_ticket(message, assignment))
        return True

    def _look_for_rival(self) -> None:
        """Tell another trainer of the same name from an earlier joining of this one.

        A member whose session ran out while the broker was away joins again, and may do so twice:
        the broker then fences the first by the second.

        Raises:
            FencedError: Another trainer has the name.
        """
        group = self._settings.trainer.group
        try:
            members = self._patiently(lambda: group_members(self._client, group))
        finally:
            self._on_revoke(None, self._partitions())
        if members.get(self._instance, self.member) != self.member:
            raise publish.FencedError(publish.rival(self._instance))
        _log.warning("trainer.member_renewed", instance=self._instance, group=group)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assignments += 1
        consumer.incremental_assign(partitions)
        for one in partitions:
            self._owned[one.partition] = self._assignments
            self._ended.discard(one.partition)
        if self._work is not None and partitions:
            consumer.pause(partitions)
        _log.info("trainer.partitions_assigned", partitions=sorted(self._owned))

    def _on_revoke(self, consumer: Consumer | None, partitions: list[TopicPartition]) -> None:
        del consumer  # the client unassigns by itself
        for one in partitions:
            self._owned.pop(one.partition, None)
            self._ended.discard(one.partition)
        self._pending = [ticket for ticket in self._pending if self._owns(ticket)]
        if self._work is not None and not any(map(self._owns, self._work.batch.tickets)):
            self._work.cancelled.set()
        if partitions:
            _log.info(
                "trainer.partitions_revoked", partitions=sorted(one.partition for one in partitions)
            )

    def _owns(self, ticket: Ticket) -> bool:
        return self._owned.get(ticket.partition) == ticket.assignment

    def _start(self, consumer: Consumer, history: History) -> None:
        """Hand what waits to a worker thread."""
        most = self._settings.trainer.max_requests
        batch = Batch(self._pending[:most])
        self._pending = self._pending[most:]
        cancelled = threading.Event()

        def check() -> None:
            if cancelled.is_set():
                raise CancelledTrainingError

        def target() -> None:
            try:
                work.results = serve(batch, self._trainer, history, check)
            except BaseException as error:  # noqa: BLE001  # told to the main thread
                work.error = error

        thread = threading.Thread(target=target, name="driftloop-trainer", daemon=True)
        work = self._work = _Work(batch, thread, cancelled)
        consumer.pause(self._partitions())
        _log.info("trainer.batch_begun", requests=len(batch.tickets))
        thread.start()

    def _finish(self, consumer: Consumer, publisher: publish.Publisher) -> None:
        """Publish what the worker thread found, or take the batch back."""
        work = self._work
        if work is None:
            return
        error = work.error
        if error is None:
            self._publish(work, consumer, publisher)
            if any(map(self._owns, work.batch.tickets)):
                return  # not published yet: tried again at the next turn
        elif isinstance(error, KafkaUnavailableError | KafkaException):
            _log.warning("trainer.batch_retried", why=str(error))
            self._take_back(work)
        elif not isinstance(error, CancelledTrainingError):
            raise error
        self._work = None
        if self._owned:
            consumer.resume(self._partitions())

    def _take_back(self, work: _Work) -> None:
        kept = [ticket for ticket in work.batch.tickets if self._owns(ticket)]
        self._pending = kept + self._pending
        self._not_before = time.monotonic() + _RETRY_SECONDS

    def _publish(self, work: _Work, consumer: Consumer, publisher: publish.Publisher) -> None:
        tickets = [ticket for ticket in work.batch.tickets if self._owns(ticket)]
        if not tickets:
            return
        results = work.results or []
        messages, kept = outgoing(tickets, results, self._topics)
        ends = {ticket.partition: ticket.offset + 1 for ticket in tickets}
        offsets = [
            TopicPartition(self._topics.retrain, partition, end)
            for partition, end in sorted(ends.items())
        ]
        try:
            if not publisher.publish(messages, offsets, consumer):
                return
        except publish.RenewedError as error:
            _log.warning("trainer.outcomes_unknown", why=str(error))
            self._take_back(work)
            work.batch.tickets.clear()
            return
        work.batch.tickets.clear()
        seconds = time.monotonic() - work.batch.began
        observe(kept, seconds)
        for one in kept:
            _log.info(
                "trainer.request_finished",
                stream=one.request.stream,
                event_id=one.request.id,
                outcome=one.finished.outcome,
                reason=one.finished.reason,
                version=one.finished.version,
            )
        self._report(kept, seconds)

    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self._topics.retrain, partition) for partition in self._owned]

    def _abandon(self) -> None:
        """Give up the batch in work; nothing of it was published."""
        work = self._work
        if work is None:
            return
        work.cancelled.set()
        work.thread.join(_STOP_SECONDS)
        if not work.thread.is_alive():
            self._work = None

    def _breathe(self) -> None:
        """Between two tries while the broker is away."""
        self._heartbeat.beat()
        # No waiting on the event: a signal's handler sets it, and would find its lock held.
        time.sleep(_POLL_SECONDS)
        if self._stopping.is_set():
            raise _StoppedError

    def _patiently(self, call: Callable[[], _T]) -> _T:
        while True:
            try:
                return call()
            except KafkaUnavailableError as error:
                _log.warning("kafka.waiting", why=str(error))
                deadline = time.monotonic() + _RETRY_SECONDS
                while time.monotonic() < deadline:
                    self._breathe()

    def _check_topics(self) -> None:
        names = [self._topics.retrain, self._topics.models, self._topics.trainings]
        if self._topics.create:
            ensure_topics(self._client, driftloop_topics(self._topics))
        counts = partition_counts(self._client, names)
        missing = [name for name in names if name not in counts]
        if missing:
            raise KafkaError(
                f"topics {', '.join(missing)} are missing: make them, or set topics.create = true"
            )
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{name} {counts[name]}" for name in names)
            raise KafkaError(f"these topics must have the same number of partitions, got {shown}")
