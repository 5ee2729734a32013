"""A part's report says what its metrics say."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from driftloop.cli.reporting import Reporter
from driftloop.messages import PartReported
from driftloop.readmodel import Queries
from driftloop.settings import Settings
from driftloop.telemetry.readiness import Readiness
from tests.readmodel import fill, new_model


def _registry() -> tuple[CollectorRegistry, Counter]:
    registry = CollectorRegistry()
    records = Counter("driftloop_source_records", "", ["source"], registry=registry)
    lag = Gauge("driftloop_source_lag_records", "", ["source"], registry=registry)
    records.labels("monitor").inc(500)
    records.labels("monitor-control").inc(7)
    lag.labels("monitor").set(30)
    lag.labels("monitor-control").set(2)
    return registry, records


def test_records_and_lag_are_those_of_streams_alone() -> None:
    registry, records = _registry()
    readiness = Readiness()
    readiness.watch("a", lambda _: "")
    reporter = Reporter("monitor", "node", Settings(), registry, readiness)
    first = reporter.report()
    assert first.metrics == {"records": 500.0, "lag": 30.0}
    assert (first.state, first.detail) == ("ready", "")
    records.labels("monitor").inc(100)
    second = reporter.report()
    assert second.metrics["records"] == 600.0
    assert (second.metrics["records_per_second"] or 0) > 0
    assert second.id != first.id
    assert second.subject == first.subject == "part:monitor:node"


def test_what_is_lacking_is_told() -> None:
    registry, _ = _registry()
    readiness = Readiness()
    reporter = Reporter("monitor", "node", Settings(), registry, readiness)
    assert reporter.report().state == "not-ready"
    readiness.watch("a", lambda lag: f"behind by more than {lag}")
    found = reporter.report()
    assert (found.state, found.detail) == ("not-ready", "behind by more than 100000")
    assert reporter.report(stopped=True).state == "stopped"


def test_a_part_that_falls_silent_is_gone(tmp_path: Path) -> None:
    def report(instance: str, state: str, at: int) -> PartReported:
        return PartReported(
            id=f"{instance}{at}",
            part="monitor",
            instance=instance,
            state=state,  # type: ignore[arg-type]
            version="1",
            started_at=0,
            reported_at=at,
            every=10.0,
            metrics={"lag": 3.0},
        )

    model = new_model(tmp_path)
    fill(model, [report("a", "ready", 1_000), report("b", "stopped", 1_000)])
    fill(model, [report("c", "ready", 20_000)], first=2)
    ask = Queries(model, Settings())
    found = {one.instance: one.state for one in ask.parts(now_ms=40_000)}
    assert found == {"a": "gone", "b": "stopped", "c": "ready"}
    assert [one.lag for one in ask.parts(now_ms=40_000)] == [3.0, 3.0, 3.0]
    assert ask.parts(now_ms=10**12) == []
    model.close()
