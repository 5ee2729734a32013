"""What was published and finished before: read back from Kafka, partition by partition.

A request may come again as long as the records and commands are kept that led to it: a monitor that
lost its state decides on them anew, with the ids of then. So an id that has an outcome is known for
as long as the topic keeps the outcome, in few bytes; and as that is a year, what was read is noted
in a file, from which the next start reads on (see `driftloop.trainer.notes`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from confluent_kafka import IsolationLevel, Message

from driftloop.errors import MessageError
from driftloop.kafka.follower import Follower
from driftloop.kafka.topics import topic_ids
from driftloop.messages import (
    CandidateTrained,
    Event,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    TrainingFinished,
    decode,
)
from driftloop.trainer.ends import Ends
from driftloop.trainer.ids import NOWHERE, OutcomeIds
from driftloop.trainer.ids import Place as Offset
from driftloop.trainer.notes import Notes, Read

_GROUP = "driftloop-trainer-history"
_log = structlog.get_logger(__name__)

Partition = tuple[str, int]
LATEST_PLACES = 64
"""Versions of a stream whose artifacts are remembered."""

NOTED_MESSAGES = 5000
NOTED_SECONDS = 600.0
"""Notes are written once so many messages were read, or so long after the last ones."""


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
        notes: Where what was read is noted; its `worth` is told of each event as listeners are.
            None reads all at each start.

    Attributes:
        current: Newest version of each stream.
        finished: Ids of the requests that have an outcome, or a candidate on trial.
        candidates: The candidate of each stream that has one on trial.
        places: Where the newest versions of each stream lie.
        judged: The version of each stream that the ledger judged last.
        read: Messages of the topic of outcomes that were read, without those that were noted.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        models: str,
        trainings: str,
        *,
        partitions: int = 0,
        listeners: Sequence[Callable[[Event], None]] = (),
        notes: Notes | None = None,
    ) -> None:
        self.current: dict[str, Current] = {}
        self.finished = OutcomeIds()
        self.candidates: dict[str, CandidateTrained] = {}
        self.places: dict[str, dict[str, Place]] = {}
        self.judged: dict[str, str] = {}
        self._models, self._trainings = models, trainings
        self._elsewhere = [(trainings, partition) for partition in range(partitions)]
        self.read = 0
        self._begun = False
        self._notes = notes
        self._listeners = [*listeners, *([notes.worth.take] if notes else [])]
        self._topic_id = ""  # once it is known
        self._unnoted = 0
        self._noted_at = time.monotonic()
        self._client = dict(client)
        self._ends = Ends(client)
        self._follower = Follower(client, _GROUP)

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
        if self._notes is not None and not self._topic_id:
            self._resume(self._notes, timeout)
        wanted = [
            (topic, partition)
            for partition in sorted(set(partitions))
            for topic in (self._models, self._trainings)
        ]
        elsewhere = [place for place in self._elsewhere if place not in wanted]
        targets = {
            **self._ends.latest(wanted, timeout, IsolationLevel.READ_UNCOMMITTED),
            **self._ends.latest(elsewhere, timeout, IsolationLevel.READ_COMMITTED),
        }
        because = ": the broker is away, or a transaction stays open"
        for message in self._follower.read_to(
            targets, timeout=timeout, check=check, because=because
        ):
            self._take(message)
        if self._notes is not None and not self._begun:
            self._begun = True
            _log.info("trainer.history_read", outcomes=self.read, known=len(self.finished))
        due = time.monotonic() > self._noted_at + NOTED_SECONDS
        if self._unnoted >= NOTED_MESSAGES or (self._unnoted and due):
            self._forget(self._ends.span(self._trainings, timeout))
            self._note()

    # Notes

    def _resume(self, notes: Notes, timeout: float) -> None:
        """Take up what was read before, if it was of this very topic."""
        found = topic_ids(self._client, [self._trainings], timeout=timeout)
        topic_id = found.get(self._trainings)
        if not topic_id:
            if topic_id is not None:  # nothing would tell this topic from another of its name
                self._notes = None
            return
        spans = self._ends.span(self._trainings, timeout)
        read = notes.load()
        if read is not None and read.topic_id == topic_id and _within(read.positions, spans):
            self.finished = OutcomeIds.load(read.ids, read.other_ids)
            self._forget(spans)
            self.current = {name: Current(None, many) for name, many in read.sequences.items()}
            self.candidates = {one.stream: one for one in read.candidates}
            self.judged = read.judged
            self.places = {
                stream: {version: Place(uri, sha256) for version, uri, sha256 in kept}
                for stream, kept in read.places.items()
            }
            notes.worth.load(read.worth)
            start = {(self._trainings, one): at for one, at in read.positions.items()}
            self._follower.close()
            self._follower = Follower(self._client, _GROUP, start)
        self._topic_id = topic_id

    def _forget(self, spans: Mapping[int, tuple[int, int]]) -> None:
        """Forget outcomes that have expired: no start would read them either."""
        self.finished.forget({partition: first for partition, (first, _) in spans.items()})

    def _note(self) -> None:
        """Write down what was read."""
        if self._notes is None or not self._topic_id:
            return
        ids, others = self.finished.dump()
        positions = self._follower.positions.items()
        read = Read(
            topic_id=self._topic_id,
            positions={at[1]: offset for at, offset in positions if at[0] == self._trainings},
            ids=ids,
            other_ids=others,
            sequences={name: one.sequence for name, one in self.current.items()},
            candidates=list(self.candidates.values()),
            places={
                stream: [(version, *place) for version, place in known.items()]
                for stream, known in self.places.items()
            },
            judged=self.judged,
            worth=self._notes.worth.dump(round(time.time() * 1000)),
        )
        self._notes.save(read)
        self._unnoted, self._noted_at = 0, time.monotonic()

    # What is known

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
        """End the connection; what was read is noted."""
        if self._unnoted:
            self._note()
        self._follower.close()

    def _take(self, message: Message) -> None:
        """Take a message up."""
        topic = message.topic()
        stream = (message.key() or b"").decode(errors="replace")
        if topic == self._trainings:
            self.read += 1
            self._unnoted += 1
        try:
            self._take_up(message, topic, stream)
        except BaseException:
            self._notes = None  # they would pass over what could not be taken up
            raise

    def _take_up(self, message: Message, topic: str | None, stream: str) -> None:
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
        self.know(event, (message.partition() or 0, message.offset() or 0))
        if topic == self._trainings:
            for listener in self._listeners:
                listener(event)

    def know(self, event: Event, place: Offset = NOWHERE) -> None:
        """Take up an event of either topic, that lies at `place`."""
        if isinstance(event, ModelPublished):
            self._current(event.stream, event, event.sequence)
            self._remember(event.stream, event.version, event.uri, event.sha256)
            if event.parent_version and event.parent_uri and event.parent_sha256:
                parent = (event.parent_version, event.parent_uri, event.parent_sha256)
                self._remember(event.stream, *parent)
        elif isinstance(event, CandidateTrained):
            before = self.current.get(event.stream, Current(None, 0))
            self._current(event.stream, before.event, event.sequence)
            self.finished.add(event.request_id, place)
            self.candidates[event.stream] = event
            self._remember(event.stream, event.version, event.uri, event.sha256)
        elif isinstance(event, RetrainJudged):
            self.judged[event.stream] = event.version
        elif isinstance(event, TrainingFinished):
            self.finished.add(event.request_id, place)
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


def _within(positions: Mapping[int, int], spans: Mapping[int, tuple[int, int]]) -> bool:
    """Whether the partitions reach as far as they were read."""
    return all(0 <= at <= spans.get(partition, (0, 0))[1] for partition, at in positions.items())
