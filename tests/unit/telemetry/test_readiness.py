"""What is lacking is told, a line each; nothing lacking is ready."""

from __future__ import annotations

from driftloop.telemetry.readiness import STARTING, Readiness, Reading


def _reading(**more: float) -> Reading:
    known = {"partitions": 8, "unknown": 0, "lag": 0, "most": 0, "at": 100.0, "fresh": 30.0}
    return Reading("monitor", **{**known, **more})  # type: ignore[arg-type]


def test_a_process_that_reads_nothing_yet_is_starting() -> None:
    assert Readiness().lacks(10) == [STARTING]


def test_a_source_is_judged_by_its_last_reading() -> None:
    now = [100.0]
    readiness = Readiness(clock=lambda: now[0])
    readings: list[Reading | None] = [None]
    readiness.watch_source("monitor", lambda: readings[-1])
    assert readiness.lacks(10) == ["source monitor: it has not looked at its topics yet"]
    readings.append(_reading(unknown=3))
    assert readiness.lacks(10) == ["source monitor: 3 of 8 partitions have not answered yet"]
    readings.append(_reading(lag=11, most=7))
    (behind,) = readiness.lacks(10)
    assert "11 records behind, at most 10" in behind
    assert readiness.lacks(11) == []
    now[0] = 131.0
    (stale,) = readiness.lacks(11)
    assert "Kafka has not answered for 31 s" in stale


def test_every_fault_is_told_and_what_is_gone_is_asked_no_more() -> None:
    readiness = Readiness(clock=lambda: 100.0)
    readiness.watch("requests", lambda _most: "no assignment yet")
    readiness.watch_source("control", lambda: _reading(lag=99))
    assert len(readiness.lacks(10)) == 2
    readiness.forget("requests")
    readiness.watch_source("control", _reading)
    assert readiness.lacks(10) == []
