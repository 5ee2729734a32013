"""Finding a flow by name, running it, and what a failure tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import TestingSink, TestingSource
from hypothesis import given
from hypothesis import strategies as st

from driftloop.engine import run_flow, stop
from driftloop.engine._cluster import free_ports
from driftloop.engine._quiet import Quiet
from driftloop.engine._shard import shard_of
from driftloop.engine.run import build, reference
from driftloop.errors import DeliveryError, DriftloopError


def tiny(found: list[int] | None = None) -> Dataflow:
    flow = Dataflow("tiny")
    out = [] if found is None else found
    op.output("out", op.input("in", flow, TestingSource([1, 2])), TestingSink(out))
    return flow


def no_flow() -> str:
    return "none"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_flow_runs_to_its_end(workers: int) -> None:
    found: list[int] = []
    run_flow(tiny(found), workers=workers)
    assert sorted(found) == [1, 2]


def test_a_flow_is_found_by_module_by_file_and_as_a_function(tmp_path: Path) -> None:
    file = tmp_path / "some_flow.py"
    file.write_text(
        "from bytewax.dataflow import Dataflow\ndef make(name='x'):\n    return Dataflow(name)\n"
    )
    assert build(f"{file}:make", {"name": "y"}).flow_id == "y"
    assert build(tiny, None).flow_id == "tiny"
    assert build("bytewax.dataflow:Dataflow", {"flow_id": "z"}).flow_id == "z"
    assert reference(tiny).endswith("test_run:tiny")


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        ("nothing", "is named as 'module:function'"),
        ("no_such_module:flow", "cannot be loaded"),
        ("json:no_such_name", "cannot be loaded"),
        ("/no/such/file.py:flow", "cannot be loaded"),
        (no_flow, "got str"),
    ],
)
def test_what_is_no_flow_is_told(flow: object, said: str) -> None:
    with pytest.raises(DriftloopError, match=said):
        build(flow, None)  # type: ignore[arg-type]


def test_several_processes_need_a_name() -> None:
    with pytest.raises(DriftloopError, match="several processes need a flow by name"):
        run_flow(tiny(), processes=2)
    with pytest.raises(DriftloopError, match="several processes need a flow by name"):
        run_flow(lambda: tiny(), processes=2)  # noqa: PLW0108  # a flow without a name
    with pytest.raises(DriftloopError, match="given together"):
        run_flow(tiny(), process_id=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_cause_of_a_failure_is_what_is_raised(workers: int) -> None:
    def fail(_item: int) -> int:
        raise DeliveryError("the cause")

    flow = Dataflow("failing")
    mapped = op.map("fail", op.input("in", flow, TestingSource([1])), fail)
    op.output("out", mapped, TestingSink([]))
    with pytest.raises(DeliveryError, match="the cause"):
        run_flow(flow, workers=workers)


class Endless(FixedPartitionedSource[int, None]):
    """Emits nothing until a stop is requested; tells when it runs."""

    def __init__(self, running: threading.Event) -> None:
        self.running = running

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> EndlessPart:
        del step_id, for_part, resume_state
        return EndlessPart(self.running)


class EndlessPart(StatefulSourcePartition[int, None]):
    """Its only part."""

    def __init__(self, running: threading.Event) -> None:
        self.running = running

    def next_batch(self) -> list[int]:
        if stop.requested():
            raise StopIteration
        self.running.set()
        return []

    def snapshot(self) -> None:
        return None


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", stop.SIGNALS)
def test_a_signal_ends_a_flow_and_leaves_no_trace(number: signal.Signals, workers: int) -> None:
    before = signal.getsignal(number)
    running = threading.Event()
    flow = Dataflow("endless")
    op.output("out", op.input("in", flow, Endless(running)), TestingSink([]))

    def send() -> None:
        running.wait(30)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    run_flow(flow, workers=workers)
    sender.join(30)
    assert signal.getsignal(number) is before
    assert not stop.requested()


def test_handlers_are_installed_only_over_the_defaults() -> None:
    before = {number: signal.getsignal(number) for number in stop.SIGNALS}
    mine = lambda *_: None  # noqa: E731
    try:
        signal.signal(signal.SIGTERM, mine)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert not stop.install()
        assert signal.getsignal(signal.SIGTERM) is mine
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert stop.install()
        outcome: list[bool] = []
        thread = threading.Thread(target=lambda: outcome.append(stop.install()))
        thread.start()
        thread.join(30)
        assert outcome == [False]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        while stop._wakers:
            stop._wakers.pop().close()


@given(st.text(min_size=1), st.integers(1, 1024))
def test_a_topic_has_one_shard_in_range(topic: str, shards: int) -> None:
    assert 0 <= shard_of(topic, shards) < shards
    assert shard_of(topic, shards) == shard_of(topic, shards)


def test_shards_are_the_same_in_every_release() -> None:
    """A topic that moved would be read by a shard that does not know its position."""
    assert [shard_of(f"streams.{n}", 64) for n in range(5)] == [21, 3, 57, 47, 12]


def test_free_ports_differ() -> None:
    assert len(set(free_ports(5))) == 5


def test_a_kind_of_trouble_is_told_once_an_interval() -> None:
    now = [0.0]
    quiet = Quiet(30, clock=lambda: now[0])
    assert [quiet("a"), quiet("a"), quiet("b")] == [True, False, True]
    now[0] = 30.0
    assert quiet("a")
    for number in range(5000):
        quiet(str(number))
    assert len(quiet._last) <= 1000


ALONE = """
import sys
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from driftloop import logs
from driftloop.engine import run_flow
from driftloop.engine.source import StreamSource
from bytewax.testing import TestingSink

def make():
    flow = Dataflow("alone")
    source = StreamSource({"bootstrap.servers": "127.0.0.1:1"}, bool, name="alone")
    op.output("out", op.input("in", flow, source), TestingSink([]))
    return flow

logs.configure(json=True)
print("begins", flush=True)
run_flow(make, process_id=0, addresses=sys.argv[1].split(";"))
"""


@pytest.mark.parametrize("number", stop.SIGNALS)
def test_a_signal_ends_a_process_that_waits_for_its_peers(number: signal.Signals) -> None:
    """Its peer never comes; nothing was read, so it ends with 0 and soon."""
    addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(2))
    process = subprocess.Popen(
        [sys.executable, "-c", ALONE, addresses],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        process.send_signal(number)
        _, told = process.communicate(timeout=stop.GRACE_SECONDS + 10)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, told
    assert "stop.before_start" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"process_id": 2, "addresses": ["a:1", "b:2"]}, "below the number of addresses, 2"),
        ({"process_id": -1, "addresses": ["a:1"]}, "below the number of addresses, 1"),
        ({"process_id": 0, "addresses": ["a:1"], "processes": 2}, "started elsewhere"),
        ({"addresses": ["a:1"]}, "given together"),
    ],
)
def test_a_process_has_its_place_in_the_cluster(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(DriftloopError, match=said):
        run_flow(tiny(), **arguments)


LOGGING = """
import os, signal, sys
import structlog
from driftloop import logs
from driftloop.engine import stop

logs.configure(json=True)
with stop.handling():
    with structlog.PrintLogger(sys.stderr)._lock:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested()
print("ended")
"""


def test_a_signal_that_comes_while_a_line_is_logged_blocks_nothing() -> None:
    """The log's lock is held by the very thread that runs the handler."""
    ended = subprocess.run(
        [sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True, timeout=30
    )
    assert ended.stdout == "ended\n"
