"""The collector is held back for as long as anyone wants it, and comes back as it was."""

from __future__ import annotations

import gc
import threading

import pytest

from driftloop.garbage import THRESHOLDS, rare_collections


def test_contexts_within_and_beside_each_other_bring_back_what_was_set() -> None:
    before = gc.get_threshold()
    assert before != THRESHOLDS
    begun, ended = threading.Event(), threading.Event()

    def beside() -> None:
        with rare_collections():
            begun.set()
            assert ended.wait(30)

    thread = threading.Thread(target=beside)
    with rare_collections():
        thread.start()
        assert begun.wait(30)
        with rare_collections():
            assert gc.get_threshold() == THRESHOLDS
    assert gc.get_threshold() == THRESHOLDS  # the other one has not ended
    assert gc.get_freeze_count() > 0
    ended.set()
    thread.join(30)
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_an_error_brings_it_back() -> None:
    before = gc.get_threshold()
    with pytest.raises(KeyError), rare_collections():
        raise KeyError
    assert gc.get_threshold() == before


def test_many_objects_are_made_without_a_collection() -> None:
    def collections() -> int:
        return sum(one["collections"] for one in gc.get_stats())

    with rare_collections():
        before = collections()
        kept = [[] for _ in range(50_000)]
        assert collections() <= before + 1
    before = collections()
    kept += [[] for _ in range(50_000)]
    assert collections() > before + 10
    assert len(kept) == 100_000
