"""Prometheus metrics of the monitor; none has a label per stream."""

from __future__ import annotations

from prometheus_client import Counter

RECORDS = Counter("driftloop_monitor_records", "Records decoded.")
DEAD_LETTERS = Counter("driftloop_monitor_dead_letters", "Records that could not be read.")
WINDOWS = Counter("driftloop_monitor_windows", "Windows closed and tested.", ["kind"])
EVENTS = Counter("driftloop_monitor_events", "Events emitted.", ["type"])
RETRAINS = Counter("driftloop_monitor_retrains", "Retrains requested.", ["reason"])
INCIDENTS = Counter("driftloop_monitor_incidents", "Fleet incidents.", ["action"])
TRIALS = Counter("driftloop_monitor_trials", "Trials that ended.", ["kind", "verdict"])
FAILURES = Counter(
    "driftloop_monitor_stream_failures", "Streams begun anew after an unexpected error.", ["step"]
)
