"""The monitor is stopped and started again: it goes on where it was."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from driftloop.engine.stop import FORCED
from driftloop.messages import StreamStatus
from tests.integration.monitor_rig import WINDOW, MonitorRig, jumping

ROOT = Path(__file__).parents[2]
SOON = 60.0
"""Seconds in which a drained monitor ends; it takes less than one on an idle machine."""


@pytest.mark.slow
def test_sigterm_and_ctrl_c_drain_and_the_next_start_goes_on(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    """Neither repeats nor loses an event; topics deleted or made anew meanwhile are noticed."""
    with MonitorRig(tmp_path, kafka_bootstrap) as rig, rig.tail("evidence", "retrain") as tail:
        topic, gone, anew = (rig.make(f"streams.{name}") for name in ("kept", "gone", "anew"))
        values = jumping(9 * WINDOW, versions=2)
        early = jumping(2 * WINDOW, seed=1)
        for name in (gone, anew):
            rig.produce(name, early)
        expected = rig.expected({topic: values, gone: early, anew: early})

        # Cut amid windows, so that open ones must survive.
        rig.produce(topic, values[:100])
        process = rig.start()
        half = rig.expected({topic: values[:100], gone: early, anew: early})
        tail.gather(half)
        began = time.monotonic()
        assert rig.stop(process, signal.SIGTERM) == 0
        assert time.monotonic() - began < SOON

        rig.produce(topic, values[100:190])
        process = rig.start()
        half = rig.expected({topic: values[:190]})
        tail.gather(half)
        assert rig.stop(process, signal.SIGINT) == 0
        ids = [event.id for event in tail.events()]
        assert len(ids) == len(set(ids)), "nothing is repeated"

        rig.produce(topic, values[190:])
        rig.delete(gone)
        late = jumping(2 * WINDOW, seed=2)
        rig.remake(anew, late)
        again = rig.expected({anew: late})
        process = rig.start()
        wanted = {name: {body} for name, body in expected.items()}
        for name, body in again.items():
            wanted.setdefault(name, set()).add(body)
        tail.gather(expected | again)
        with rig.tail("status") as status:
            last = [e for e in rig.decisions(anew, late, 9) if isinstance(e, StreamStatus)][-1]
            status.until(lambda: status.status(anew) == last, "a stream that began anew")
            status.until(lambda: status.status(gone).state == "retired", "a stream that is gone")  # type: ignore[union-attr]
            last = [e for e in rig.decisions(topic, values, 9) if isinstance(e, StreamStatus)][-1]
            status.until(lambda: status.status(topic).records == last.records, "all records")  # type: ignore[union-attr]
            assert status.status(topic) == last, "counters went on, too"
        tail.poll()
        assert tail.bodies() == wanted

        # The second signal does not wait for the drain.
        rig.started(process)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON) == FORCED


def test_it_runs_under_plain_bytewax_too(tmp_path: Path, kafka_bootstrap: str) -> None:
    """``python -m bytewax.run`` with its own recovery options; SIGTERM drains that as well."""
    with MonitorRig(tmp_path, kafka_bootstrap) as rig, rig.tail("evidence", "retrain") as tail:
        topic = rig.make("streams.plain")
        values = jumping(6 * WINDOW)
        recovery = tmp_path / "plain"
        recovery.mkdir()
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        rig.environment |= {"PYTHONPATH": path, "DRIFTLOOP_CONFIG": str(rig.config)}
        made = rig.start(command=["-m", "bytewax.recovery", str(recovery), "2"])
        assert made.wait(60) == 0
        run = [
            "-m",
            "bytewax.run",
            "flows.monitor:flow()",
            "-r",
            str(recovery),
            "-s",
            "1",
            "-b",
            "0",
        ]

        for end in (100, len(values)):
            rig.produce(topic, values[:end] if end == 100 else values[100:])
            process = rig.start(command=run)
            expected = rig.expected({topic: values[:end]})
            tail.gather(expected)
            assert rig.stop(process) == 0
        assert tail.bodies() == {name: {body} for name, body in expected.items()}
        ids = [event.id for event in tail.events()]
        assert len(ids) == len(set(ids)), "the second run went on where the first had ended"
