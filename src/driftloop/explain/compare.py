"""Two events, field by field: numbers count as the same to a relative tolerance."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from driftloop.explain.verdict import Difference
from driftloop.messages import Event, Evidence, RetrainRequested

TOLERANCE = 1e-9
"""Relative difference up to which two numbers are the same: of another processor or library."""


def differences(
    recorded: Event, recomputed: Event, *, skip: frozenset[str] = frozenset()
) -> list[Difference]:
    """What two events say otherwise.

    Args:
        recorded: As it was written.
        recomputed: As it came out again.
        skip: Fields that do not count.

    Returns:
        A difference a value, with its place; empty where they are the same. A metric that only one
        of them knows does not count: another release may have added it.
    """
    old, new = msgspec.to_builtins(recorded), msgspec.to_builtins(recomputed)
    found: list[Difference] = []
    for name in [name for name in old if name not in skip]:
        if name == "metrics" and isinstance(recorded, Evidence):
            both = old[name].keys() & new[name].keys()
            _walk({k: old[name][k] for k in both}, {k: new[name][k] for k in both}, name, found)
        else:
            _walk(old[name], new.get(name), name, found)
    return found


def same_numbers(first: float, second: float) -> bool:
    """Whether two numbers are the same within `TOLERANCE`."""
    return math.isclose(first, second, rel_tol=TOLERANCE, abs_tol=1e-15)


def exact(recorded: RetrainRequested, recomputed: RetrainRequested) -> bool:
    """Whether two requests are the same bit for bit."""
    return msgspec.json.encode(recorded) == msgspec.json.encode(recomputed)


def _walk(old: Any, new: Any, place: str, found: list[Difference]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            _walk(old.get(name), new.get(name), f"{place}.{name}", found)
        return
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            found.append(Difference(f"{place}, how many", str(len(old)), str(len(new))))
            return
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            _walk(one, other, f"{place}[{index}]", found)
        return
    numbers = (
        isinstance(old, int | float)
        and isinstance(new, int | float)
        and not isinstance(old, bool)
        and not isinstance(new, bool)
    )
    if old == new or (numbers and same_numbers(old, new)):
        return
    found.append(Difference(place, _text(old), _text(new)))


def _text(value: Any) -> str:
    return "none" if value is None else repr(value) if isinstance(value, float) else str(value)
