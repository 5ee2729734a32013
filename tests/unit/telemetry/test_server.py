"""The server of a process: metrics, health and readiness, and nothing else."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from driftloop import __version__
from driftloop.telemetry.readiness import Readiness
from driftloop.telemetry.server import ALIVE_SECONDS, Probes, Server


class Site:
    """A server, and what it is told."""

    def __init__(self) -> None:
        self.age: float | None = None
        self.readiness = Readiness()
        self.registry = CollectorRegistry()
        probes = Probes("monitor", 10, self.readiness, lambda _part: self.age)
        self.server = Server("127.0.0.1", 0, probes, "monitor", self.registry)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.server.port}{path}") as found:
                return found.status, found.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.close()


def test_alive_is_who_beat_of_late(site: Site) -> None:
    assert site.get("/healthz") == (503, "monitor has not beaten yet\n")
    site.age = ALIVE_SECONDS
    assert site.get("/healthz") == (200, "monitor beat 60 s ago\n")
    site.age = ALIVE_SECONDS + 1
    status, body = site.get("/healthz")
    assert status == 503
    assert "61 s ago, at most 60 s" in body


def test_ready_is_who_is_alive_and_lacks_nothing(site: Site) -> None:
    status, body = site.get("/readyz")
    assert status == 503
    assert body.splitlines()[:2] == ["not ready", "monitor has not beaten yet"]
    assert "starting" in body
    site.age = 0.0
    site.readiness.watch("requests", lambda most: f"{most} are allowed")
    assert site.get("/readyz") == (503, "not ready\n10 are allowed\n")
    site.readiness.watch("requests", lambda _most: "")
    assert site.get("/readyz") == (200, "monitor is ready\n")


def test_the_probes_are_metrics_too(site: Site) -> None:
    counter = Counter("seen", "Seen.", registry=site.registry)
    counter.inc(3)
    site.age = 0.0
    _, body = site.get("/metrics")
    found = {
        sample.name: (sample.labels, sample.value)
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert found["seen_total"] == ({}, 3)
    info = {"part": "monitor", "version": __version__}
    assert found["driftloop_build_info"] == (info, 1)
    assert found["driftloop_alive"] == ({"part": "monitor"}, 1)
    assert found["driftloop_ready"] == ({"part": "monitor"}, 0)


def test_nothing_else_is_there(site: Site) -> None:
    assert site.get("/")[0] == 404
    assert site.get("/metricsx")[0] == 404
    assert site.get("/healthz?verbose")[0] == 503


def test_it_listens_where_it_is_told_and_nowhere_else(site: Site) -> None:
    # The whole of 127.0.0.0/8 is this machine's: another address of it is not listened on.
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", site.server.port))


def test_an_address_that_is_taken_is_an_error(site: Site) -> None:
    probes = Probes("monitor", 10, site.readiness)
    with pytest.raises(OSError, match="in use"):
        Server("127.0.0.1", site.server.port, probes, "monitor", CollectorRegistry())
