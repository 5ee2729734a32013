"""The broker is restarted, and killed, under load: the monitor lives on and loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from driftloop.kafka.broker import LocalBroker
from tests.integration.monitor_rig import WINDOW, MonitorRig, jumping


@pytest.mark.slow
def test_the_monitor_survives_a_restart_and_a_crash_of_the_broker(
    tmp_path: Path, own_broker: Callable[..., LocalBroker]
) -> None:
    broker = own_broker()
    with (
        MonitorRig(tmp_path, broker.bootstrap_servers, monitor="max_records = 50") as rig,
        rig.tail("evidence", "retrain") as tail,
    ):
        streams = {
            rig.make(f"streams.b{i}"): jumping(12 * WINDOW, seed=i, versions=i) for i in range(3)
        }
        expected = rig.expected(streams)
        process = rig.start()
        third = 4 * WINDOW
        for number, grace in enumerate((20.0, 0.0, None)):
            for topic, values in streams.items():
                rig.produce(topic, values[number * third : (number + 1) * third])
            # In the midst of what was just given.
            goal = (number + 0.5) * len(expected) / 3
            tail.until(lambda: len(tail.bodies()) >= goal, "some of the events")  # noqa: B023
            if grace is not None:
                broker.restart(grace=grace)
        tail.gather(expected, 120)
        assert process.poll() is None, "the same process went on"
        assert rig.stop(process) == 0
        assert tail.bodies() == {name: {body} for name, body in expected.items()}
        log = rig.log.read_text()
        assert "source.deleted" not in log, "no topic seemed to be gone"
        assert len(log.splitlines()) < 100, "a few lines tell it"
