"""Spans by OpenTelemetry: one trace from a decision to the first prediction by the new version.

Events carry the trace in their header ``traceparent`` whether anybody collects spans or not. Where
``telemetry.otlp_endpoint`` is set, each part sends spans that hang together by these headers: the
span that a header names is made with that very id. Without it nothing is imported and `record`
returns at once.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from driftloop import __version__
from driftloop.errors import DriftloopError
from driftloop.logs import forward

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Attributes = Mapping[str, str | int | float | bool | None]

_NEEDS = "telemetry.otlp_endpoint needs OpenTelemetry, not installed here: {}"
_INSTALL = "pip install 'driftloop[otel]'"
_DELAY_MS = 1000.0
"""Spans wait so long for others before they are sent together."""


class Place(NamedTuple):
    """A span within a trace, as a W3C ``traceparent`` names it."""

    trace: int
    span: int


class Recorder(Protocol):
    """Takes spans that are over."""

    def take(
        self,
        name: str,
        parent: Place | None,
        own: Place | None,
        times: tuple[int, int],
        attributes: Attributes,
    ) -> None:
        """A span from one time to another, ns since the epoch."""


class _State:
    """Of this process."""

    recorder: Recorder | None = None


def place_of(traceparent: str) -> Place | None:
    """What a ``traceparent`` names; None where it cannot be read.

    >>> place_of("00-0000000000000000000000000000000a-000000000000000b-01")
    Place(trace=10, span=11)
    """
    parts = traceparent.split("-")
    try:
        found = Place(int(parts[1], 16), int(parts[2], 16))
    except (IndexError, ValueError):
        return None
    sound = len(parts[1]) == 32 and len(parts[2]) == 16 and found.trace and found.span
    return found if sound else None


def below(traceparent: str) -> str:
    """A place for a span below another, for `record` to make later; empty where that is unread."""
    found = place_of(traceparent)
    return "" if found is None else f"00-{found.trace:032x}-{secrets.token_hex(8)}-01"


def tracing() -> bool:
    """Whether spans are collected at all."""
    return _State.recorder is not None


def record(
    name: str,
    *,
    parent: str = "",
    own: str = "",
    start_ns: int,
    end_ns: int | None = None,
    attributes: Attributes | None = None,
) -> None:
    """Record a span that is over; nothing where no spans are collected.

    Args:
        name: What was done.
        parent: ``traceparent`` of the span that it hangs on; empty for the first of a trace.
        own: ``traceparent`` that names this very span; empty for a new id.
        start_ns: When it began, ns since the epoch.
        end_ns: When it was over; by default now.
        attributes: What is told of it; None is left out.
    """
    recorder = _State.recorder
    if recorder is None:
        return
    above, self_ = place_of(parent), place_of(own)
    if above is None and self_ is None:
        return
    end_ns = time.time_ns() if end_ns is None else end_ns
    recorder.take(name, above, self_, (start_ns, max(start_ns, end_ns)), attributes or {})


def configure(endpoint: str, part: str) -> None:
    """Send spans to an OTLP/HTTP endpoint from now on, in a thread of its own.

    Args:
        endpoint: As ``http://127.0.0.1:4318``; empty for none.
        part: Which part this is.

    Raises:
        DriftloopError: OpenTelemetry is not installed.
    """
    if not endpoint:
        return
    try:
        _State.recorder = _Sender(endpoint, part)
    except ImportError as error:
        raise DriftloopError(_NEEDS.format(_INSTALL)) from error


class _Sender:
    """The recorder of OpenTelemetry's SDK."""

    def __init__(self, endpoint: str, part: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

        forward("opentelemetry", "traces.client", logging.WARNING)

        class Ids(RandomIdGenerator):
            """Ids as they are told, else random ones."""

            wanted = threading.local()

            def generate_span_id(self) -> int:
                place: Place | None = getattr(self.wanted, "place", None)
                return super().generate_span_id() if place is None else place.span

            def generate_trace_id(self) -> int:
                place: Place | None = getattr(self.wanted, "place", None)
                return super().generate_trace_id() if place is None else place.trace

        resource = Resource.create(
            {
                "service.name": f"driftloop-{part}",
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            }
        )
        ids = Ids()
        provider = TracerProvider(resource=resource, id_generator=ids)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY_MS))
        self._tracer: Tracer = provider.get_tracer("driftloop", __version__)
        self._wanted = ids.wanted

    def take(
        self,
        name: str,
        parent: Place | None,
        own: Place | None,
        times: tuple[int, int],
        attributes: Attributes,
    ) -> None:
        from opentelemetry import trace  # noqa: PLC0415

        context: Any = trace.set_span_in_context(trace.INVALID_SPAN)
        if parent is not None:
            known = trace.SpanContext(
                parent.trace,
                parent.span,
                is_remote=True,
                trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(known))
        told = {key: value for key, value in attributes.items() if value is not None}
        self._wanted.place = own
        try:
            span = self._tracer.start_span(name, context, attributes=told, start_time=times[0])
        finally:
            self._wanted.place = None
        span.end(end_time=times[1])
