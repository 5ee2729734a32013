"""The sink: an epoch is complete only when the broker acknowledged every message of it.

Delivery: at least once. A resumed flow repeats the output of the epoch that it repeats; the ids of
events make that harmless. Unit of parallelism: the part, to which a key belongs for good; a key's
messages keep their order.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from confluent_kafka import Producer

from driftloop.engine import _metrics
from driftloop.engine.items import Outgoing
from driftloop.errors import DeliveryError
from driftloop.kafka.producer import Ledger, patience_of, producer_properties
from driftloop.logs import client_logger

_log = structlog.get_logger(__name__)
_open: weakref.WeakSet[KafkaSink] = weakref.WeakSet()


class KafkaSink(FixedPartitionedSink[Outgoing, None]):
    """Produces ``(key, Outgoing)`` with one idempotent producer a process.

    Args:
        client: Client properties from `driftloop.settings.KafkaSettings.client`.
        parts: Number of parts; permanent for a recovery folder.
        patience: Seconds without any delivery report after which the flow fails; by default
            somewhat more than ``delivery.timeout.ms``.
    """

    def __init__(
        self, client: Mapping[str, Any], *, parts: int = 16, patience: float | None = None
    ) -> None:
        self.parts = parts
        self._properties = producer_properties(client)
        self._patience = patience_of(self._properties) if patience is None else patience
        self._lock = threading.Lock()
        self._users = 0
        self._producer: Producer | None = None

    def list_parts(self) -> list[str]:
        """The parts, by number."""
        return [f"{index:04d}" for index in range(self.parts)]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> SinkPart:
        """One part; the first in a process makes the producer."""
        del step_id, for_part, resume_state
        with self._lock:
            if self._producer is None:
                self._producer = Producer(self._properties, logger=client_logger())
                _open.add(self)
            self._users += 1
            return SinkPart(self._producer, self._patience, self._release)

    def _release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._producer = None
                _open.discard(self)

    def shut(self) -> None:
        """Drop the producer and what is still in its queue; nothing of it was committed."""
        with self._lock:
            if self._producer is not None:
                self._producer.purge()
                self._producer.poll(0)
            self._producer = None
            self._users = 0
            _open.discard(self)


def shut_all() -> None:
    """Drop what flows that failed left open in this process."""
    for sink in list(_open):
        sink.shut()


class SinkPart(StatefulSinkPartition[Outgoing, None]):
    """One part."""

    def __init__(self, producer: Producer, patience: float, release: Callable[[], None]) -> None:
        self._producer = producer
        self._ledger = Ledger(producer, patience)
        self._release = release

    def write_batch(self, values: list[Outgoing]) -> None:
        """Hand messages to the producer.

        Raises:
            DeliveryError: The producer refuses one, its queue stays full, or an earlier message
                was not acknowledged.
        """
        try:
            for value in values:
                self._ledger.send(*value)
            self._ledger.poll()
            self._ledger.check()
        except DeliveryError as error:
            self._tell(error)
            raise
        _metrics.PRODUCED.inc(len(values))

    def snapshot(self) -> None:
        """Wait for every acknowledgement: the epoch must not commit on a lost message.

        Raises:
            DeliveryError: A message was not acknowledged; names topic, key and reason.
        """
        try:
            with _metrics.SETTLE.time():
                self._ledger.settle()
        except DeliveryError as error:
            self._tell(error)
            raise

    def close(self) -> None:
        """Let go of the producer; everything was settled in the last `snapshot`."""
        self._release()

    def _tell(self, error: DeliveryError) -> None:
        _metrics.UNDELIVERED.inc()
        # Bytewax may hide it behind an error of its own.
        _log.error("sink.undelivered", error=str(error))
