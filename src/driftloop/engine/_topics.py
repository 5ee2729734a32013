"""What topics there are: names, ids and numbers of partitions, from the cluster's metadata."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftloop.kafka import codes

REQUEST_SECONDS = 10.0
# Ids are asked for so many topics a look, in turn. Topics that are fetched from by their id, or
# whose offsets are gone, raise an error when they are made anew and are asked for at once.
_IDS_A_LOOK = 250
_CHUNK = 500


class Sight(NamedTuple):
    """A topic as it was seen; an empty id says that it was not asked for, or not told."""

    partitions: int
    topic_id: str


class TopicCatalog:
    """Looks at the cluster's topics.

    Args:
        client: Client properties.
        select: Which topics are of interest.
        names: The only topics of interest, when they are known by name: cheaper, as the cluster's
            other topics are never asked for.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        select: Callable[[str], bool],
        names: Sequence[str] | None = None,
    ) -> None:
        # What goes wrong is logged by the consumer beside it, once.
        self._admin = AdminClient({"log_level": 2, **client})
        self._select = select
        self._selected: dict[str, bool] = {}
        self._names = names
        self._cursor = 0
        self.denied: set[str] = set()
        """Topics that were known, and whose sight is refused since the last look."""

    def look(self, known: Mapping[str, str], suspects: Collection[str]) -> dict[str, Sight]:
        """All topics of interest that exist.

        Args:
            known: Id of each topic that is known already.
            suspects: Known topics whose id must be asked for now.

        Raises:
            KafkaException: The cluster does not answer.
        """
        self.denied = set()
        if self._names is not None:
            return self._describe(self._names)
        metadata = self._admin.list_topics(timeout=REQUEST_SECONDS)
        sights: dict[str, Sight] = {}
        for name, topic in metadata.topics.items():
            selected = self._selected.get(name)
            if selected is None:
                selected = self._selected[name] = self._select(name)
            if selected and (topic.error is None or topic.partitions):
                sights[name] = Sight(len(topic.partitions), "")
        if len(self._selected) > 2 * len(metadata.topics) + 1000:
            self._selected.clear()
        # The list leaves out what may not be seen: that is no deletion.
        self._describe([name for name in known if name not in sights])
        new = [name for name in sights if not known.get(name)]
        asked = {*new, *(name for name in suspects if name in sights), *self._turn(sights, known)}
        described = self._describe(list(asked))
        for name in asked:
            sight = described.get(name)
            if sight is None:
                del sights[name]  # deleted between the two requests
            else:
                sights[name] = sight
        return sights

    def _turn(self, sights: Mapping[str, Sight], known: Mapping[str, str]) -> list[str]:
        """The known topics whose turn it is to be asked for their id again."""
        names = [name for name in known if name in sights]
        if len(names) <= _IDS_A_LOOK:
            return names
        start = self._cursor % len(names)
        self._cursor = start + _IDS_A_LOOK
        return (names + names)[start : start + _IDS_A_LOOK]

    def _describe(self, names: Sequence[str]) -> dict[str, Sight]:
        sights: dict[str, Sight] = {}
        for start in range(0, len(names), _CHUNK):
            futures = self._admin.describe_topics(
                TopicCollection(list(names[start : start + _CHUNK])),
                request_timeout=REQUEST_SECONDS,
            )
            for name, future in futures.items():
                try:
                    found = future.result(REQUEST_SECONDS + 1)
                except KafkaException as error:
                    cause = error.args[0]
                    if cause.code() == ClientError.TOPIC_AUTHORIZATION_FAILED:
                        self.denied.add(name)
                    elif cause.code() != ClientError.UNKNOWN_TOPIC_OR_PART:
                        raise
                else:
                    sights[name] = Sight(len(found.partitions), str(found.topic_id or ""))
        return sights

    def ends(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Offset behind the last record of each partition; raises as `look`."""
        return self._offsets(places, codes.LATEST)

    def beginnings(self, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Offset of the first record of each partition; raises as `look`."""
        return self._offsets(places, codes.EARLIEST)

    def _offsets(
        self, places: Collection[tuple[str, int]], spec: OffsetSpec
    ) -> dict[tuple[str, int], int]:
        if not places:
            return {}
        found: dict[tuple[str, int], int] = {}
        futures = self._admin.list_offsets(
            {TopicPartition(topic, partition): spec for topic, partition in sorted(places)},
            request_timeout=REQUEST_SECONDS,
        )
        for place, future in futures.items():
            try:
                found[place.topic, place.partition] = future.result(REQUEST_SECONDS + 1).offset
            except KafkaException as error:
                if error.args[0].code() != ClientError.UNKNOWN_TOPIC_OR_PART:
                    raise
        return found
