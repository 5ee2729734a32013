"""Gauges over streams: bounded whatever the number of streams, and made anew at each scrape."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from driftloop.messages import StreamStatus
from driftloop.monitor.overview import DAYS_PER_YEAR, TOP, Overview


def _status(stream: str, **more: Any) -> StreamStatus:
    fields = {"state": "monitoring", "model_version": "v1", "event_time": 0, **more}
    return StreamStatus(id=stream, stream=stream, profile="default", **fields)


def _samples(overview: Overview, name: str) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(overview)
    text = generate_latest(registry).decode()
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


RATIO = "driftloop_monitor_top_loss_ratio"


def test_of_a_thousand_streams_the_worst_ten_are_named_in_their_order() -> None:
    overview = Overview()
    for i in range(1000):
        overview.take(_status(f"s{i}", loss=float(i), reference_loss=2.0))
    found = _samples(overview, RATIO)
    assert len(found) == TOP
    assert found == {(str(rank), f"s{1000 - rank}"): (1000 - rank) / 2 for rank in range(1, 11)}


def test_they_are_replaced_and_never_pile_up() -> None:
    """Other streams are worst at each scrape: no scrape shows more than ten."""
    overview = Overview()
    for turn in range(50):
        for i in range(1000):
            loss = 100.0 if i // 20 == turn else 1.0
            overview.take(_status(f"s{i}", loss=loss, reference_loss=1.0))
        found = _samples(overview, RATIO)
        assert {stream for _, stream in found} <= {f"s{20 * turn + i}" for i in range(20)}
        assert len(found) == TOP
        assert set(found.values()) == {100.0}


def test_a_stream_without_a_reference_has_no_ratio() -> None:
    overview = Overview()
    overview.take(_status("a", loss=1.0, reference_loss=0.0))
    overview.take(_status("b", loss=1.0))
    overview.take(_status("c", reference_loss=1.0))
    assert _samples(overview, RATIO) == {}
    assert _samples(overview, "driftloop_monitor_streams") == {("default", "monitoring"): 3}


def test_streams_are_counted_by_their_newest_state_and_not_once_they_are_gone() -> None:
    overview = Overview()
    for name in ("a", "b", "c"):
        overview.take(_status(name))
    overview.take(_status("b", state="watched"))
    overview.take(_status("c", state="retired", loss=9.0, reference_loss=1.0))
    counts = _samples(overview, "driftloop_monitor_streams")
    assert counts == {("default", "monitoring"): 1, ("default", "watched"): 1}
    assert _samples(overview, RATIO) == {}


def test_the_promise_grows_with_the_streams() -> None:
    overview = Overview()
    overview.promise({"default": 0.5, "other": 1.0})
    for i in range(200):
        overview.take(_status(f"s{i}"))
    found = _samples(overview, "driftloop_monitor_promised_retrains_per_day")
    assert found == {("default",): 200 * 0.5 / DAYS_PER_YEAR, ("other",): 0.0}
