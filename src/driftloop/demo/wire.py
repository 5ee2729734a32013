"""The demo's own talk with Kafka: sends flights and commands, follows predictions and events."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import orjson
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from driftloop.demo.configuration import Layout
from driftloop.demo.flights import Flights, row_of
from driftloop.errors import DriftloopError, Fault, KafkaUnavailableError, SettingsError
from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import TopicSpec, driftloop_topics, ensure_topics, partition_counts
from driftloop.messages import Action, Command, Event, ModelPublished, decode, encode
from driftloop.settings import Settings

_BATCH = 5000
_QUIET = {"log_level": 2}
"""The client's own log lines would tear the picture; faults come as exceptions all the same."""

Rows = npt.NDArray[np.int64]


def make_topics(settings: Settings, layout: Layout, routes: Iterable[str]) -> list[str]:
    """Make every topic of a run and return their names."""
    specs = driftloop_topics(settings.topics)
    for route in routes:
        # Kept as long as Kafka is: models are trained, and decisions explained, from the records.
        kept = {"retention.ms": "-1"}
        specs += [TopicSpec(layout.departures(route), 1, config=kept)]
        specs += [TopicSpec(layout.stream(route), 1, config=kept)]
    ensure_topics(settings.kafka.client(**_QUIET), specs, timeout=60.0)
    return [spec.name for spec in specs]


def delete_topics(settings: Settings, names: list[str]) -> None:
    """Remove a run's topics; one that is gone already is no fault."""
    admin = AdminClient(settings.kafka.client(**_QUIET))
    for future in admin.delete_topics(names, operation_timeout=30).values():
        future.exception()


def check_attached(settings: Settings, layout: Layout, routes: Iterable[str]) -> None:
    """See that a configuration that others run by fits the replay, and that its topics are empty.

    Raises:
        SettingsError: Departures would not be scored into the streams, or those have no profile.
        DriftloopError: The topics hold an earlier replay.
    """
    client = settings.kafka.client(**_QUIET)
    router = re.compile(settings.scorer.topics)
    names = []
    for route in routes:
        departures, stream = layout.departures(route), layout.stream(route)
        match = router.fullmatch(departures)
        target = match.expand(settings.scorer.output) if match else None
        if target != stream or settings.profile_of(stream) is None:
            rule = f"scorer.topics and output that lead {departures} to {stream}, and its profile"
            raise SettingsError([Fault("scorer", str(target), rule)])
        names += [departures, stream]
    there = partition_counts(client, names, timeout=30.0)
    consumer = Consumer({**client, "group.id": "driftloop-demo-look"})
    try:
        for name in there:
            _, end = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=30.0)
            if end:
                raise DriftloopError(
                    f"topic {name} holds an earlier replay: remove the topics departures.*, "
                    "flights.* and driftloop.* (with compose: docker compose down --volumes)"
                )
    finally:
        consumer.close()


class Wire:
    """Sends and follows the records of one run.

    Args:
        settings: The run's configuration.
        layout: Names of its topics.
        flights: What is replayed.

    Attributes:
        streams: Stream of each route, in the order of `Flights.routes`.
    """

    def __init__(self, settings: Settings, layout: Layout, flights: Flights) -> None:
        self._flights = flights
        self._topics = settings.topics
        self._departures = [layout.departures(route) for route in flights.routes]
        self.streams = [layout.stream(route) for route in flights.routes]
        self._stream_topics = set(self.streams)
        self._keys = [route.encode() for route in flights.routes]
        self._producer = CheckedProducer(settings.kafka.client(**_QUIET, **{"linger.ms": 20}))
        self._consumer = Consumer(
            settings.kafka.client(
                **{
                    **_QUIET,
                    "group.id": f"{layout.prefix}driftloop-demo",
                    "enable.auto.commit": False,
                    "isolation.level": "read_committed",
                    "fetch.min.bytes": 8192,
                    "fetch.wait.max.ms": 20,
                    "queued.max.messages.kbytes": 65536,
                }
            )
        )
        self._assign()

    def _assign(self) -> None:
        followed = [self._topics.retrain, self._topics.models, self._topics.trainings]
        followed.append(self._topics.status)
        metadata = self._consumer.list_topics(timeout=30)
        partitions = [
            TopicPartition(topic, partition, 0)
            for topic in [*self.streams, *followed]
            for partition in metadata.topics[topic].partitions
        ]
        self._consumer.assign(partitions)

    def depart(self, rows: Rows) -> None:
        """Send the feature records of flights."""
        for row in rows.tolist():
            route = self._flights.route[row]
            self._producer.produce(
                self._departures[route], key=self._keys[route], value=self._flights.departure(row)
            )

    def land(self, rows: Rows) -> None:
        """Send the label records of flights."""
        for row in rows.tolist():
            route = self._flights.route[row]
            self._producer.produce(
                self.streams[route], key=self._keys[route], value=self._flights.landing(row)
            )

    def command(
        self,
        streams: Iterable[str],
        action: Action,
        run: str,
        why: str,
        *,
        until: int | None = None,
    ) -> None:
        """Send a command to each stream, as an operator would.

        Args:
            streams: Whom it is for.
            action: What to do.
            run: Makes its id unique.
            why: For the audit.
            until: End of a snooze, event time in ms.
        """
        for stream in streams:
            command = Command(
                id=f"{run}-{stream}",
                stream=stream,
                action=action,
                who="demo",
                why=why,
                issued_at=round(time.time() * 1000),
                until=until,
            )
            self._producer.produce(self._topics.commands, encode(command))
        self._producer.flush()

    def publish(self, event: ModelPublished) -> None:
        """Send a version event, as only a trainer should; for ``--sabotage``."""
        self._producer.produce(self._topics.models, encode(event))
        self._producer.flush()

    def flush(self) -> None:
        """Wait until all that was sent is acknowledged."""
        self._producer.flush()

    def receive(self, wait: float) -> tuple[list[tuple[int, float | None]], list[Event], int]:
        """Take what came since the last call.

        Args:
            wait: Seconds to wait for the first message.

        Returns:
            Flights that came out of the scorer, each with its prediction or None; Driftloop's
            events; and the number of records seen on the streams, labels included.

        Raises:
            KafkaUnavailableError: The consumer cannot go on.
        """
        predictions: list[tuple[int, float | None]] = []
        events: list[Event] = []
        records = 0
        for message in self._consumer.consume(_BATCH, wait):
            if _failed(message):
                continue
            value = message.value()
            if message.topic() in self._stream_topics:
                records += 1
                record = orjson.loads(value or b"{}")
                if "y" not in record:  # what has a label was sent from here
                    predictions.append((row_of(record["id"]), record.get("y_pred")))
            elif value is not None:
                events.append(decode(message.headers(), value))  # type: ignore[arg-type]  # a list
        return predictions, events, records

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()


def _failed(message: Message) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.fatal():
        raise KafkaUnavailableError(f"{error.name()}: {error.str()}")
    return True  # the client tries again by itself
