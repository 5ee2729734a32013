"""One small HTTP server a process: ``/metrics``, ``/healthz`` and ``/readyz``.

It answers whoever can reach it, without asking who that is, and tells metrics, reasons and names of
streams; so it listens on loopback unless an address is named.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from driftloop import __version__
from driftloop.heartbeat import age_of
from driftloop.telemetry.families import Family
from driftloop.telemetry.readiness import READINESS, Readiness

ALIVE_SECONDS = 60.0
"""Oldest heartbeat of a part that is alive."""


class Answer(NamedTuple):
    """What is answered.

    Attributes:
        status: 200, or 503 with the reasons.
        body: For people; a line a reason.
    """

    status: int
    body: str


class Probes:
    """What a process says of its own health.

    Args:
        part: Name of the part, as its heartbeat has it.
        ready_lag: Records that it may be behind and still be ready.
        readiness: The checks.
        age: Seconds since the part's loop turned; None before it did.
    """

    def __init__(
        self,
        part: str,
        ready_lag: int,
        readiness: Readiness = READINESS,
        age: Callable[[str], float | None] = age_of,
    ) -> None:
        self._part = part
        self._ready_lag = ready_lag
        self._readiness = readiness
        self._age = age

    def healthz(self) -> Answer:
        """Whether the part's loop turns: 200 when its last beat is young enough."""
        age = self._age(self._part)
        if age is None:
            return Answer(503, f"{self._part} has not beaten yet\n")
        if age > ALIVE_SECONDS:
            allowed = f"at most {ALIVE_SECONDS:.0f} s are allowed"
            return Answer(503, f"{self._part} last beat {age:.0f} s ago, {allowed}\n")
        return Answer(200, f"{self._part} beat {age:.0f} s ago\n")

    def readyz(self) -> Answer:
        """Whether it is alive, reads what is assigned to it, and has caught up."""
        alive = self.healthz()
        lacks = [] if alive.status == 200 else [alive.body.strip()]
        lacks += self._readiness.lacks(self._ready_lag)
        if lacks:
            return Answer(503, "\n".join(["not ready", *lacks]) + "\n")
        return Answer(200, f"{self._part} is ready\n")


class _State(Collector):
    """The probes as metrics, computed when they are asked for."""

    def __init__(self, part: str, probes: Probes) -> None:
        self._part = part
        self._probes = probes

    def collect(self) -> Iterator[Metric]:
        info = INFO.new()
        info.add_metric([self._part, __version__], 1.0)
        yield info
        for family, answer in ((ALIVE, self._probes.healthz()), (READY, self._probes.readyz())):
            gauge = family.new()
            gauge.add_metric([self._part], float(answer.status == 200))
            yield gauge


INFO = Family(
    "driftloop_build_info", ("part", "version"), "1; which part this is, and its version."
)
ALIVE = Family("driftloop_alive", ("part",), "1 while /healthz answers 200, else 0.")
READY = Family("driftloop_ready", ("part",), "1 while /readyz answers 200, else 0.")
DESCRIBED = (INFO, ALIVE, READY)


class Server:
    """The server of a process; it listens once it is made, in a thread of its own.

    Args:
        host: Name or address to listen on.
        port: Port; 0 for one that is free.
        probes: What is said of health.
        part: Name of the part.
        registry: Where the metrics are.

    Raises:
        OSError: Nothing can listen there.
    """

    def __init__(
        self,
        host: str,
        port: int,
        probes: Probes,
        part: str,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody reads
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]

        class _Server(ThreadingHTTPServer):
            address_family = family
            daemon_threads = True

        self._server = _Server(address[:2], _handler(probes, registry))  # type: ignore[arg-type]
        self._registry = registry
        self._state = _State(part, probes)
        registry.register(self._state)
        self.port = int(self._server.server_address[1])
        threading.Thread(
            target=self._server.serve_forever, name="driftloop-http", daemon=True
        ).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._registry.unregister(self._state)


def _handler(probes: Probes, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "driftloop"
        sys_version = ""
        timeout = 30  # of a client that says nothing

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._send(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path == "/healthz":
                self._answer(probes.healthz())
            elif path == "/readyz":
                self._answer(probes.readyz())
            else:
                self._answer(Answer(404, "there are /metrics, /healthz and /readyz\n"))

        def _answer(self, answer: Answer) -> None:
            self._send(answer.status, answer.body.encode(), "text/plain; charset=utf-8")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # inherited
            """Scrapes and probes are no news."""

    return Handler
