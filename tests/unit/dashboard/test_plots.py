"""The plots and sentences of a stream, from its rows alone."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from driftloop.dashboard.history import History, history
from driftloop.dashboard.plots import bars, shares, spark
from driftloop.dashboard.story import story_of
from driftloop.dashboard.timeline import timeline
from driftloop.messages import Evidence, ModelPublished, StreamStatus, VersionOrdered
from driftloop.readmodel import Queries
from driftloop.readmodel.rows import RequestRow
from driftloop.readmodel.trends import Bars, retrains_over_time
from tests.dashboard import OPENED, settings_of
from tests.dashboard import history as events_of
from tests.readmodel import DAY, START, fill, make, new_model


def found(folder: Path, events: Any) -> tuple[Queries, History | None]:
    model = new_model(folder)
    OPENED.append(model)
    fill(model, events)
    queries = Queries(model, settings_of(folder))
    return queries, history(queries, "streams.a")


def test_a_version_reigns_from_its_decision_to_the_next_one(tmp_path: Path) -> None:
    back = make(
        ModelPublished,
        version="v1",
        sequence=3,
        parent_version="v2",
        action="rolled-back",
        request_id="cc" * 16,
        published_at=START + 999 * DAY,
    )
    _, data = found(tmp_path, [*events_of("streams.a"), back])
    assert data is not None
    told = [(one.version, one.begin, one.end) for one in data.reigns]
    assert told == [
        ("v1", START, START + 20 * DAY),
        ("v2", START + 20 * DAY, START + 35 * DAY),
        ("v1", START + 35 * DAY, None),
    ]


def test_versions_never_go_back_in_time(tmp_path: Path) -> None:
    """One that nothing on the stream's own time tells of takes the place of the one before."""
    orphan = make(ModelPublished, version="v9", sequence=9, published_at=START + 10**7 * DAY)
    _, data = found(tmp_path, [*events_of("streams.a"), orphan])
    assert data is not None
    begins = [one.begin for one in data.reigns]
    assert begins == sorted(begins)
    assert begins[-1] <= START + 40 * DAY


def test_the_timeline_is_sound_xml_and_inside_its_frame(tmp_path: Path) -> None:
    _, data = found(tmp_path, events_of("streams.a"))
    assert data is not None
    for width in (1120, 400):
        root = ET.fromstring(timeline(data, width=width))  # noqa: S314  # made here
        for one in root.iter():
            if one.tag.endswith("rect"):
                x, wide = float(one.get("x", 0)), float(one.get("width", 0))
                assert -0.1 <= x <= x + wide <= width + 0.1
        assert root.get("role") == "group"  # it holds links
        assert root.get("aria-label")


def test_a_stream_without_windows_has_no_history(tmp_path: Path) -> None:
    assert found(tmp_path, [make(StreamStatus)])[1] is None


def test_a_stream_without_losses_or_versions_is_drawn_all_the_same(tmp_path: Path) -> None:
    lone = make(Evidence, metrics={}, model_version=None)
    order = make(
        VersionOrdered,
        action="discard",
        version=None,
        against=None,
        reason="canary",
        decided_at=START,
    )
    _, data = found(tmp_path, [lone, order])
    assert data is not None
    assert "<svg" in timeline(data)


@pytest.mark.parametrize("values", [[], [1.0], [None, None], [0.0, 0.0], [1.0, None, 3.0]])
def test_a_spark_is_drawn_of_whatever_there_is(values: list[float | None]) -> None:
    told = spark(values, None, 'a "name"')
    assert ET.fromstring(told) is not None  # noqa: S314  # made here
    assert "&quot;name&quot;" in told


def test_bars_count_each_retrain_once(tmp_path: Path) -> None:
    queries, _ = found(tmp_path, events_of("streams.a"))
    counts = retrains_over_time(queries._model)
    assert counts is not None
    assert sum(map(sum, counts.counts.values())) == 1
    assert "1 retrain (1 published)" in bars(counts, width=300, height=100, label="a")
    empty = Bars([0], 1000, {"published": [0]})
    assert "<svg" in bars(empty, width=300, height=100, label="a")
    assert shares({"a": 0}, {}, "none") is not None


def row(**fields: Any) -> RequestRow:
    given = dict.fromkeys(RequestRow.__struct_fields__, None)
    texts = ("stream", "profile", "criteria", "outcome", "outcome_reason", "detail", "verdict")
    given |= dict.fromkeys((*texts, "dismissed_by", "dismissed_why", "policy"), "")
    given |= {"id": "r", "kind": "retrain", "reason": "policy", "priority": 0.0}
    return RequestRow(**{**given, **fields})


@pytest.mark.parametrize(
    ("fields", "told", "tone"),
    [
        ({"outcome": ""}, "It cannot be said yet.", "plain"),
        (
            {"outcome": "published", "version": "v2"},
            "Live records have not judged it yet.",
            "plain",
        ),
        ({"outcome": "rejected", "from_version": "v1"}, "v1 serves on; nothing changed.", "plain"),
        (
            {"outcome": "published", "verdict": "worse", "saved": -0.5, "judged_records": 1},
            "It did harm: cost 0.500 of loss a record on 1 live record.",
            "bad",
        ),
        (
            {"outcome": "published", "dismissed_by": "ada", "dismissed_why": "a holiday"},
            "ada called it a false alarm: a holiday.",
            "warn",
        ),
    ],
)
def test_a_story_says_whether_it_helped(fields: dict[str, Any], told: str, tone: str) -> None:
    story = story_of(row(**fields), [], [])
    assert (story.worth, story.tone) == (told, tone)


def test_a_story_says_why_it_is_undecided_where_the_interval_leaves_out_0() -> None:
    judged = {"outcome": "published", "verdict": "undecided", "saved": 2.75, "level": 0.99}
    open_ = story_of(row(**judged, low=-1.0, high=6.5), [], [])
    assert "leaves out 0" not in open_.worth
    assert "leaves out 0" in story_of(row(**judged, low=1.15, high=4.36), [], []).worth


def test_a_story_tells_of_the_rollback_that_followed() -> None:
    retrain = row(outcome="published", version="v2", verdict="worse", saved=-1.0)
    order = row(kind="rollback", from_version="v2", decided_at=START)
    assert "A rollback was ordered on 14 Nov 2023 22:13." in story_of(retrain, [order], []).worth
