"""Processes say that they run, and when they end in good order, on a real Kafka."""

from __future__ import annotations

from pathlib import Path

from tests.integration.monitor_rig import MonitorRig, Tail, jumping

_OFTEN = '[telemetry]\nreport = "200ms"\n'


def _states(tail: Tail) -> dict[str, str]:
    return {one.instance.rpartition("/")[2]: one.state for one in tail.reports}


def test_each_process_of_a_monitor_reports_until_it_is_stopped(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    with MonitorRig(tmp_path, kafka_bootstrap, monitor=_OFTEN) as rig:
        stream = rig.make("streams.a")
        rig.produce(stream, jumping(90))
        with rig.tail("status") as tail:
            process = rig.start("--processes", "2")
            tail.until(lambda: _states(tail) == {"0": "ready", "1": "ready"}, "both are ready")
            newest = {one.instance: one for one in tail.reports}
            tail.until(
                lambda: sum(one.metrics.get("records") or 0 for one in _newest(tail)) == 90,
                "both together have read all",
            )
            assert {one.part for one in newest.values()} == {"monitor"}
            assert rig.stop(process) == 0
            tail.until(lambda: _states(tail) == {"0": "stopped", "1": "stopped"}, "both ended")


def _newest(tail: Tail) -> list:  # type: ignore[type-arg]
    return list({one.instance: one for one in tail.reports}.values())


def test_no_reports_where_none_are_wanted(tmp_path: Path, kafka_bootstrap: str) -> None:
    with MonitorRig(tmp_path, kafka_bootstrap, monitor='[telemetry]\nreport = "0s"\n') as rig:
        stream = rig.make("streams.a")
        rig.produce(stream, jumping(90))
        with rig.tail("status", "evidence") as tail:
            process = rig.start()
            tail.until(tail.bodies, "evidence")
            assert rig.stop(process) == 0
            tail.poll()
            assert tail.reports == []
