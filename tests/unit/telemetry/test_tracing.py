"""Spans cost nothing where nobody collects them, and hang on what the headers name elsewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from driftloop.errors import DriftloopError
from driftloop.messages import new_traceparent, next_span
from driftloop.telemetry import tracing
from tests.collector import Collector, Seen


@pytest.fixture(autouse=True)
def _off() -> Iterator[None]:
    yield
    tracing._State.recorder = None


def _seen(collector: Collector, trace: str, count: int) -> list[Seen]:
    deadline = time.monotonic() + 30
    while len(found := collector.trace(trace)) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_without_an_endpoint_nothing_is_imported_and_nothing_recorded() -> None:
    program = (
        "import sys; from driftloop.telemetry import tracing;"
        "tracing.configure('', 'monitor');"
        "tracing.record('a', own='00-' + 32 * 'a' + '-' + 16 * 'b' + '-01', start_ns=1);"
        "assert not tracing.tracing();"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(DriftloopError, match=r"pip install 'driftloop\[otel\]'"):
        tracing.configure("http://127.0.0.1:4318", "monitor")


def test_spans_have_the_ids_that_headers_name() -> None:
    first = new_traceparent("event")
    second, trace = next_span(first), first.split("-")[1]
    with Collector() as collector:
        tracing.configure(collector.endpoint + "/", "trainer")
        tracing.record("decide", own=first, start_ns=10, end_ns=20)
        about = {"driftloop.stream": "s", "driftloop.version": None, "driftloop.records": 3}
        tracing.record(
            "publish", parent=first, own=second, start_ns=30, end_ns=40, attributes=about
        )
        tracing.record("load", parent=second, start_ns=50, end_ns=45)
        decide, publish, load = _seen(collector, trace, 3)
    assert (decide.span, decide.parent) == (first.split("-")[2], "")
    assert (publish.span, publish.parent) == (second.split("-")[2], decide.span)
    assert publish.attributes == {"driftloop.stream": "s", "driftloop.records": 3}
    assert (publish.start, publish.end) == (30, 40)
    assert load.parent == publish.span
    assert load.span not in {decide.span, publish.span}
    assert load.end == load.start == 50
    assert decide.service == "driftloop-trainer"


def test_what_no_header_places_is_not_recorded() -> None:
    good = new_traceparent("other")
    with Collector() as collector:
        tracing.configure(collector.endpoint, "trainer")
        tracing.record("lost", start_ns=1)
        tracing.record("lost", parent="junk", start_ns=1)
        tracing.record("kept", parent=good, start_ns=1)
        (kept,) = _seen(collector, good.split("-")[1], 1)
        assert kept.name == "kept"
        assert [one.name for one in collector._seen] == ["kept"]


@pytest.mark.parametrize(
    "text", ["", "junk", "00-0-0-01", "00-" + 32 * "0" + "-" + 16 * "b" + "-01"]
)
def test_a_traceparent_that_names_nothing_is_told_as_nothing(text: str) -> None:
    assert tracing.place_of(text) is None
    assert tracing.below(text) == ""
