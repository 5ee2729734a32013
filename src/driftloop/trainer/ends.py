"""Where partitions end and begin, asked for as often as a trainer needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka import codes
from driftloop.kafka.ranges import Place, offsets_of
from driftloop.kafka.topics import partition_counts


class Ends:
    """Asks a broker; not safe for threads.

    Args:
        client: Client properties.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = dict(client)
        self._admin: AdminClient | None = None

    def latest(
        self, places: Sequence[Place], timeout: float, isolation: IsolationLevel
    ) -> dict[Place, int]:
        """End of each partition; what is committed ends before the first open transaction.

        Raises:
            KafkaUnavailableError: No broker answers, or not for all of them.
            KafkaError: A topic may not be seen.
        """
        if not places:
            return {}
        self._admin = self._admin or self._made()
        futures = self._admin.list_offsets(
            {TopicPartition(*place): codes.LATEST for place in places},
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

    def span(self, topic: str, timeout: float) -> dict[int, tuple[int, int]]:
        """First offset of each partition of a topic, and the end of what is committed.

        Raises:
            KafkaUnavailableError: No broker answers in time.
            KafkaError: The broker refuses.
        """
        counts = partition_counts(self._client, [topic], timeout=timeout)
        places = {(topic, partition) for partition in range(counts.get(topic, 0))}
        admin = self._made()
        first = offsets_of(admin, places, codes.EARLIEST, timeout)
        end = offsets_of(admin, places, codes.LATEST, timeout)
        return {place[1]: (first[place], end[place]) for place in first.keys() & end.keys()}

    def _made(self) -> AdminClient:
        return AdminClient({"log_level": 2, **self._client})
