"""Prometheus metrics of the monitor; of streams it names the worst few, never all."""

from __future__ import annotations

from prometheus_client import REGISTRY, Counter, Gauge

from driftloop.monitor.overview import Overview

RECORDS = Counter("driftloop_monitor_records", "Records decoded.")
DEAD_LETTERS = Counter(
    "driftloop_monitor_dead_letters",
    "Records and control events that could not be read, by reason.",
    ["reason"],
)
LATE = Counter("driftloop_monitor_late", "Records that came after their window had closed.")
CONTROL = Counter(
    "driftloop_monitor_control_events",
    "Versions, candidates, outcomes and commands that were read.",
    ["type"],
)
WINDOWS = Counter("driftloop_monitor_windows", "Windows closed and tested.", ["kind"])
EVENTS = Counter("driftloop_monitor_events", "Events emitted.", ["type"])
DECISIONS = Counter(
    "driftloop_monitor_decisions",
    "What followed from evidence, by `Evidence.decision`.",
    ["kind", "decision"],
)
RETRAINS = Counter("driftloop_monitor_retrains", "Retrains requested.", ["profile", "reason"])
ORDERS = Counter(
    "driftloop_monitor_orders",
    "Versions ordered: candidates promoted or discarded, rollbacks.",
    ["action", "reason"],
)
JUDGED = Counter(
    "driftloop_monitor_judged", "Retrains judged on live records, by verdict.", ["verdict"]
)
INCIDENTS = Counter("driftloop_monitor_incidents", "Fleet incidents.", ["action"])
OPEN_INCIDENT = Gauge(
    "driftloop_monitor_incident_open", "1 while an incident of the profile is open.", ["profile"]
)
TRIALS = Counter("driftloop_monitor_trials", "Trials that ended.", ["kind", "verdict"])
FAILURES = Counter(
    "driftloop_monitor_stream_failures", "Streams begun anew after an unexpected error.", ["step"]
)
# From 0 on, so that the first one is an increase too: alerts look at these.
for _step in ("track", "test", "referee", "decide", "fleet"):
    FAILURES.labels(_step)
ORDERS.labels("rollback", "live-losses")
OVERVIEW = Overview()
REGISTRY.register(OVERVIEW)
