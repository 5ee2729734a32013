"""What the monitor counts: late records, dead letters by reason, decisions."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client import REGISTRY

from driftloop.messages import Evidence
from driftloop.monitor.emit import Router
from driftloop.monitor.items import Records, StreamName
from driftloop.monitor.track import TrackLogic
from driftloop.records import RecordDecoder
from driftloop.settings import Settings

HOUR_MS = 3_600_000


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def _settings() -> Settings:
    window = {"kind": "cycle", "length": "1h", "lateness": "1m"}
    return Settings(profiles={"p": {"topics": "s", "window": window}})  # type: ignore[dict-item]


def test_records_behind_their_closed_window_are_late() -> None:
    settings = _settings()
    decoder = RecordDecoder(settings.profiles["p"])
    logic = TrackLogic(settings, None)
    before = _value("driftloop_monitor_late_total")
    offset = 0
    for hours, expected in ((range(6), 0), ([0, 1], 2), ([7], 2)):
        values = [
            json.dumps({"ts": HOUR_MS * (1000 + h), "y": 1.0, "y_pred": 1.0}).encode()
            for h in hours
        ]
        offsets = list(range(offset, offset + len(values)))
        offset += len(values)
        rows, dead = decoder.decode("s", 0, values, offsets, [HOUR_MS * 2000] * len(values))
        assert not dead
        logic.on_batch([Records(StreamName("s", "s", "p"), rows, 1, 0)])
        assert _value("driftloop_monitor_late_total") - before == expected


def test_decisions_are_counted_by_what_followed() -> None:
    fields: dict[str, Any] = {"id": "e", "stream": "s", "profile": "p", "kind": "window"}
    fields |= {"opened_at": 0, "closed_at": 1, "window": [], "records": 3}
    fields |= {"model_version": None, "results": [], "metrics": {}, "decision": "cool-down"}
    labels = {"kind": "window", "decision": "cool-down"}
    before = _value("driftloop_monitor_decisions_total", **labels)
    Router(Settings().topics).event(("s", Evidence(**fields)))
    assert _value("driftloop_monitor_decisions_total", **labels) == before + 1
