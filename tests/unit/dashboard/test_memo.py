"""An answer about the fleet is made at most so often, and anew after a change."""

from __future__ import annotations

from driftloop.dashboard.memo import FRESH_SECONDS, UNCHANGED_SECONDS, Memo


def test_an_answer_is_given_again_for_a_while_and_longer_where_nothing_changed() -> None:
    now, changes, made = [0.0], [0], [0]

    def make() -> int:
        made[0] += 1
        return made[0]

    memo = Memo(lambda: changes[0], lambda: now[0])
    assert [memo("a", make), memo("a", make), memo("b", make)] == [1, 1, 2]
    changes[0] = 1
    assert memo("a", make) == 1
    now[0] = FRESH_SECONDS
    assert memo("a", make) == 3
    now[0] += FRESH_SECONDS
    assert memo("a", make) == 3
    now[0] += UNCHANGED_SECONDS
    assert memo("a", make) == 4


def test_none_is_an_answer_too() -> None:
    made: list[None] = []
    memo = Memo(lambda: 0, lambda: 0.0)
    for _ in range(2):
        assert memo("a", lambda: made.append(None)) is None
    assert len(made) == 1
