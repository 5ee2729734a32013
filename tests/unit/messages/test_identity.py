"""Event ids are a function of the decision alone, and stay what they are over releases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driftloop.messages import event_id, new_traceparent, next_span
from tests.strategies import texts


def test_ids_are_those_of_the_first_release() -> None:
    """An id that changed would let every consumer take a replayed event for a new one."""
    assert (
        event_id("flights.LAX", "0f", "retrain", ["flights.LAX:0:0:9"])
        == "d9e8108dc5433c35bda5152b6ef2f47e"
    )
    assert event_id("", "", "", []) == "5cf0479a381380026a05c1e7bc18bfbb"


@given(st.lists(texts, min_size=4, max_size=6), st.lists(texts, min_size=4, max_size=6))
def test_ids_are_equal_only_for_equal_parts(one: list[str], other: list[str]) -> None:
    first = event_id(one[0], one[1], one[2], one[3:])
    second = event_id(other[0], other[1], other[2], other[3:])
    assert (first == second) == (one == other)


def test_no_text_moves_from_one_part_to_the_next() -> None:
    assert event_id("ab", "c", "k", []) != event_id("a", "bc", "k", [])
    assert event_id("a", "b", "k", ["x", "y"]) != event_id("a", "b", "k", ["xy"])


def test_a_trace_is_fixed_by_its_seed() -> None:
    assert new_traceparent("a") == new_traceparent("a") != new_traceparent("b")


@given(st.text(max_size=80))
def test_an_unreadable_trace_starts_a_new_one(text: str) -> None:
    parts = next_span(text).split("-")
    assert [len(part) for part in parts] == [2, 32, 16, 2]
