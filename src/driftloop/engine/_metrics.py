"""Prometheus metrics of source and sink; none has a label for each stream."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("driftloop_source_records", "Records taken from Kafka.", ["source"])
BYTES = Counter("driftloop_source_bytes", "Bytes of values taken from Kafka.", ["source"])
TOPICS = Gauge("driftloop_source_topics", "Topics that this process reads.", ["source"])
PARTITIONS = Gauge("driftloop_source_partitions", "Partitions that this process reads.", ["source"])
LAG = Gauge(
    "driftloop_source_lag_records",
    "Records still to be read, of all partitions that the broker has told of.",
    ["source"],
)
LAG_MOST = Gauge(
    "driftloop_source_lag_max_records",
    "The same of the partition that is furthest behind.",
    ["source"],
)
UNKNOWN = Gauge(
    "driftloop_source_unknown_partitions",
    "Partitions that the broker has told nothing of yet.",
    ["source"],
)
READ_ERRORS = Counter(
    "driftloop_source_read_errors",
    "Errors that the broker or the client reported.",
    ["source", "code"],
)
PRODUCED = Counter("driftloop_sink_messages", "Messages handed to the producer.")
UNDELIVERED = Counter(
    "driftloop_sink_undelivered", "Flushes that ended with an undelivered message."
)
SETTLE = Histogram(
    "driftloop_sink_settle_seconds",
    "Wait at the end of an epoch, a part of the sink, until the broker acknowledged all of it.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
)
EPOCH = Histogram(
    "driftloop_flow_epoch_seconds",
    "From the end of an epoch to the end of the next, seen at a source.",
    ["source"],
    buckets=(0.1, 0.3, 1, 3, 5, 10, 15, 20, 30, 60, 120, 300),
)
CLOSING = Histogram(
    "driftloop_flow_epoch_close_seconds",
    "From the end of an epoch to the source's next turn: all steps' rest of work and snapshots.",
    ["source"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
)
ENDED = Gauge(
    "driftloop_flow_epoch_timestamp_seconds",
    "When an epoch ended last, or the source began; seconds since the epoch of Unix.",
    ["source"],
)
OF_TOPICS = (TOPICS, PARTITIONS, LAG, LAG_MOST, UNKNOWN)
"""What is 0 once nothing is read."""
