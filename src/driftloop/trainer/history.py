"""What was published and finished before: read back from Kafka, partition by partition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from confluent_kafka import (
    IsolationLevel,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from driftloop.errors import KafkaUnavailableError, MessageError
from driftloop.kafka import codes
from driftloop.kafka.follower import Follower
from driftloop.kafka.topics import partition_counts
from driftloop.messages import (
    CandidateTrained,
    Event,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    TrainingFinished,
    decode,
)

_log = structlog.get_logger(__name__)

Partition = tuple[str, int]
LATEST_PLACES = 64
"""Versions of a stream whose artifacts are remembered."""


class Place(NamedTuple):
    """Where an artifact lies, and the sha256 of its manifest."""

    uri: str
    sha256: str


class Current(NamedTuple):
    """The newest version of a stream.

    Attributes:
        event: Its publication; None once the stream was retired.
        sequence: The largest number that a version or candidate of the stream has.
        judged: Whether the ledger holds what it was worth on live records.
    """

    event: ModelPublished | None
    sequence: int
    judged: bool = True


class History:
    """Follows ``driftloop.models`` and ``driftloop.trainings`` in the partitions of a trainer.

    Requests, outcomes and versions of a stream lie in the same partition of their topics, so a
    trainer reads only what belongs to the requests that it is given; and outcomes of all others,
    as far as they go, for what a fleet's trainings saved, took and may still take.

    Args:
        client: Client properties.
        models: Name of the topic of versions.
        trainings: Name of the topic of outcomes.
        partitions: Of the topic of outcomes, from which to follow those of other trainers.
        listeners: Told of each event of the topic of outcomes, once.

    Attributes:
        current: Newest version of each stream.
        finished: Ids of the requests that have an outcome, or a candidate on trial.
        candidates: The candidate of each stream that has one on trial.
        places: Where the newest versions of each stream lie.
        judged: The version of each stream that the ledger judged last.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        models: str,
        trainings: str,
        *,
        partitions: int = 0,
        listeners: Sequence[Callable[[Event], None]] = (),
    ) -> None:
        self.current: dict[str, Current] = {}
        self.finished: set[str] = set()
        self.candidates: dict[str, CandidateTrained] = {}
        self.places: dict[str, dict[str, Place]] = {}
        self.judged: dict[str, str] = {}
        self._models, self._trainings = models, trainings
        self._elsewhere = [(trainings, partition) for partition in range(partitions)]
        self._listeners = listeners
        self._client = dict(client)
        self._admin: AdminClient | None = None
        self._follower = Follower(client, "driftloop-trainer-history")

    def catch_up(
        self, partitions: Iterable[int], check: Callable[[], None], *, timeout: float = 60.0
    ) -> None:
        """Read all that was written to these partitions until now.

        Waits for open transactions to end: an outcome that a trainer wrote just before it died is
        then seen, or known to be aborted. Outcomes in other partitions are read up to the first
        open transaction.

        Args:
            partitions: Partition numbers; once given, they are followed for good.
            check: Called now and then; raises to give up.
            timeout: Seconds without any progress.

        Raises:
            KafkaUnavailableError: No broker answers, or a transaction stays open.
        """
        wanted = [
            (topic, partition)
            for partition in sorted(set(partitions))
            for topic in (self._models, self._trainings)
        ]
        elsewhere = [place for place in self._elsewhere if place not in wanted]
        targets = {
            **self._ends(wanted, timeout, IsolationLevel.READ_UNCOMMITTED),
            **self._ends(elsewhere, timeout, IsolationLevel.READ_COMMITTED),
        }
        because = ": the broker is away, or a transaction stays open"
        for message in self._follower.read_to(
            targets, timeout=timeout, check=check, because=because
        ):
            self._take(message)

    def current_of(self, request: RetrainRequested) -> Current:
        """Newest version of a request's stream."""
        return self.judge(self.current.get(request.stream, Current(None, 0)))

    def judge(self, current: Current) -> Current:
        """The same, with whether the ledger has judged it."""
        event = current.event
        if event is None:
            return current
        return current._replace(judged=self.judged.get(event.stream) == event.version)

    def close(self) -> None:
        """End the connection."""
        self._follower.close()

    def _ends(
        self, wanted: list[Partition], timeout: float, isolation: IsolationLevel
    ) -> dict[Partition, int]:
        if not wanted:
            return {}
        self._admin = self._admin or AdminClient({"log_level": 2, **self._client})
        futures = self._admin.list_offsets(
            {TopicPartition(*place): codes.LATEST for place in wanted},
            isolation_level=isolation,
            request_timeout=timeout,
        )
        ends = {}
        for place, future in futures.items():
            try:
                ends[place.topic, place.partition] = future.result(timeout + 1).offset
            except KafkaException as error:
                # The client remembers leader epochs for good: after a broker's restart it would be
                # refused (FENCED_LEADER_EPOCH) until the end of its days.
                self._admin = None
                cause = error.args[0]
                partition_counts(self._client, [str(place.topic)])  # or is it not allowed?
                raise KafkaUnavailableError(
                    f"{place.topic}[{place.partition}]: {cause.name()}: {cause.str()}"
                ) from error
        return ends

    def _take(self, message: Message) -> None:
        """Take a message up."""
        topic = message.topic()
        stream = (message.key() or b"").decode(errors="replace")
        if message.value() is None:
            if topic == self._models and stream in self.current:
                self.current[stream] = Current(None, self.current[stream].sequence)
            return
        try:
            event = decode(message.headers(), message.value())  # type: ignore[arg-type]
        except MessageError as problem:
            _log.warning(
                "trainer.event_unreadable",
                place=f"{topic}[{message.partition()}]@{message.offset()}",
                why=str(problem),
            )
            return
        self.know(event)
        if topic == self._trainings:
            for listener in self._listeners:
                listener(event)

    def know(self, event: Event) -> None:
        """Take up an event of either topic."""
        if isinstance(event, ModelPublished):
            self._current(event.stream, event, event.sequence)
            self._remember(event.stream, event.version, event.uri, event.sha256)
            if event.parent_version and event.parent_uri and event.parent_sha256:
                parent = (event.parent_version, event.parent_uri, event.parent_sha256)
                self._remember(event.stream, *parent)
        elif isinstance(event, CandidateTrained):
            before = self.current.get(event.stream, Current(None, 0))
            self._current(event.stream, before.event, event.sequence)
            self.finished.add(event.request_id)
            self.candidates[event.stream] = event
            self._remember(event.stream, event.version, event.uri, event.sha256)
        elif isinstance(event, RetrainJudged):
            self.judged[event.stream] = event.version
        elif isinstance(event, TrainingFinished):
            self.finished.add(event.request_id)
            candidate = self.candidates.get(event.stream)
            if candidate is not None and candidate.request_id == event.request_id:
                del self.candidates[event.stream]

    def _current(self, stream: str, event: ModelPublished | None, sequence: int) -> None:
        before = self.current.get(stream)
        self.current[stream] = Current(event, max(sequence, before.sequence if before else 0))

    def _remember(self, stream: str, version: str, uri: str, sha256: str) -> None:
        places = self.places.setdefault(stream, {})
        places.pop(version, None)
        places[version] = Place(uri, sha256)
        if len(places) > LATEST_PLACES:
            del places[next(iter(places))]
