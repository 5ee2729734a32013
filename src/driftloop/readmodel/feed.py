"""Fills the read model from Kafka: catches up with the topics, and follows them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import structlog
from confluent_kafka import KafkaException, Message, TopicCollection
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftloop.errors import KafkaError, KafkaUnavailableError, MessageError
from driftloop.kafka import codes
from driftloop.kafka.dead_letters import PREFIX, is_marker, replayed_place
from driftloop.kafka.follower import Follower
from driftloop.kafka.ranges import Place, ends_of, offsets_of
from driftloop.messages import Event, decode
from driftloop.messages.envelope import header
from driftloop.readmodel.apply import Where
from driftloop.readmodel.store import FILE, Letter, ReadModel
from driftloop.settings import Settings

BATCH = 2000
"""Messages that are written in one transaction."""

HISTORY_MS = 90 * 24 * 3600 * 1000
"""Age of the oldest evidence that a new file takes in; all other topics are read wholly."""

GROUP = "driftloop-readmodel"
"""Group that the client needs; nothing is committed to it."""

TIMEOUT = 30.0

ANSWER = 3.0
"""Seconds in which a broker must answer while the topics are followed, or counts as away."""

PATIENCE = 5.0
"""Seconds for which another process that fills the model is waited for."""

Progress = Callable[[int, int], None]

_log = structlog.get_logger(__name__)


def open_model(settings: Settings) -> ReadModel:
    """The read model of a configuration, in its home; connects to nothing."""
    names = [settings.kafka.bootstrap_servers, *settings.topics.names.values()]
    origin = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return ReadModel(settings.home / FILE, origin)


class Feed:
    """Reads Driftloop's topics into a read model; not safe for threads.

    Args:
        settings: The configuration.
        model: The read model, which this process must write (`ReadModel.acquire`).
    """

    def __init__(self, settings: Settings, model: ReadModel) -> None:
        self._client = settings.kafka.client(log_level=2)
        self._topics = settings.topics
        self._model = model
        self._follower: Follower | None = None
        self._left: dict[Place, int] = {}  # positions of the model as this feed left it
        self._admin = AdminClient(self._client)

    def catch_up(
        self,
        progress: Progress | None = None,
        *,
        check: Callable[[], None] = lambda: None,
        timeout: float = TIMEOUT,
        answer: float | None = None,
    ) -> int:
        """Read all that is there now.

        Args:
            progress: Told messages read and to read, now and then.
            check: Called often; raises to give up.
            timeout: Seconds without any progress.
            answer: Seconds in which a broker must answer first; by default `timeout`.

        Returns:
            Messages that were taken in.

        Raises:
            KafkaUnavailableError: No broker answers in time.
            KafkaError: The broker refuses.
        """
        places = self._places(timeout if answer is None else answer)
        ends = offsets_of(self._admin, places, codes.LATEST, timeout)
        follower = self._open(places, timeout)
        behind = {place: end for place, end in ends.items() if follower.position(place) < end}
        total = sum(end - follower.position(place) for place, end in behind.items())
        taken = 0
        messages = follower.read_to(ends, timeout=timeout, check=check)
        while batch := list(islice(messages, BATCH)):
            self._write(batch, follower)
            taken += len(batch)
            if progress is None:
                continue
            left = sum(max(0, end - follower.positions[place]) for place, end in behind.items())
            progress(total - left, total)
        self._left = self._model.positions()
        return taken

    def follow(
        self,
        stopped: Callable[[], bool],
        on_change: Callable[[int], None],
        wait: Callable[[float], object],
    ) -> None:
        """Catch up again and again until stopped; a broker that is away is waited for.

        Args:
            stopped: Whether to end.
            on_change: Called after new messages were taken in, with their number.
            wait: Pauses for so many seconds, less where it is woken.
        """

        def check() -> None:
            if stopped():
                raise _StoppedError

        pause = 0.5
        while not stopped():
            try:
                taken = self.catch_up(check=check, answer=ANSWER)
                pause = 0.5
                if taken:
                    on_change(taken)
            except _StoppedError:
                return
            except (KafkaError, KafkaException) as error:
                _log.warning("readmodel.kafka_away", error=str(error))
                self.close()
                pause = min(10.0, pause * 2)
            wait(pause)

    def close(self) -> None:
        """End the connection."""
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _places(self, timeout: float) -> set[Place]:
        """Partitions of the topics that exist; a topic that was made anew empties the model."""
        names = list(self._topics.names.values())
        futures = self._admin.describe_topics(TopicCollection(names), request_timeout=timeout)
        places: set[Place] = set()
        ids: dict[str, str] = {}
        for name, future in futures.items():
            try:
                found = future.result(timeout + 1)
            except KafkaException as error:
                cause = error.args[0]
                if cause.code() in codes.GONE:
                    continue
                text = f"topic {name} cannot be looked at: {cause.name()}: {cause.str()}"
                unavailable = codes.passes(cause)
                raise (KafkaUnavailableError if unavailable else KafkaError)(text) from error
            ids[name] = str(found.topic_id or "")
            places |= {(name, one.id) for one in found.partitions}
        known = self._model.topic_ids()
        if any(known.get(name, one) != one for name, one in ids.items()):
            _log.warning("readmodel.rebuilt", why="a topic was deleted and made anew")
            self._model.clear()
            self.close()
            known = {}
        if ids.items() - known.items():
            self._model.note_topics(ids)
        return places

    def _open(self, places: set[Place], timeout: float) -> Follower:
        known = self._model.positions()
        if known != self._left:  # another process has written it meanwhile
            self.close()
        if self._follower is None:
            old = {place for place in places - known.keys() if place[0] == self._topics.evidence}
            if old:
                recent = OffsetSpec.for_timestamp(round(time.time() * 1000) - HISTORY_MS)
                ends = offsets_of(self._admin, old, codes.LATEST, timeout)
                begins = offsets_of(self._admin, old, recent, timeout)
                # None that recent: where the topic ends.
                known |= {p: at if at >= 0 else ends.get(p, 0) for p, at in begins.items()}
            self._follower = Follower(self._client, GROUP, known)
        return self._follower

    def _write(self, batch: list[Message], follower: Follower) -> None:
        letters: list[Letter] = []
        replayed: list[tuple[int, int, int]] = []
        events: list[tuple[Event | None, str, Where]] = []
        for message in batch:
            if message.topic() == self._topics.dlq:
                place = replayed_place(message.headers())
                if place is not None:
                    replayed.append((int(message.timestamp()[1]), *place))
                elif not is_marker(message.headers()):
                    letters.append(_letter(message))
            else:
                events.extend(_read(message))
        self._model.write(events, letters, follower.positions, replayed)


def refresh(
    settings: Settings,
    model: ReadModel,
    progress: Progress | None = None,
    feed: Feed | None = None,
) -> str:
    """Bring a read model up to date, or wait for the process that writes it.

    Args:
        settings: The configuration.
        model: The read model.
        progress: As of `Feed.catch_up`.
        feed: Stays connected for the next time; by default one is made and closed here.

    Returns:
        An empty text; or in words, how far behind what another process writes is.

    Raises:
        KafkaUnavailableError: No broker answers in time.
        KafkaError: The broker refuses.
    """
    if model.acquire():
        reader = feed or Feed(settings, model)
        try:
            reader.catch_up(progress)
        finally:
            if feed is None:
                reader.close()
            model.release()
        return ""
    return _await(settings, model)


def _await(settings: Settings, model: ReadModel) -> str:
    """Wait until another process has taken in what there is now."""
    client = settings.kafka.client(log_level=2)
    ends = ends_of(client, list(settings.topics.names.values()), timeout=TIMEOUT)
    deadline = time.monotonic() + PATIENCE
    while True:
        known = model.positions() if model.ready else {}
        behind = sum(max(0, end - known.get(place, 0)) for place, end in ends.items())
        if not behind:
            return ""
        if time.monotonic() > deadline:
            return f"another process, as a dashboard, fills {model.path}: {behind:,} events behind"
        time.sleep(0.05)


def _where(message: Message) -> Where:
    topic, partition = message.topic() or "", message.partition() or 0
    return Where(topic, partition, int(message.offset() or 0), int(message.timestamp()[1]))


def _read(message: Message) -> Iterator[tuple[Event | None, str, Where]]:
    """The event of a message; one that cannot be read is logged, and left out."""
    key = (message.key() or b"").decode(errors="replace")
    where = _where(message)
    if message.value() is None:
        yield None, key, where
        return
    try:
        event = decode(message.headers(), message.value())  # type: ignore[arg-type]
    except MessageError as error:
        _log.warning("readmodel.unreadable_event", **where._asdict(), error=str(error))
        return
    yield event, key, where


def _letter(message: Message) -> Letter:
    where = _where(message)
    headers: Any = message.headers() or []

    def number(name: str) -> int:
        text = header(headers, PREFIX + name)
        return int(text) if text.isdecimal() else -1

    return (
        *(where.partition, where.offset),
        header(headers, PREFIX + "topic"),
        *(number("partition"), number("offset")),
        header(headers, PREFIX + "exception"),
        header(headers, PREFIX + "message"),
        *(len(message.value() or b""), where.told_at),
    )


class _StoppedError(Exception):
    pass
