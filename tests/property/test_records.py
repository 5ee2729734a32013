"""Any bytes give a record or a dead letter; the join equals a brute-force one."""

from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.records import Columns, Joiner, RecordDecoder, join
from driftloop.settings import Features, Fields, Profile
from tests.strategies import halves, messages, mutated
from tests.streams import START, frozen, make_columns, make_profile

PROFILES = {
    "regression": Profile(features=Features(numeric=["a", "b"], categorical=["c"])),
    "binary": Profile(task="binary", loss="log_loss", features=Features(numeric=["a"])),
    "multiclass": Profile(task="multiclass", loss="log_loss", classes=["a", "1", "true"]),
    "array": Profile(
        features=Features(numeric=["a", "b"], array=True), window={"kind": "cycle", "length": "1d"}
    ),
    "flat, shared": Profile(
        fields=Fields(x="", y="truth.value", y_pred="truth.guess"),
        features=Features(numeric=["id", "ts", "a"], categorical=["truth.value"]),
    ),
}
REASONS = {
    "empty", "not-json", "wrong-type", "bad-timestamp", "bad-label", "bad-prediction",
    "bad-features",
}  # fmt: skip


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=100, deadline=None)
@given(values=st.lists(messages | mutated(), max_size=8), kafka=st.integers(-1, 2**62))
def test_any_bytes_are_a_record_or_a_dead_letter_in_any_batch(
    name: str, values: list[bytes | None], kafka: int
) -> None:
    profile = PROFILES[name]
    decoder = RecordDecoder(profile)
    offsets = [10 + 3 * i for i in range(len(values))]
    columns, dead = decoder.decode("t", 2, values, offsets, [kafka + i for i in range(len(values))])
    assert len(columns) + len(dead) == len(values)
    assert sorted([*columns.offsets.tolist(), *(letter.offset for letter in dead)]) == offsets
    assert np.isfinite(columns.ts).all()
    assert not np.isinf(columns.x).any()
    assert not np.isinf(columns.y).any()
    for letter in dead:
        assert letter.reason in REASONS
        assert letter.value == values[offsets.index(letter.offset)]
        assert letter.timestamp_ms == kafka + offsets.index(letter.offset)
        assert f"t[2]@{letter.offset}: " in letter.detail
        letter.detail.encode()
    for text in (*columns.ids, *columns.versions):
        assert text is None or text.encode() is not None
    one_by_one = [
        decoder.decode("t", 2, [value], [offset], [kafka + i])
        for i, (value, offset) in enumerate(zip(values, offsets, strict=True))
    ]
    assert [letter for _, found in one_by_one for letter in found] == dead
    parts = [found for found, _ in one_by_one if len(found)]
    if parts:
        assert frozen(Columns.concatenate(parts)) == frozen(columns)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(value=json_values, path=st.sampled_from(["id", "ts", "x", "y_pred", "y", "model_version"]))
@settings(max_examples=200, deadline=None)
def test_any_value_in_any_field_is_read_or_refused(value: Any, path: str) -> None:
    raw = msgspec.json.encode({path: value})
    for profile in PROFILES.values():
        columns, dead = RecordDecoder(profile).decode("t", 0, [raw], [0], [START])
        assert len(columns) + len(dead) == 1


PROFILE = make_profile()


def as_columns(found: list[tuple[str | None, str]]) -> Columns:
    n = len(found)
    place = np.arange(1, n + 1, dtype=np.float64)
    front = np.array([kind in {"front", "whole"} for _, kind in found], dtype=bool)
    back = np.array([kind in {"label", "whole"} for _, kind in found], dtype=bool)
    return make_columns(
        PROFILE,
        START + place,
        ids=[name for name, _ in found],
        y_pred=np.where(front, place, np.nan),
        y=np.where(back, place, np.nan),
    )


def oracle(found: list[tuple[str | None, str]], capacity: int) -> list[tuple[float, float, int]]:
    """(prediction, label, offset of completion) of each record that becomes complete."""
    waiting: list[tuple[str, str, float]] = []  # id, kind, value; oldest first
    out = []
    for offset, (name, kind) in enumerate(found):
        value = offset + 1.0
        if kind == "whole":
            out.append((value, value, offset))
        if kind == "whole" or name is None:
            continue
        twin = [entry for entry in waiting if entry[0] == name]
        if not twin:
            waiting.append((name, kind, value))
            own = [entry for entry in waiting if entry[1] == kind]
            if len(own) > capacity:
                waiting.remove(own[0])
        elif twin[0][1] != kind:
            waiting.remove(twin[0])
            pair = (value, twin[0][2]) if kind == "front" else (twin[0][2], value)
            out.append((*pair, offset))
    return out


@settings(max_examples=200, deadline=None)
@given(found=halves, cuts=st.sets(st.integers(1, 30)), capacity=st.integers(1, 4))
def test_the_join_equals_a_brute_force_one_in_any_batches(
    found: list[tuple[str | None, str]], cuts: set[int], capacity: int
) -> None:
    rows = as_columns(found)
    edges = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    joiner = Joiner(capacity)
    parts = [joiner.add(rows.select(slice(a, b))) for a, b in itertools.pairwise(edges)]
    got = Columns.concatenate(parts)
    expected = oracle(found, capacity)
    assert list(zip(got.y_pred.tolist(), got.y.tolist(), got.offsets.tolist(), strict=True)) == (
        expected
    )
    halves_in = sum(kind != "whole" for _, kind in found)
    joined = len(got) - sum(kind == "whole" for _, kind in found)
    given_up = joiner.evicted + joiner.duplicates + joiner.unjoinable
    assert halves_in == 2 * joined + joiner.pending + given_up


@settings(max_examples=100, deadline=None)
@given(found=halves)
def test_the_join_of_a_finished_set_has_room_for_all_of_it(
    found: list[tuple[str | None, str]],
) -> None:
    got = join(as_columns(found))
    assert got.offsets.tolist() == [offset for *_, offset in oracle(found, len(found) + 1)]
    assert all(map(math.isfinite, got.y))
