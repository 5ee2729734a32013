"""Whatever is sent again, and whenever: a command is carried out once."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.detection.outputs import Ordered
from driftloop.messages import Command, CommandAnswered, CommandMemory
from driftloop.messages.memory import REMEMBERED
from tests.streams import Played, command, make_profile

_PROFILE = make_profile()


@st.composite
def _sent(draw: st.DrawFn) -> list[Command]:
    """Commands by clocks that differ, some of them sent again later."""
    issued = draw(st.lists(st.integers(0, 120), min_size=1, max_size=160))
    given = [command("snooze", id=str(i), issued_at=at) for i, at in enumerate(issued)]
    again = draw(
        st.lists(st.tuples(st.integers(0, len(given) - 1), st.integers(0, 200)), max_size=40)
    )
    out = list(given)
    for index, later in again:
        out.insert(min(index + 1 + later, len(out)), given[index])
    return out


@settings(max_examples=300, deadline=None)
@given(sent=_sent())
def test_no_command_is_new_twice_and_what_is_newer_than_all_is_new(sent: list[Command]) -> None:
    memory, seen, newest = CommandMemory(), set[str](), -1
    for one in sent:
        word = memory.take(one).word
        if one.id in seen:
            assert word != "new"
        elif one.issued_at > newest:
            assert word == "new"
        seen.add(one.id)
        newest = max(newest, one.issued_at)
    assert len(memory._issued) <= REMEMBERED


@settings(max_examples=25, deadline=None)
@given(sent=_sent(), restarts=st.sets(st.integers(0, 200), max_size=4))
def test_a_stream_carries_each_out_once_also_over_restarts(
    sent: list[Command], restarts: set[int]
) -> None:
    played = Played(_PROFILE)
    for place, one in enumerate(sent):
        if place in restarts:
            played.pickled()
        before = len(played.of(CommandAnswered))
        played.control(one)
        assert len(played.of(CommandAnswered)) == before + 1
    new = [one for one in played.outputs if isinstance(one, Ordered) and one.standing.word == "new"]
    assert max(Counter(one.command.id for one in new).values()) == 1
    done = [one for one in played.of(CommandAnswered) if one.outcome == "done"]
    # One that comes again is answered again as it was, or refused: each answer has its own id.
    assert {one.command_id for one in done} == {one.command.id for one in new}
    assert len({one.id for one in done}) == len(new)
    refused = {one.id for one in played.of(CommandAnswered) if one.outcome == "refused"}
    assert not refused & {one.id for one in done}
