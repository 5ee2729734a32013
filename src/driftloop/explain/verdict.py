"""Whether a decision comes out the same, as a part of an explanation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DIGITS = 12
"""Digits of an id that are told: enough for `driftloop explain`."""

Outcome = Literal["same", "different", "partly", "not-possible", "from-event"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that came out otherwise.

    Attributes:
        place: Where it stands, as ``grounds[0].statistic``.
        recorded: What the event says.
        recomputed: What the same code makes of the same records.
    """

    place: str
    recorded: str
    recomputed: str


@dataclass(frozen=True, slots=True)
class FleetRule:
    """A step of the fleet's verdict, computed again from the numbers in the event.

    Attributes:
        rule: ``fleet-control``, ``budget`` or ``incident``.
        told: The numbers and the verdict in a sentence.
        holds: Whether the numbers lead to what the event says.
    """

    rule: str
    told: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Check:
    """Whether the decision comes out the same.

    Attributes:
        outcome: ``same``; ``different``, with `differences`; ``partly``: the numbers that can be
            computed are the same, and something is missing; ``not-possible``; or ``from-event``:
            it rests on the event's own numbers, not on records.
        summary: The outcome in a sentence.
        recomputed_id: Id that the event gets when it is decided again, or null.
        differences: Values that came out otherwise.
        missing: What could not be had, and what to do about it.
        notes: What else the verdict rests on.
        fleet: The fleet's steps, computed again.
        began: From where records were read again.
        records: How many records were read again.
        windows: How many closed windows they led to.
        ranges: Offset ranges that were read again.
        evidence: Windows whose recorded evidence was compared, and those that came out the same.
        otherwise: Ids of the evidence of the others, the first ones.
    """

    outcome: Outcome
    summary: str
    recomputed_id: str | None = None
    differences: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fleet: tuple[FleetRule, ...] = ()
    began: str = ""
    records: int = 0
    windows: int = 0
    ranges: tuple[str, ...] = ()
    evidence: tuple[int, int] = (0, 0)
    otherwise: tuple[str, ...] = ()

    @property
    def compared(self) -> str:
        """Windows whose evidence was compared, in words; empty where none was."""
        known, same = self.evidence
        if not known:
            return ""
        told = f"of {known:,} with recorded evidence {same:,} came out the same"
        if not self.otherwise:
            return told
        more = " …" if known - same > len(self.otherwise) else ""
        return f"{told}, not {', '.join(one[:DIGITS] for one in self.otherwise)}{more}"
