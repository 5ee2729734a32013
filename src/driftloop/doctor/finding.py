"""A finding of the doctor's."""

from __future__ import annotations

from typing import Literal, NamedTuple

State = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        check: What was looked at.
        state: ``ok``; ``warn``: it works, but somebody should know; ``fail``: it does not work.
        found: What was found, with its figures.
        advice: What to do; empty where nothing is to be done.
    """

    check: str
    state: State
    found: str
    advice: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def warn(check: str, found: str, advice: str) -> Finding:
    """It works, but somebody should know."""
    return Finding(check, "warn", found, advice)


def fail(check: str, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, "fail", found, advice)


def some(names: list[str], most: int = 3) -> str:
    """The first few of some names, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
