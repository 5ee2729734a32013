"""The join of late labels: symmetric, bounded, in the order of completion."""

from __future__ import annotations

import numpy as np
import pytest

from driftloop.records import Columns, Joiner, join
from tests.streams import START, make_columns, make_profile

PROFILE = make_profile()
NAN = float("nan")


def rows(text: str) -> Columns:
    """Records from words: ``a?`` predicts a, ``a!`` labels it, ``a=`` is whole, ``-`` has no id.

    Offsets count from 0, event times are minutes, prediction and label are the offset.
    """
    words = text.split()
    n = len(words)
    place = np.arange(n, dtype=np.float64)
    fronts = np.array([word[-1] in "?=" for word in words], dtype=bool)
    backs = np.array([word[-1] in "!=" for word in words], dtype=bool)
    return make_columns(
        PROFILE,
        START + 60_000 * place,
        ids=[None if word[0] == "-" else word[:-1] for word in words],
        x=np.where(fronts[:, None], place[:, None], NAN) * [1, 1],
        categories=[["red" if front else None for front in fronts]],
        y_pred=np.where(fronts, place, NAN),
        y=np.where(backs, place, NAN),
        versions=[f"v{i}" if front else None for i, front in enumerate(fronts)],
    )


def ids(columns: Columns) -> str:
    return " ".join("-" if value is None else value for value in columns.ids)


def test_a_joined_record_has_features_and_prediction_of_one_half_and_the_label_of_the_other() -> (
    None
):
    joined = Joiner(10).add(rows("a? a!"))
    assert len(joined) == 1
    assert (joined.y_pred[0], joined.y[0], joined.x[0].tolist()) == (0.0, 1.0, [0.0, 0.0])
    assert (joined.versions, joined.categories) == (["v0"], [["red"]])
    assert (joined.offsets[0], joined.origin_offsets[0]) == (1, 0)
    assert joined.ts[0] == START + 60_000
    assert joined.feature_times.tolist() == [START]


def test_the_label_may_come_first() -> None:
    joined = Joiner(10).add(rows("a! a?"))
    assert (joined.y_pred[0], joined.y[0], joined.versions) == (1.0, 0.0, ["v1"])
    assert (joined.offsets[0], joined.origin_offsets[0]) == (1, 0)
    assert joined.ts[0] == START + 60_000
    assert joined.feature_times.tolist() == [START + 60_000]


def test_records_come_out_in_the_order_in_which_they_became_complete() -> None:
    assert ids(Joiner(10).add(rows("a? b? c= b! d! a! d? e="))) == "c b a d e"


def test_features_alone_wait_for_their_label_too() -> None:
    halves = rows("a? a!")
    halves.y_pred[:] = NAN
    joined = Joiner(10).add(halves)
    assert ids(joined) == "a"
    assert np.isnan(joined.y_pred[0])
    assert joined.x[0].tolist() == [0.0, 0.0]


def test_a_record_with_its_own_loss_waits_for_nothing() -> None:
    alone = make_columns(PROFILE, [START], loss=[2.5])
    assert len(Joiner(10).add(alone)) == 1
    assert len(join(alone)) == 0


@pytest.mark.parametrize("kind", ["?", "!"])
def test_over_the_capacity_the_oldest_is_given_up_and_counted(kind: str) -> None:
    other = "!" if kind == "?" else "?"
    joiner = Joiner(2)
    joiner.add(rows(f"a{kind} b{kind} c{kind}"))
    assert (joiner.pending, joiner.evicted) == (2, 1)
    assert ids(joiner.add(rows(f"a{other} b{other} c{other}"))) == "b c"
    assert joiner.pending == 1


def test_each_side_has_the_capacity_to_itself() -> None:
    joiner = Joiner(2)
    joiner.add(rows("a? b? c! d!"))
    assert (joiner.pending, joiner.evicted) == (4, 0)


def test_a_second_half_of_a_kind_is_a_duplicate_and_the_first_counts() -> None:
    joiner = Joiner(10)
    joined = joiner.add(rows("a? a? a!"))
    assert joined.y_pred.tolist() == [0.0]
    assert joiner.duplicates == 1


def test_halves_without_an_id_cannot_be_joined_and_are_counted() -> None:
    joiner = Joiner(10)
    assert len(joiner.add(rows("-? -! -="))) == 1
    assert joiner.unjoinable == 2
    assert joiner.pending == 0


def test_repeats_are_dropped_among_so_many_remembered_ids_if_asked() -> None:
    plain, strict = Joiner(10), Joiner(10, deduplicate=2)
    text = "a= a= b? b! b! b? c= a= a="
    assert ids(plain.add(rows(text))) == "a a b b c a a"
    assert ids(strict.add(rows(text))) == "a b c a"
    assert strict.duplicates == 4
    assert strict.pending == 0


def test_what_is_complete_at_once_passes_unchanged() -> None:
    whole = rows("a= b= -=")
    assert Joiner(10).add(whole) is whole


def test_join_leaves_out_what_never_completes() -> None:
    assert ids(join(rows("a? b! c= d? d!"))) == "c d"
    assert len(join(rows("a?"))) == 0
