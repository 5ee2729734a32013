"""The source's gauges: what is read, and what is still to be read."""

from __future__ import annotations

import contextlib

from confluent_kafka import KafkaException, TopicPartition

from driftloop.engine import _metrics
from driftloop.engine._hub import Hub


def measure(hub: Hub) -> None:
    """Set the gauges; only partitions that are not at their end can lag."""
    lag = partitions = 0
    for topic in list(hub.topics.values()):
        partitions += topic.partitions
        for partition in range(topic.partitions):
            if partition in topic.at_end:
                continue
            with contextlib.suppress(KafkaException):
                found = hub.consumer.get_watermark_offsets(
                    TopicPartition(topic.name, partition), cached=True
                )
                if found and found[1] > 0:
                    first = max(found[0], 0)
                    lag += max(found[1] - max(topic.following.get(partition, first), first), 0)
    _metrics.TOPICS.labels(hub.name).set(len(hub.topics))
    _metrics.PARTITIONS.labels(hub.name).set(partitions)
    _metrics.LAG.labels(hub.name).set(lag)
