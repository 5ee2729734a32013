"""The events of a stream and of its fleet, read from Driftloop's own topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from driftloop.explain.records import TIMEOUT, Progress, silent
from driftloop.kafka import codes
from driftloop.kafka.contents import event_of
from driftloop.kafka.follower import Follower
from driftloop.kafka.ranges import offsets_of, places_of
from driftloop.kafka.topics import partition_counts
from driftloop.messages import Event, FleetIncident, RetrainRequested
from driftloop.messages.envelope import header
from driftloop.settings import Settings

ROLES = ("retrain", "trainings", "models", "incidents", "commands")
"""Topics of few events: they are read whole. Evidence is read of one stream."""

LISTED = 10
"""Ids that an error names."""

_Kind = TypeVar("_Kind", bound=Event)


class Noted(NamedTuple):
    """An event, and the wall-clock time of its message, ms."""

    event: Event
    at: int


@dataclass(slots=True)
class Trail:
    """Events of one stream, each id once, in the order in which they were written.

    Attributes:
        noted: All of them, without evidence.
        evidence: Evidence by id.
        fleet: Retrain requests and incidents of all streams.
    """

    noted: list[Noted] = field(default_factory=list)
    evidence: dict[str, Noted] = field(default_factory=dict)
    fleet: list[Noted] = field(default_factory=list)

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """Its events of a type."""
        return [one.event for one in self.noted if isinstance(one.event, kind)]


class Events:
    """Reads Driftloop's own topics.

    Args:
        settings: Kafka, and the names of the topics.
        progress: Is told how far reading is.
    """

    def __init__(self, settings: Settings, progress: Progress = silent) -> None:
        self._client = settings.kafka.client()
        self._topics = settings.topics.names
        self._progress = progress
        self._small: list[Message] | None = None

    def find(self, prefix: str) -> list[Event]:
        """Events whose id begins so: among the topics of few events, else among evidence.

        Returns:
            Each id once.
        """
        found = self._matching(self.small(), prefix)
        if not found:
            found = self._matching(self._messages(["evidence"]), prefix)
        return found

    @staticmethod
    def _matching(messages: Iterable[Message], prefix: str) -> list[Event]:
        events: dict[str, Event] = {}
        for message in messages:
            if header(message.headers(), "ce_id").startswith(prefix):  # type: ignore[arg-type]
                event = event_of(message)
                if event is not None:
                    events.setdefault(event.id, event)
        return list(events.values())

    def near(self, prefix: str) -> list[str]:
        """Ids of retrain requests that share the most first digits, or the newest ones."""
        ids = [
            header(message.headers(), "ce_id")  # type: ignore[arg-type]
            for message in self.small()
            if message.topic() == self._topics["retrain"]
        ]
        shared = {one: _shared(one, prefix) for one in ids}
        most = max(shared.values(), default=0)
        close = [one for one, many in shared.items() if many == most] if most >= 3 else []
        return (close or list(dict.fromkeys(ids))[::-1])[:3]

    def trail(self, stream: str) -> Trail:
        """All events of a stream, and those of its fleet."""
        found = Trail()
        for noted in self._once(self.small()):
            event = noted.event
            if isinstance(event, RetrainRequested | FleetIncident):
                found.fleet.append(noted)
            if event.stream == stream:
                found.noted.append(noted)
        found.noted.sort(key=lambda one: one.at)
        for noted in self._once(self._evidence(stream)):
            found.evidence[noted.event.id] = noted
        return found

    def small(self) -> list[Message]:
        """Messages of the topics of few events; read once."""
        if self._small is None:
            self._small = list(self._messages(ROLES))
        return self._small

    def _evidence(self, stream: str) -> list[Message]:
        """Evidence of a stream: in the partition of its requests, where the topics are alike."""
        key = stream.encode()
        retrain = self._topics["retrain"]
        own = Counter(
            message.partition()
            for message in self.small()
            if message.topic() == retrain and message.key() == key
        )
        counts = partition_counts(
            self._client, [retrain, self._topics["evidence"]], timeout=TIMEOUT
        )
        alike = len(set(counts.values())) == 1 and len(own) == 1
        wanted = set(own) if alike else None

        def mine(message: Message) -> bool:
            return message.key() == key

        found = list(self._messages(["evidence"], wanted, mine))
        if not found and wanted is not None:  # another program keyed them otherwise
            found = list(self._messages(["evidence"], None, mine))
        return found

    @staticmethod
    def _once(messages: Iterable[Message]) -> Iterator[Noted]:
        seen: set[str] = set()
        for message in messages:
            event = event_of(message)
            if event is not None and event.id not in seen:
                seen.add(event.id)
                yield Noted(event, message.timestamp()[1])

    def _messages(
        self,
        roles: Sequence[str],
        partitions: set[int | None] | None = None,
        keep: Callable[[Message], bool] = lambda _: True,
    ) -> Iterator[Message]:
        """Messages of some topics, until their present ends."""
        names = [self._topics[role] for role in roles]
        places = {
            place
            for place in places_of(self._client, names, timeout=TIMEOUT)
            if partitions is None or place[1] in partitions
        }
        admin = AdminClient({"log_level": 2, **self._client})
        ends = offsets_of(admin, places, codes.LATEST, TIMEOUT)
        begins = offsets_of(admin, places, codes.EARLIEST, TIMEOUT)
        total, done = sum(end - begins.get(place, 0) for place, end in ends.items()), 0
        follower = Follower(self._client, "driftloop-explain")
        try:
            for message in follower.read_to(ends, timeout=TIMEOUT):
                done += 1
                if not done % 1000:
                    self._progress("evidence" if "evidence" in roles else "events", done, total)
                if keep(message):
                    yield message
        finally:
            follower.close()


def _shared(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(other))
