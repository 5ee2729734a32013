"""The trainer's loop: requests from Kafka, batches to a worker thread, outcomes to Kafka.

The main thread alone talks to the consumer group and never blocks for long, so no rebalance takes
work away because training takes time. It reads all that waits; a worker thread chooses the best of
it and trains one batch. What it found is published in one transaction with the offsets that all
requests before are finished at, unless their partition was taken away: then the new owner serves
them again.

Orders are carried out by a second thread, before a batch is chosen or while it is trained, in
transactions of their own. What was trained meanwhile for a stream that an order changed is dropped,
and its request is served anew. The two threads share `History`: orders begin once the batch is
chosen, and the batch is published after them.
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
from driftloop.errors import KafkaError, KafkaUnavailableError, StoreUnavailableError
from driftloop.heartbeat import Heartbeat
from driftloop.kafka import codes
from driftloop.kafka.groups import group_members
from driftloop.kafka.rights import denied, require, roles_of
from driftloop.kafka.topics import driftloop_topics, ensure_topics, partition_counts
from driftloop.logs import client_logger
from driftloop.settings import Settings
from driftloop.telemetry.readiness import READINESS
from driftloop.trainer import publish, spans
from driftloop.trainer.afterwards import Afterwards, versions
from driftloop.trainer.batch import Round, Served, outgoing, serve, serve_orders
from driftloop.trainer.gpu import watch as watch_gpu
from driftloop.trainer.history import History
from driftloop.trainer.inbox import Inbox
from driftloop.trainer.job import CancelledTrainingError, Check
from driftloop.trainer.metrics import (
    DEAD_LETTERS,
    observe,
    observe_answers,
    observe_assignment,
    observe_queue,
)
from driftloop.trainer.notes import Notes
from driftloop.trainer.orders import tell
from driftloop.trainer.pace import RETRY_SECONDS, Pace
from driftloop.trainer.queue import Turns
from driftloop.trainer.tickets import Ticket, read_ticket
from driftloop.trainer.train import device_of
from driftloop.trainer.work import Result, Trainer
from driftloop.trainer.worth import Worth

_POLL_SECONDS = 0.1
_SHOW_SECONDS = 1.0
_STOP_SECONDS = 5.0
_ALONE_SECONDS = 30.0
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class _StoppedError(Exception):
    """The trainer was told to stop."""


@dataclass(slots=True, eq=False)
class _Work:
    """A round in a thread of its own."""

    round: Round
    thread: threading.Thread
    cancelled: threading.Event
    served: Served | None = None
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
        watch_gpu(self._device)
        self._stopping = threading.Event()
        self.member = ""
        most = settings.trainer.max_requests
        self._inbox = Inbox(settings.trainer.queue)
        self._pace = Pace(settings.trainer.linger.total_seconds(), most, once=once)
        self._worth = Worth(settings)
        self._turns = Turns()
        self._ended: set[int] = set()
        self._paused = False
        self._shown = 0.0
        self._lag = 0
        self._caught_up = False  # since the last assignment
        self._work: _Work | None = None
        self._orders: _Work | None = None
        self._batch_next = False  # so that no flood of orders keeps batches from being chosen
        self._afterwards: Afterwards | None = None

    def stop(self) -> None:
        """Ask the loop to end; may be called from a signal handler or another thread."""
        self._stopping.set()

    @property
    def training(self) -> set[str]:
        """Streams whose requests are in training at the moment."""
        work = self._work
        chosen = work.round.chosen if work is not None else None
        return {one.event.stream for one in chosen or () if one.event}

    def run(self) -> None:
        """Serve until stopped.

        Raises:
            KafkaError: Something that waiting does not cure; says what to do.
        """
        try:
            partitions = self._patiently(self._check_topics)
            publisher = publish.Publisher(
                self._client, f"driftloop-trainer-{self._instance}", self._breathe
            )
        except _StoppedError:
            return
        self._afterwards = Afterwards(self._settings)
        history = History(
            self._client,
            self._topics.models,
            self._topics.trainings,
            partitions=partitions,
            notes=Notes(self._settings.home, self._worth),
        )
        consumer = self._subscribed()
        READINESS.watch("requests", self._lacks)
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
            READINESS.forget("requests")
            self._abandon()
            consumer.close()
            if self._work is None and self._orders is None:
                history.close()
            self._afterwards.close(_ALONE_SECONDS if self._once else _STOP_SECONDS)
        _log.info("trainer.stopped", instance=self._instance)

    def _subscribed(self) -> Consumer:
        """A new member of the group."""
        self.member = f"driftloop-trainer-{self._instance}-{secrets.token_hex(4)}"
        self._paused = False
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
            self._show(consumer)
            self._make_room(consumer)
            message = consumer.poll(self._pace.patience(time.monotonic()))
            if message is not None and not self._receive(message):
                return False
            if self._orders is not None:
                if not self._orders.thread.is_alive() and self._over(
                    self._orders, consumer, publisher
                ):
                    self._orders = None
            elif self._orders_due():
                self._start_orders(history)
            elif self._work is not None:
                if not self._work.thread.is_alive() and self._over(self._work, consumer, publisher):
                    self._work = None
            elif self._due():
                self._start(history)
            elif self._once and self._done(began):
                return True
        return True

    def _show(self, consumer: Consumer) -> None:
        """Bring the metrics up to date, once a second."""
        now = time.monotonic()
        if now >= self._shown + _SHOW_SECONDS:
            self._shown = now
            self._lag = observe_assignment(consumer, self._partitions())
            self._caught_up = self._caught_up or self._drained
            observe_queue(self._inbox, self._worth.budget, self._settings.profiles, _now_ms())

    def _lacks(self, most_lag: int) -> str:
        """What is lacking for the trainer to be ready: its share of the requests, read to the end.

        Versions and outcomes of a partition are read in the round that serves its first request.
        """
        if not self._inbox.assigned:
            return f"group {self._settings.trainer.group}: no assignment yet"
        if not self._caught_up:
            return "the requests that wait are still being read"
        if self._lag > most_lag:
            return (
                f"{self._lag} requests not read yet, at most {most_lag} are allowed "
                "(telemetry.ready_lag)"
            )
        return ""

    def _make_room(self, consumer: Consumer) -> None:
        """Read no more while the inbox is full."""
        if self._inbox.full == self._paused:
            return
        self._paused = self._inbox.full
        (consumer.pause if self._paused else consumer.resume)(self._partitions())
        if self._paused:
            _log.warning(
                "trainer.queue_full",
                requests=self._inbox.requests,
                advice="the best of these are chosen; raise trainer.queue to choose from more",
            )

    @property
    def _drained(self) -> bool:
        return self._inbox.full or self._ended >= set(self._inbox.partitions)

    def _done(self, began: float) -> bool:
        if len(self._inbox) and not self._pace.settled:
            return False
        if not self._inbox.partitions:  # others of the group may have all of it
            return time.monotonic() - began > _ALONE_SECONDS
        return self._drained

    def _due(self) -> bool:
        return self._pace.due(time.monotonic(), _now_ms(), len(self._inbox), drained=self._drained)

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
            elif error.code() == ClientError.TOPIC_AUTHORIZATION_FAILED:
                raise KafkaError(denied(f"topic {self._topics.retrain}", "Read"))
            elif error.code() == ClientError.GROUP_AUTHORIZATION_FAILED:
                raise KafkaError(denied(f"group {self._settings.trainer.group}", "Read"))
            elif error.fatal():
                raise KafkaError(f"topic {self._topics.retrain}: {error.str()}")
            else:
                _log.warning("trainer.consumer_error", error=error.name(), why=error.str())
            return True
        self._ended.discard(partition)
        assignment = self._inbox.assignment(partition)
        if assignment is not None:
            self._pace.arrived(time.monotonic())
            self._inbox.add(read_ticket(message, assignment))
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
        consumer.incremental_assign(partitions)
        self._inbox.assign(one.partition for one in partitions)
        self._caught_up = self._caught_up and not partitions
        self._ended -= {one.partition for one in partitions}
        if self._paused and partitions:
            consumer.pause(partitions)
        _log.info("trainer.partitions_assigned", partitions=self._inbox.partitions)

    def _on_revoke(self, consumer: Consumer | None, partitions: list[TopicPartition]) -> None:
        del consumer  # the client unassigns by itself
        self._inbox.revoke(one.partition for one in partitions)
        self._ended -= {one.partition for one in partitions}
        self._spare()
        if partitions:
            _log.info(
                "trainer.partitions_revoked", partitions=sorted(one.partition for one in partitions)
            )

    def _spare(self) -> None:
        """End a batch of which nothing counts any more."""
        work = self._work
        if work is not None:
            wanted = work.round.tickets if work.round.chosen is None else work.round.chosen
            if not any(self._counts(work.round, one) for one in wanted):
                work.cancelled.set()

    def _counts(self, round_: Round, ticket: Ticket) -> bool:
        overtaken = ticket.event is not None and ticket.event.stream in round_.overtaken
        return self._inbox.holds(ticket) and not overtaken

    def _orders_due(self) -> bool:
        """Whether orders wait, and may be carried out now."""
        if not self._inbox.orders or not self._pace.rested(time.monotonic()):
            return False
        work = self._work
        if work is None:
            return not (self._batch_next and self._due())
        return work.thread.is_alive() and work.round.chosen is not None

    def _start_orders(self, history: History) -> None:
        """Hand orders to a thread of their own."""
        self._batch_next = self._work is None
        round_ = Round(self._inbox.tickets, self._turns, orders=True)
        _log.info("trainer.orders_begun", beside_batch=self._work is not None)
        self._orders = _begun(
            round_,
            lambda check: serve_orders(round_, self._trainer, history, self._settings, check),
        )

    def _start(self, history: History) -> None:
        """Hand what waits to a worker thread."""
        self._batch_next = False
        round_ = Round(self._inbox.tickets, self._turns)
        self._pace.begun()
        _log.info("trainer.batch_begun", requests=len(round_.tickets))
        self._work = _begun(
            round_,
            lambda check: serve(round_, self._trainer, history, self._worth, self._settings, check),
        )

    def _over(self, work: _Work, consumer: Consumer, publisher: publish.Publisher) -> bool:
        """Publish what a thread found, or serve it anew; False where it is to be tried again."""
        error = work.error
        if work.served is not None:
            return self._publish(work.round, work.served, consumer, publisher)
        if isinstance(error, KafkaUnavailableError | KafkaException | StoreUnavailableError):
            _log.warning("trainer.batch_retried", why=str(error))
            self._pace.retry(time.monotonic())
        elif isinstance(error, CancelledTrainingError):
            self._pace.ended(more=True, wake_ms=None)
        elif error is not None:
            raise error
        return True

    def _publish(
        self, round_: Round, served: Served, consumer: Consumer, publisher: publish.Publisher
    ) -> bool:
        """Whether the round is over: published, or to be served anew."""
        tickets = [ticket for ticket in round_.tickets if self._counts(round_, ticket)]
        if round_.orders:
            self._overtake(served)
        plan = self._inbox.plan({one.place for one in tickets if one.place in served.done})
        messages, kept = outgoing(
            tickets, plan.letters, served.results, self._topics, served.answers
        )
        offsets = [
            TopicPartition(self._topics.retrain, partition, offset)
            for partition, offset in plan.offsets.items()
        ]
        publishing_ns = time.time_ns()
        if offsets:
            try:
                if not publisher.publish(messages, offsets, consumer):
                    return False
            except publish.RenewedError as error:
                _log.warning("trainer.outcomes_unknown", why=str(error))
                self._pace.retry(time.monotonic())
                return True
            self._inbox.settle(plan)
            for letter in (one.letter for one in plan.letters if one.letter):
                DEAD_LETTERS.labels(letter.reason).inc()
        if not round_.orders:
            self._turns = served.turns
            more = served.more or bool(round_.overtaken)
            self._pace.ended(more=more, wake_ms=served.wake_ms)
        if served.done:
            answered = {one.event.id for one in tickets if one.event}
            tell(served.answers, answered)
            observe_answers(served.answers, answered)
            if self._afterwards is not None:
                self._afterwards.take(versions(kept, served.answers, answered))
            spans.tell(tickets, kept, messages, time.monotonic() - round_.began, publishing_ns)
            self._tell(round_, kept)
        return True

    def _overtake(self, served: Served) -> None:
        """Let what orders change count, not what is in training for the same streams."""
        if self._work is None:
            return
        changed = {event.stream for one in served.answers for event in one.events}
        self._work.round.overtaken |= changed | {one.request.stream for one in served.results}
        self._spare()

    def _tell(self, round_: Round, kept: Sequence[Result]) -> None:
        """Count, log and report what was published."""
        seconds = time.monotonic() - round_.began
        observe(kept, seconds)
        for one in kept:
            _log.info(
                "trainer.request_finished",
                stream=one.request.stream,
                event_id=one.request.id,
                outcome=one.finished.outcome,
                reason=one.finished.reason,
                version=one.finished.version,
                model_id=one.published.id if one.published else None,
            )
        self._report(kept, seconds)

    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self._topics.retrain, one) for one in self._inbox.partitions]

    def _abandon(self) -> None:
        """Give up what is in work; nothing of it was published."""
        for work in (self._orders, self._work):
            if work is not None:
                work.cancelled.set()
        self._orders, self._work = map(_ended, (self._orders, self._work))

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
                deadline = time.monotonic() + RETRY_SECONDS
                while time.monotonic() < deadline:
                    self._breathe()

    def _check_topics(self) -> int:
        """See that the topics are there; how many partitions each has."""
        names = [self._topics.retrain, self._topics.models, self._topics.trainings]
        if self._topics.create:
            roles = roles_of("trainer", self._settings)
            ensure_topics(self._client, driftloop_topics(self._topics, roles))
        require(self._client, "trainer", self._settings)
        counts = partition_counts(self._client, names)
        missing = [name for name in names if name not in counts]
        if missing:
            raise KafkaError(
                f"topics {', '.join(missing)} are missing: make them, or set topics.create = true"
            )
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{name} {counts[name]}" for name in names)
            raise KafkaError(f"these topics must have the same number of partitions, got {shown}")
        return counts[self._topics.retrain]


def _begun(round_: Round, run: Callable[[Check], Served]) -> _Work:
    """A thread that serves a round."""
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise CancelledTrainingError

    def target() -> None:
        try:
            work.served = run(check)
        except BaseException as error:  # noqa: BLE001  # told to the main thread
            work.error = error

    name = "driftloop-orders" if round_.orders else "driftloop-trainer"
    thread = threading.Thread(target=target, name=name, daemon=True)
    work = _Work(round_, thread, cancelled)
    thread.start()
    return work


def _ended(work: _Work | None) -> _Work | None:
    """Wait for a cancelled thread: None once it has ended."""
    if work is not None:
        work.thread.join(_STOP_SECONDS)
    return work if work is not None and work.thread.is_alive() else None


def _now_ms() -> int:
    return round(time.time() * 1000)
