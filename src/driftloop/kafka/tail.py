"""The newest messages of topics, and those that come after them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.errors import KafkaError
from driftloop.kafka import codes
from driftloop.kafka.ranges import Place, offsets_of, places_of
from driftloop.logs import client_logger

_POLL_SECONDS = 0.2
_BATCH = 1000
_GATHER_SECONDS = 15.0


class Tail:
    """Reads topics from near their ends; a context manager, not safe for threads.

    Topics that do not exist are left out.

    Args:
        client: Client properties.
        topics: Their names.
        last: Messages of each partition to begin with.
        timeout: Seconds for the broker to answer.

    Raises:
        KafkaUnavailableError: No broker answers in time.
        KafkaError: The broker refuses.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topics: Sequence[str],
        *,
        last: int = 0,
        timeout: float = 10.0,
    ) -> None:
        places = places_of(client, topics, timeout=timeout)
        admin = AdminClient({"log_level": 2, **client})
        begins = offsets_of(admin, places, codes.EARLIEST, timeout)
        self._ends = offsets_of(admin, places, codes.LATEST, timeout)
        self._consumer = Consumer(
            {
                **client,
                "group.id": "driftloop-tail",  # required by the client; nothing is committed to it
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "latest",
                "isolation.level": "read_committed",
            },
            logger=client_logger(),
        )
        starts = {p: max(begins.get(p, 0), end - last) for p, end in self._ends.items()}
        self._behind: set[Place] = {p for p, at in starts.items() if at < self._ends[p]}
        self._consumer.assign([TopicPartition(*place, at) for place, at in starts.items()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def messages(self, *, wait: bool) -> Iterator[Message]:
        """The newest messages, of all topics in the order of their timestamps; then those to come.

        Args:
            wait: Whether to go on after the newest, until the caller ends it.

        Raises:
            KafkaError: The broker refuses.
        """
        first: list[Message] = []
        deadline = time.monotonic() + _GATHER_SECONDS
        while self._behind and time.monotonic() < deadline:
            first += self._consume()
        yield from sorted(first, key=lambda one: one.timestamp()[1])
        while wait:
            yield from self._consume()

    def _consume(self) -> list[Message]:
        found = []
        for message in self._consumer.consume(_BATCH, _POLL_SECONDS):
            error = message.error()
            place = (message.topic() or "", message.partition() or 0)
            if error is None:
                found.append(message)
                if (message.offset() or 0) + 1 >= self._ends.get(place, 0):
                    self._behind.discard(place)
            elif error.code() == codes.PARTITION_EOF:
                self._behind.discard(place)
            elif not codes.passes(error):
                raise KafkaError(f"{place[0]}[{place[1]}]: {error.name()}: {error.str()}")
        return found
