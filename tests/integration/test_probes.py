"""Metrics and probes of live processes on a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from driftloop.messages import ModelPublished
from scripts.metrics_page import groups
from tests.integration.loop_rig import LoopRig, of
from tests.integration.monitor_rig import MARGIN, MonitorRig, jumping
from tests.integration.scrapes import families, free_port, get, until_ready, value


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What still runs is ended afterwards."""
    with ExitStack() as made:
        yield made


def test_each_process_of_a_cluster_serves_at_a_port_of_its_own(
    tmp_path: Path, kafka_bootstrap: str, stack: ExitStack
) -> None:
    rig = stack.enter_context(MonitorRig(tmp_path, kafka_bootstrap))
    streams = [rig.make(f"streams.s{i}") for i in range(6)]
    for i, stream in enumerate(streams):
        rig.produce(stream, jumping(90, seed=i))
    port = free_port(2)
    process = rig.start("--processes", "2", "--metrics", f"127.0.0.1:{port}")
    for number in (0, 1):
        assert until_ready(rig, port + number) == "monitor is ready\n"
        assert get(port + number, "/healthz")[0] == 200
    with rig.tail("evidence") as tail:
        tail.until(lambda: len(tail.bodies()) >= 12, "evidence of two windows a stream")
    both = (port, port + 1)
    records = "driftloop_source_records_total"
    taken = [value(one, records, source="monitor") for one in both]
    assert sum(taken) == 6 * 90
    assert [value(one, "driftloop_source_topics", source="monitor") for one in both] != [0, 6]
    assert sum(value(one, "driftloop_source_topics", source="monitor") for one in both) == 6
    assert rig.stop(process) == 0
    assert get(port, "/metrics")[0] == 0


def test_it_is_ready_only_once_it_has_caught_up(
    tmp_path: Path, kafka_bootstrap: str, stack: ExitStack
) -> None:
    """With no lag allowed, records that the monitor cannot take yet keep it from being ready."""
    rig = stack.enter_context(
        MonitorRig(tmp_path, kafka_bootstrap, monitor="[telemetry]\nready_lag = 0\n")
    )
    stream = rig.make("streams.a")
    rig.produce(stream, [*jumping(300), b"{", b"}"])
    port = free_port()
    rig.start("--metrics", f":{port}")
    until_ready(rig, port)
    with rig.tail("dlq") as tail:
        tail.until(lambda: len(tail.messages) >= 2, "both dead letters")
    assert value(port, "driftloop_source_lag_records", source="monitor") == 0
    assert value(port, "driftloop_monitor_dead_letters_total") == 2
    assert value(port, "driftloop_monitor_dead_letters_total", reason="not-json") == 2


def test_metrics_of_all_parts_are_those_of_the_page(
    tmp_path: Path, kafka_bootstrap: str, stack: ExitStack
) -> None:
    """One stream gets its first model: what each part counts of it, and under documented names."""
    rig = stack.enter_context(LoopRig(tmp_path, kafka_bootstrap))
    features, stream = rig.make_pair("a")
    ports = dict.fromkeys(("monitor", "trainer", "scorer"), 0)
    for part in ports:
        ports[part] = free_port()
        command = ["-m", "driftloop", part, "--config", str(rig.config)]
        rig.start(command=[*command, "--metrics", f"127.0.0.1:{ports[part]}"])
    for part, port in ports.items():
        assert until_ready(rig, port) == f"{part} is ready\n"
    tail = stack.enter_context(rig.tail("models", "evidence"))
    for _ in range(5):
        rig.feed(features)
    tail.until(lambda: of(tail.events(stream), ModelPublished), "the first version")

    def serves() -> bool:
        rig.feed(features)
        return value(ports["scorer"], "driftloop_scorer_swaps_total") == 1

    tail.until(serves, "the version serves")
    tail.until(
        lambda: value(ports["monitor"], "driftloop_monitor_control_events_total") >= 2,
        "the monitor has read version and outcome",
    )
    monitor, trainer = ports["monitor"], ports["trainer"]
    assert value(monitor, "driftloop_monitor_retrains_total", reason="initial") == 1
    assert value(trainer, "driftloop_trainer_requests_total", outcome="published") == 1
    assert value(trainer, "driftloop_trainer_versions_total", action="trained") == 1
    assert value(trainer, "driftloop_trainer_gate_verdicts_total", verdict="accepted") == 1
    assert value(trainer, "driftloop_trainer_partitions") == 2
    assert value(trainer, "driftloop_trainer_lag_records") == 0
    assert value(trainer, "driftloop_store_operation_seconds_count", operation="save") == 1
    assert value(monitor, "driftloop_flow_epoch_seconds_count", source="monitor") > 0
    assert value(monitor, "driftloop_sink_settle_seconds_count") > 0
    known = {one.name: one for found in groups().values() for one in found}
    for part, port in ports.items():
        for family in families(port).values():
            if family.name.startswith("driftloop_"):
                suffix = "_total" if family.type == "counter" else ""
                told = known[family.name + suffix]
                assert told.kind == family.type, (part, family.name)
                for sample in family.samples:
                    names = set(sample.labels) - {"le"}
                    assert sample.name.endswith("_created") or names == set(told.labels)


def test_a_part_that_waits_for_kafka_is_alive_and_not_ready(
    tmp_path: Path, stack: ExitStack, kafka_bootstrap: str
) -> None:
    rig = stack.enter_context(LoopRig(tmp_path, kafka_bootstrap))
    text = rig.config.read_text().replace(kafka_bootstrap, f"127.0.0.1:{free_port()}")
    rig.config.write_text(text)
    for part in ("monitor", "trainer", "scorer"):
        port = free_port()
        command = ["-m", "driftloop", part, "--config", str(rig.config)]
        process = rig.start(command=[*command, "--metrics", f"127.0.0.1:{port}"])
        assert "starting: it reads nothing yet" in until_ready(rig, port, 503)
        while get(port, "/healthz")[0] != 200:
            rig.check()
        process.terminate()
        assert process.wait(MARGIN) == 0
