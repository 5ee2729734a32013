"""Epochs are measured at one part: how long they take, and how long their end takes."""

from __future__ import annotations

from prometheus_client import REGISTRY

from driftloop.engine._epochs import Epochs


def _value(name: str, source: str) -> float:
    return REGISTRY.get_sample_value(name, {"source": source}) or 0.0


def test_an_epoch_lasts_from_end_to_end_and_its_end_until_the_next_turn() -> None:
    now = [10.0]
    epochs = Epochs("measured", clock=lambda: now[0])
    began = _value("driftloop_flow_epoch_timestamp_seconds", "measured")
    assert began > 1e9
    epochs.end()
    now[0] = 10.5
    epochs.resume()
    now[0] = 22.0
    epochs.end()
    now[0] = 24.0
    epochs.resume()
    assert _value("driftloop_flow_epoch_seconds_count", "measured") == 1
    assert _value("driftloop_flow_epoch_seconds_sum", "measured") == 12.0
    assert _value("driftloop_flow_epoch_close_seconds_count", "measured") == 2
    assert _value("driftloop_flow_epoch_close_seconds_sum", "measured") == 2.5
    assert _value("driftloop_flow_epoch_timestamp_seconds", "measured") >= began
