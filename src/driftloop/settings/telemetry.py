"""What the parts tell of themselves."""

from __future__ import annotations

from pydantic import Field, field_validator

from driftloop.settings.base import Duration, Section, is_address


class TelemetrySettings(Section):
    """Metrics and probes over HTTP, and traces.

    Attributes:
        metrics: ``HOST:PORT`` at which each part serves ``/metrics``, ``/healthz`` and
            ``/readyz``; empty for nowhere. ``--metrics`` of a part overrides it. Process *i* of
            ``--processes`` takes the port *i* above.
        ready_lag: Records that a part may be behind and still be ready.
        report: Time between two `PartReported` events of each part, by which ``driftloop status``
            and the dashboard know that it runs; 0 for none.
        otlp_endpoint: Where spans are sent by OTLP over HTTP, as ``http://127.0.0.1:4318``; empty
            for nowhere. It needs the extra ``otel``.
    """

    metrics: str = ""
    ready_lag: int = Field(default=100_000, ge=0)
    report: Duration = Field(default="10s")  # type: ignore[assignment]  # read by parse_duration
    otlp_endpoint: str = ""

    @field_validator("metrics")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value and not is_address(value):
            raise ValueError("HOST:PORT, as '127.0.0.1:9464', or empty")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("a URL of http or https, as 'http://127.0.0.1:4318', or empty")
        return value
