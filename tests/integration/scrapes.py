"""Asking the processes of a rig for their metrics and probes."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.monitor_rig import MARGIN, MonitorRig


def free_port(count: int = 1) -> int:
    """The first of so many ports of loopback, one after another, that nobody listens on now."""
    for _ in range(100):
        sockets = [socket.socket() for _ in range(count)]
        try:
            sockets[0].bind(("127.0.0.1", 0))
            first = int(sockets[0].getsockname()[1])
            for i, one in enumerate(sockets[1:], start=1):
                one.bind(("127.0.0.1", first + i))
        except (OSError, OverflowError):
            continue
        else:
            return first
        finally:
            for one in sockets:
                one.close()
    raise AssertionError(f"no {count} free ports in a row")


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body; 0 where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def until_ready(rig: MonitorRig, port: int, status: int = 200) -> str:
    """Wait until ``/readyz`` answers so."""
    deadline = time.monotonic() + MARGIN
    while True:
        found, body = get(port, "/readyz")
        if found == status:
            return body
        assert time.monotonic() < deadline, f"port {port}: {found} {body}"
        rig.check()
        time.sleep(0.05)


def families(port: int) -> dict[str, Metric]:
    """What a process serves, by name."""
    status, body = get(port, "/metrics")
    assert status == 200, body
    return {family.name: family for family in text_string_to_metric_families(body)}


def value(port: int, name: str, **labels: str) -> float:
    """Sum of the samples of that name whose labels are among these."""
    return sum(
        sample.value
        for family in families(port).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
