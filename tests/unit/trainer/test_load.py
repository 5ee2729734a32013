"""Loading refuses what does not fit before any record is read."""

from __future__ import annotations

import pytest

from driftloop.errors import TrainingError
from driftloop.settings import Features, Profile
from driftloop.trainer import load as loading
from driftloop.trainer.load import Wanted, load, record_bytes

PROFILE = Profile(features=Features(numeric=["a", "b"], categorical=["c"]))
NOWHERE = {"bootstrap.servers": "127.0.0.1:1"}  # nothing listens: nothing may be asked


def _load(*data: str, most: int = 2_000_000) -> TrainingError:
    found = load(NOWHERE, {"r": Wanted(PROFILE, data)}, lambda: None, most=most)["r"]
    assert isinstance(found, TrainingError)
    return found


def test_ten_million_records_are_refused_with_what_to_set() -> None:
    fault = _load("t:0:0:9999999")
    assert fault.reason == "too-many-records"
    for part in ("10,000,000 records", "2,000,000", "trainer.max_records", "training.records"):
        assert part in str(fault)


def test_records_of_all_ranges_count_and_a_range_named_twice_counts_once() -> None:
    assert "150 records" in str(_load("t:0:0:99", "u:0:0:49", "t:0:0:99", most=149))


def test_records_that_do_not_fit_into_free_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "available", lambda: 1000 * record_bytes(PROFILE))
    fault = _load("t:0:0:1000")
    assert fault.reason == "too-many-records"
    assert "are free" in str(fault)


def test_ranges_that_are_none_are_refused() -> None:
    assert _load("t:0:5:4").reason == _load().reason == "bad-ranges"
