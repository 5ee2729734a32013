"""The source's gauges: what is read, and what is still to be read."""

from __future__ import annotations

import contextlib
import time

from confluent_kafka import KafkaException, TopicPartition

from driftloop.engine import _metrics
from driftloop.engine._hub import Hub
from driftloop.engine._shard import Topic
from driftloop.telemetry.readiness import Reading


def measure(hub: Hub, fresh: float) -> None:
    """Set the gauges and the hub's reading, which counts for `fresh` seconds.

    Only partitions that are not at their end can lag.
    """
    lag = most = partitions = unknown = 0
    for topic in list(hub.topics.values()):
        partitions += topic.partitions
        for partition in range(topic.partitions):
            if partition in topic.at_end:
                continue
            behind = _behind(hub, topic, partition)
            if behind is None:
                unknown += 1
            else:
                lag += behind
                most = max(most, behind)
    _metrics.TOPICS.labels(hub.name).set(len(hub.topics))
    _metrics.PARTITIONS.labels(hub.name).set(partitions)
    _metrics.LAG.labels(hub.name).set(lag)
    _metrics.LAG_MOST.labels(hub.name).set(most)
    _metrics.UNKNOWN.labels(hub.name).set(unknown)
    hub.reading = Reading(hub.name, partitions, unknown, lag, most, time.monotonic(), fresh)


def _behind(hub: Hub, topic: Topic, partition: int) -> int | None:
    """Records of a partition that are still to be read; None where nothing is known of it."""
    with contextlib.suppress(KafkaException):
        found = hub.consumer.get_watermark_offsets(
            TopicPartition(topic.name, partition), cached=True
        )
        if found and found[1] > 0:
            first = max(found[0], 0)
            return max(found[1] - max(topic.following.get(partition, first), first), 0)
    return None
