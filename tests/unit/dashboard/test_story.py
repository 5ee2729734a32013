"""A retrain is told beside the version that it replaced, also where a rollback came between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.dashboard.story import Story, story_of
from driftloop.messages import Event, ModelPublished, RetrainRequested, TrainingFinished
from driftloop.readmodel import Queries
from tests.dashboard import settings_of
from tests.readmodel import START, fill, make, new_model

LATE, REFUSED = "aa" * 16, "bb" * 16


def published(version: str, sequence: int, parent: str | None, **fields: object) -> Event:
    found: Event = make(
        ModelPublished,
        version=version,
        sequence=sequence,
        parent_version=parent,
        published_at=START + sequence,
        **{"request_id": f"{sequence:032x}", **fields},
    )
    return found


def told(model_events: list[Event], folder: Path, request: str) -> Story:
    model = new_model(folder)
    try:
        fill(model, model_events)
        queries = Queries(model, settings_of(folder))
        row = queries.request(request)
        assert row is not None
        return story_of(row, [], queries.versions(row.stream))
    finally:
        model.close()


def decided_before_a_rollback() -> Iterator[Event]:
    """v7 is in use at the decision; it is taken back, and the request is trained against v6."""
    yield published("v6", 1, None, request_id="66" * 16)
    yield published("v7", 2, "v6")
    yield make(RetrainRequested, id=LATE, current_version="v7")
    yield published("v6", 3, "v7", action="rolled-back", request_id="66" * 16)
    yield published("v9", 4, "v6", request_id=LATE)
    yield make(
        TrainingFinished,
        request_id=LATE,
        version="v9",
        champion={"loss": 14.62},
        challenger={"loss": 11.0},
        finished_at=START + 4,
    )


def test_one_can_go_back_to_what_was_replaced_not_to_what_was_in_use_at_the_decision(
    tmp_path: Path,
) -> None:
    story = told(list(decided_before_a_rollback()), tmp_path, LATE)
    assert story.back == "v6"
    assert "14.62 of v6" in story.training


def test_one_goes_back_from_the_version_in_use_alone(tmp_path: Path) -> None:
    events = [*decided_before_a_rollback(), published("v10", 5, "v9")]
    assert told(events, tmp_path, LATE).back is None


def test_a_restored_version_is_gone_back_from_to_its_own_parent(tmp_path: Path) -> None:
    events = [
        *decided_before_a_rollback(),
        published("v10", 5, "v9"),
        published("v9", 6, "v10", action="rolled-back", request_id=LATE),
    ]
    assert told(events, tmp_path, LATE).back == "v6"


@pytest.mark.parametrize("outcome", ["rejected", "failed"])
def test_what_serves_on_is_what_was_in_use_when_a_training_ended(
    tmp_path: Path, outcome: str
) -> None:
    events = [
        published("v9", 1, None),
        make(RetrainRequested, id=REFUSED, current_version="v9"),
        published("v10", 2, "v9", action="rolled-back"),
        make(TrainingFinished, request_id=REFUSED, outcome=outcome, finished_at=START + 3),
        published("v11", 4, "v10"),
    ]
    assert told(events, tmp_path, REFUSED).worth == "v10 serves on; nothing changed."
