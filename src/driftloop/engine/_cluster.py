"""Several processes of one flow on this machine: started together, ended together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import structlog

from driftloop.engine import stop
from driftloop.errors import DriftloopError

_LOOK_SECONDS = 0.05
_END_SECONDS = 5.0
_API_PORT = "BYTEWAX_DATAFLOW_API_PORT"
_API_PORT_DEFAULT = 3030

_log = structlog.get_logger(__name__)


def run_cluster(task: Mapping[str, Any], processes: int) -> None:
    """Start the processes, pass a stop on, and wait until all have ended.

    Args:
        task: What `driftloop.engine.process` reads, without number and addresses.
        processes: How many.

    Raises:
        DriftloopError: One of them failed; the others were ended.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(processes)]
    children: list[subprocess.Popen[bytes]] = []
    stop.running()
    try:
        for number in range(processes):
            spec = json.dumps({**task, "process_id": number, "addresses": addresses})
            port = int(os.environ.get(_API_PORT, _API_PORT_DEFAULT)) + number
            children.append(
                subprocess.Popen(  # noqa: S603  # this interpreter, and a module of this package
                    [sys.executable, "-m", "driftloop.engine.process", spec],
                    # It ends when this pipe does, that is also when this process is killed.
                    stdin=subprocess.PIPE,
                    # Ctrl-C reaches this process only, which passes it on once.
                    start_new_session=True,
                    env={**os.environ, _API_PORT: str(port)},
                )
            )
        _watch(children)
    finally:
        _end(children)


def free_ports(count: int) -> list[int]:
    """TCP ports of the loopback interface that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [int(found.getsockname()[1]) for found in sockets]
    finally:
        for found in sockets:
            found.close()


def _watch(children: list[subprocess.Popen[bytes]]) -> None:
    passed_on = False
    while True:
        states = [child.poll() for child in children]
        for number, state in enumerate(states):
            if state:
                text = f"process {number} of the flow ended with status {state}"
                _log.error("flow.process_failed", process=number, status=state)
                raise DriftloopError(f"{text}; its own log tells why")
        if all(state == 0 for state in states):
            return
        if stop.requested() and not passed_on:
            passed_on = True
            for child in children:
                if child.poll() is None:
                    child.send_signal(signal.SIGTERM)
        time.sleep(_LOOK_SECONDS)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.stdin is not None:
            child.stdin.close()
    deadline = time.monotonic() + _END_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
