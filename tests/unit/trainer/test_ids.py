"""Ids of outcomes: exact, small, and forgotten once their outcome has expired."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.errors import MessageError
from driftloop.messages import event_id
from driftloop.trainer.ids import OutcomeIds

_HEX = [
    "0" * 32,
    "0" * 31 + "1",
    "1" + "0" * 31,
    "10" * 8 + "00" * 8,
    "f" * 30 + "00",
    "f" * 32,
    "ab" * 16,
]
_NAMES = [*_HEX, "AB" * 16, "ab" * 15, "r1", "", "0" * 33, "\0" * 16, "abcdefgh" * 2]
"""Ids that differ by zeros, by case or by length alone, and foreign ones."""

_places = st.tuples(st.integers(0, 2), st.integers(0, 30))
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(_NAMES), _places),
        st.tuples(st.just("forget"), st.dictionaries(st.integers(0, 2), st.integers(0, 30))),
        st.tuples(st.just("kept")),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(steps=_steps)
def test_it_knows_what_a_plain_dictionary_would(steps: list[tuple]) -> None:
    ids, plain = OutcomeIds(), {}
    for step in steps:
        if step[0] == "add":
            ids.add(step[1], step[2])
            plain[step[1]] = step[2]
        elif step[0] == "forget":
            ids.forget(step[1])
            low = step[1]
            plain = {k: at for k, at in plain.items() if at[1] >= low.get(at[0], 0)}
        else:
            ids = OutcomeIds.load(*ids.dump())
        assert [name in ids for name in _NAMES] == [name in plain for name in _NAMES]
    assert len(ids) == len(plain)


def test_many_ids_are_found_while_they_are_sorted_in() -> None:
    names = [event_id("a", "p", "retrain", [i]) for i in range(20_000)]
    ids = OutcomeIds()
    for i, name in enumerate(names):
        ids.add(name, (i % 3, i))
        if i % 997 == 0:
            assert name in ids
            assert names[i // 2] in ids
    assert all(name in ids for name in names)
    assert not any(event_id("b", "p", "retrain", [i]) in ids for i in range(20_000))
    assert len(ids.dump()[0]) == 28 * 20_000
    ids.forget({0: 9_000, 1: 0})
    known = np.array([name in ids for name in names])
    expected = np.array([i % 3 != 0 or i >= 9_000 for i in range(20_000)])
    assert (known == expected).all()


def test_what_was_not_read_from_the_topic_is_never_forgotten() -> None:
    ids = OutcomeIds()
    ids.add("ab" * 16)
    ids.add("r1")
    ids.forget({0: 100, 1: 100})
    assert "ab" * 16 in ids
    assert "r1" in ids
    assert 7 not in ids


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(MessageError, match="28 bytes, got 5"):
        OutcomeIds.load(b"12345", {})
