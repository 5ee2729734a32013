"""Prometheus metrics of source and sink; none has a label for each stream."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECORDS = Counter("driftloop_source_records", "Records taken from Kafka.", ["source"])
BYTES = Counter("driftloop_source_bytes", "Bytes of values taken from Kafka.", ["source"])
TOPICS = Gauge("driftloop_source_topics", "Topics that this process reads.", ["source"])
PARTITIONS = Gauge("driftloop_source_partitions", "Partitions that this process reads.", ["source"])
LAG = Gauge(
    "driftloop_source_lag_records",
    "Records still to be read, of the partitions fetched so far.",
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
