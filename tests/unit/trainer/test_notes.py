"""What was read of the outcomes is kept in a file, and taken up again without a difference."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from driftloop.messages import Event
from driftloop.settings import Profile, Settings, TrainerBudget, TrainerSettings
from driftloop.trainer.history import _within
from driftloop.trainer.ledger import _WAITING
from driftloop.trainer.notes import FILE, Notes, Read
from driftloop.trainer.worth import Worth
from tests.unit.trainer.outcomes import STREAMS, candidate, events
from tests.unit.trainer.requests import DAY_MS, NOON, finished, judged, request

SETTINGS = Settings(
    profiles={name: Profile(topics=f"{name}..+") for name in ("numbers", "curves")},
    trainer=TrainerSettings(budget=TrainerBudget(seconds_per_day=1e6)),
)


def worth_of(events_: list[Event]) -> Worth:
    worth = Worth(SETTINGS)
    for event in events_:
        worth.take(event)
    return worth


def read_of(worth: Worth, **more: Any) -> Read:
    given: dict[str, Any] = {
        "topic_id": "t",
        "positions": {0: 3, 1: 7},
        "ids": b"",
        "other_ids": {"r1": (0, 2)},
        "sequences": {"streams.a": 4},
        "candidates": [candidate("r9", "streams.a")],
        "places": {"streams.a": [("v1", "memory:v1", "0")]},
        "judged": {"streams.a": "v1"},
    }
    return Read(worth=worth.dump(NOON), **given | more)


@pytest.mark.parametrize("seed", range(4))
def test_sums_that_were_kept_go_on_as_if_all_had_been_read(tmp_path: Path, seed: int) -> None:
    """Bit for bit, wherever the reading was cut."""
    whole = events(seed)
    expected = worth_of(whole)
    for cut in random.Random(seed).sample(range(len(whole)), 6):
        notes = Notes(tmp_path, worth_of(whole[:cut]))
        notes.save(read_of(notes.worth))
        again = Worth(SETTINGS)
        read = Notes(tmp_path, again).load()
        assert read is not None
        again.load(read.worth)
        for event in whole[cut:]:
            again.take(event)
        assert msgspec.json.encode(again.dump(NOON)) == msgspec.json.encode(expected.dump(NOON))
        for profile in ("numbers", "curves"):
            assert again.ledger.seconds(profile, 100) == expected.ledger.seconds(profile, 100)
            for stream in STREAMS:
                assert again.ledger.ratio(stream, profile) == expected.ledger.ratio(stream, profile)


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "not" / "there", worth_of(events(1)))
    assert notes.load() is None
    read = read_of(notes.worth)
    notes.save(read)
    assert notes.load() == read
    other = read_of(notes.worth, positions={0: 9})
    notes.save(other)
    assert notes.load() == other
    assert [path.name for path in notes.file.parent.iterdir()] == [FILE]


def test_a_file_that_was_changed_or_cut_counts_for_nothing(tmp_path: Path) -> None:
    notes = Notes(tmp_path, worth_of(events(1, 20)))
    notes.save(read_of(notes.worth))
    whole = notes.file.read_bytes()
    for at in range(0, len(whole), 37):
        notes.file.write_bytes(whole[:at])
        assert notes.load() is None
        notes.file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert notes.load() is None
    notes.save(read_of(notes.worth, version="1 0.0.1"))
    assert notes.load() is None


def test_a_folder_that_cannot_be_had_is_told_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("")
    notes = Notes(home, worth_of([]))
    with structlog.testing.capture_logs() as logs:
        assert notes.load() is None
        notes.save(read_of(notes.worth))
        notes.save(read_of(notes.worth))
    assert [one["event"] for one in logs] == ["trainer.history_not_kept"]


def test_what_waits_for_its_other_half_is_bounded_a_stream() -> None:
    """Versions that nobody judges, and judgements whose outcome has expired, do not pile up."""
    worth = Worth(SETTINGS)
    for i in range(200):
        worth.take(finished(request(f"p{i}", "streams.a"), promised=1.0))
        worth.take(judged(request(f"s{i}", "streams.a"), 0.5))
    kept = worth.dump(NOON).ledger
    assert len(kept.promised["streams.a"]) == len(kept.saved["streams.a"]) == _WAITING
    worth.take(judged(request("p199", "streams.a"), 1.0))
    assert worth.ledger.ratio("streams.a", "numbers") == pytest.approx((4 * 1.0 + 1.0) / 5)


def test_days_of_a_budget_that_are_over_are_dropped() -> None:
    """But for yesterday; one of a clock that is ahead takes no other away."""
    worth = Worth(SETTINGS)
    days = [*range(-400, 1), 900]
    for day in days:
        for name in ("numbers", "curves"):
            one = request(f"{name}{day}", "streams.a", profile=name)
            worth.take(finished(one, seconds=2.0, at=NOON + day * DAY_MS))
    assert len(worth.dump(NOON).spent) == 2 * len([-1, 0, 900])
    assert worth.budget.spent("numbers", NOON) == 2.0


def test_ids_that_are_none_are_not_taken_up(tmp_path: Path) -> None:
    """Whole by its digest, and senseless: all outcomes are read again."""
    notes = Notes(tmp_path, Worth(SETTINGS))
    notes.save(read_of(notes.worth, ids=b"odd"))
    assert notes.load() is None


@pytest.mark.parametrize(("at", "there"), [(-5, False), (0, True), (7, True), (8, False)])
def test_a_place_that_the_topic_does_not_have_is_not_gone_on_from(at: int, *, there: bool) -> None:
    assert _within({0: at}, {0: (2, 7)}) == there
