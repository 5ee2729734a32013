"""Numbers in words, alike in terminal and page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driftloop.demo.scoreboard import Scoreboard


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun, in the singular where it is one.

    Args:
        number: How many.
        one: The noun for one.
        many: The noun for several; by default with an s.

    >>> counted(1, "stream"), counted(1234, "stream"), counted(0, "flight", "flights")
    ('1 stream', '1,234 streams', '0 flights')
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def outcomes_text(board: Scoreboard) -> str:
    """What became of all requests: why there are fewer versions than retrains and first models."""
    done = board.outcomes
    asked = board.retrains.total()
    parts = [
        f"{done['published']:,} published",
        f"{done['rejected']:,} rejected (worse on the newest flights)",
        f"{done['superseded']:,} superseded (by a newer request or version)",
    ]
    if done["failed"]:
        parts.append(f"{done['failed']:,} failed")
    left = asked + board.commanded - done.total()
    if left > 0:
        parts.append(f"{left:,} open at the end")
    return (
        f"{counted(asked, 'retrain')} and {counted(board.commanded, 'first model')} asked for: "
        + ", ".join(parts)
    )
