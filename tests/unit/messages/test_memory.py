"""What a stream remembers of commands: enough that none counts twice."""

from __future__ import annotations

import pickle

import pytest

from driftloop.messages import CommandMemory
from driftloop.messages.memory import REMEMBERED
from tests.streams import command


def words(memory: CommandMemory, *issued: int, tag: str = "") -> list[str]:
    """What new commands of these times of issue are."""
    return [
        memory.take(command("pin", id=f"{tag}{i}-{at}", issued_at=at)).word
        for i, at in enumerate(issued)
    ]


def test_a_command_that_comes_again_is_known_however_late() -> None:
    memory = CommandMemory()
    first = command("pin", id="first", issued_at=100)
    assert memory.take(first).word == "new"
    assert memory.take(first).word == "again"
    for count in range(1, REMEMBERED):
        memory.take(command("pin", id=str(count), issued_at=100 + count))
    assert memory.take(first).word == "again"
    pushing = memory.take(command("pin", id="pushing", issued_at=1000))
    assert (pushing.word, pushing.forgets) == ("new", "first")
    assert "first" not in memory
    late = memory.take(first)
    assert (late.word, late.since) == ("too-old", 100)
    assert words(memory, *range(2000, 2500)) == ["new"] * 500
    assert memory.take(first).word == "too-old"
    assert pickle.loads(pickle.dumps(memory)).take(first).word == "too-old"  # noqa: S301
    assert len(pickle.dumps(memory)) < 3000


def test_one_that_was_never_given_goes_by_its_time_alone() -> None:
    memory = CommandMemory()
    words(memory, *range(100, 100 + 2 * REMEMBERED))
    last = memory.forgotten
    assert last is not None
    assert words(memory, last, last - 1, last + 1, tag="other") == ["too-old", "too-old", "new"]


def test_of_one_moment_as_many_count_as_are_remembered() -> None:
    memory = CommandMemory()
    assert words(memory, *[7] * (REMEMBERED + 2)) == ["new"] * (REMEMBERED + 1) + ["too-old"]


def test_an_older_one_counts_once_though_it_is_forgotten_at_once() -> None:
    memory = CommandMemory()
    words(memory, *range(1000, 1000 + REMEMBERED))
    old = command("pin", id="old", issued_at=5)
    assert memory.take(old) == ("new", "old", 0)
    assert memory.take(old).word == "too-old"
    assert words(memory, 6, tag="next") == ["new"]


def test_a_sender_whose_clock_is_ahead_bars_nobody_else() -> None:
    """Until it alone fills the memory."""
    memory, ahead = CommandMemory(), 10**12
    assert words(memory, *[ahead] * (REMEMBERED - 1), tag="ahead") == ["new"] * (REMEMBERED - 1)
    assert words(memory, *range(5000), tag="right") == ["new"] * 5000
    words(memory, ahead, ahead, tag="more")
    assert words(memory, 6000, tag="barred") == ["too-old"]


def test_ids_of_an_earlier_release_are_known_and_then_old() -> None:
    memory = CommandMemory.of_ids(str(i) for i in range(REMEMBERED))
    assert memory.take(command("pin", id="3", issued_at=40)).word == "again"
    assert words(memory, *range(100, 100 + REMEMBERED)) == ["new"] * REMEMBERED
    assert memory.take(command("pin", id="3", issued_at=40)).word == "too-old"


@pytest.mark.parametrize("at", [0, -5])
def test_any_time_is_a_time(at: int) -> None:
    assert words(CommandMemory(), at, at + 1) == ["new", "new"]
