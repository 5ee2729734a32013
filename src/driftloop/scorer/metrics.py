"""Prometheus metrics of the scorer; none has a label per stream."""

from __future__ import annotations

from prometheus_client import Counter

RECORDS = Counter("driftloop_scorer_records", "Records written to stream topics.")
UNPREDICTED = Counter("driftloop_scorer_unpredicted", "Of these, without a prediction.")
DEAD_LETTERS = Counter(
    "driftloop_scorer_dead_letters",
    "Records and version events that could not be read, by reason.",
    ["reason"],
)
SWAPS = Counter("driftloop_scorer_swaps", "Model versions that took over.")
LOAD_FAILURES = Counter("driftloop_scorer_load_failures", "Attempts to load a model that failed.")
