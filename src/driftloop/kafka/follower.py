"""Following whole topics: all that was written to their partitions until now, as often as asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as ClientError

from driftloop.errors import KafkaError, KafkaUnavailableError
from driftloop.kafka import codes
from driftloop.kafka.ranges import Place
from driftloop.kafka.rights import denied
from driftloop.kafka.topics import partition_counts
from driftloop.logs import client_logger

_BATCH = 5000
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 2.0


class Follower:
    """Reads partitions from their beginning, each message once; not safe for threads.

    Args:
        client: Client properties.
        group: Required by the client; nothing is committed to it.
        start: Where reading begins, of partitions that have been read before.

    Attributes:
        positions: Where reading goes on, of each partition that is followed.
    """

    def __init__(
        self, client: Mapping[str, Any], group: str, start: Mapping[Place, int] | None = None
    ) -> None:
        self._client = dict(client)
        self._group = group
        self._start = dict(start or {})
        self.positions: dict[Place, int] = {}
        self._made: Consumer | None = None

    @property
    def _consumer(self) -> Consumer:
        """Made once a broker has answered: before, it would log without end."""
        if self._made is None:
            properties = {
                "fetch.wait.max.ms": 50,
                **self._client,
                "group.id": self._group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
            self._made = Consumer(properties, logger=client_logger())
        return self._made

    def position(self, place: Place) -> int:
        """Where reading of a partition goes on, or will begin."""
        return self.positions.get(place, self._start.get(place, 0))

    def read_to(
        self,
        ends: Mapping[Place, int],
        *,
        timeout: float,
        check: Callable[[], None] = lambda: None,
        because: str = "",
    ) -> Iterator[Message]:
        """Read up to these offsets; what else comes meanwhile is yielded too.

        Args:
            ends: Of each partition; once given, it is followed for good.
            timeout: Seconds without any progress.
            check: Called now and then; raises to give up.
            because: Ends the error, as a reason.

        Yields:
            Messages without errors, each partition's in order.

        Raises:
            KafkaUnavailableError: Nothing came for `timeout` seconds.
            KafkaError: The right Read is missing; names the topic.
        """
        self._follow(sorted(ends.keys() - self.positions.keys()))
        deadline = time.monotonic() + timeout
        look = time.monotonic() + _LOOK_SECONDS
        while behind := [place for place, end in ends.items() if self.positions[place] < end]:
            check()
            progress = False
            for message in self._consumer.consume(_BATCH, _POLL_SECONDS):
                error = message.error()
                if error is None or error.code() == codes.PARTITION_EOF:
                    progress = self._move(message, read=error is None) or progress
                elif error.code() == ClientError.TOPIC_AUTHORIZATION_FAILED:
                    raise KafkaError(denied(f"topic {message.topic()}", "Read"))
                # The group is refused too, where there is no right on it: it is not used.
                if error is None:
                    yield message
            now = time.monotonic()
            if progress:
                deadline, look = now + timeout, now + _LOOK_SECONDS
            elif now > deadline:
                topic, partition = behind[0]
                raise KafkaUnavailableError(
                    f"{topic}[{partition}] could not be read beyond offset "
                    f"{self.positions[behind[0]]} for {timeout:g} s{because}"
                )
            elif now > look:
                # A topic that may not even be seen is passed over in silence.
                partition_counts(self._client, sorted({topic for topic, _ in behind}))
                look = deadline

    def _follow(self, new: list[Place]) -> None:
        if not new:
            return
        try:
            self._consumer.incremental_assign(
                [TopicPartition(*place, self._start.get(place, OFFSET_BEGINNING)) for place in new]
            )
        except KafkaException as error:
            raise KafkaUnavailableError(str(error)) from error
        self.positions.update({place: self._start.get(place, 0) for place in new})

    def _move(self, message: Message, *, read: bool) -> bool:
        """Go on behind a message, or to where a partition ends; whether that was progress."""
        place = (message.topic() or "", message.partition() or 0)
        before = self.positions[place]
        self.positions[place] = (message.offset() or 0) + read
        return read or self.positions[place] > before

    def close(self) -> None:
        """End the connection."""
        if self._made is not None:
            self._made.close()
            self._made = None
