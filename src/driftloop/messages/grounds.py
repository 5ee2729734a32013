"""What events are made of: grounds, costs, times."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from driftloop.messages.ranges import RangeText

EventTime = Annotated[int, msgspec.Meta(description="Milliseconds since the epoch, UTC.")]
Family = Literal["loss", "features", "score", "policy", "schedule", "command", "fleet"]


class Ground(msgspec.Struct, kw_only=True, frozen=True):
    """What one criterion found on one window.

    Attributes:
        criterion: Its name, as ``reducible``, ``mlma``, ``ks``, ``adwin``.
        family: ``loss``, ``features`` or ``score``; ``policy`` for several of them together;
            ``schedule``, ``command`` or ``fleet``.
        statistic: The test statistic, or null.
        p_value: Calibrated p-value, or null where the criterion has none.
        effect: Effect size in the criterion's own unit, or null.
        threshold: What statistic or p-value was compared with, or null.
        rejected: Whether the criterion speaks for drift.
        n: Records of the window that counted.
        n_effective: The same, corrected for autocorrelation, or null.
        window: Offset ranges of the window.
        reference: Offset ranges of the reference; empty where it is online.
        detail: Feature name, reason for no verdict, or who commanded and why.
    """

    criterion: str
    family: Family
    statistic: float | None = None
    p_value: float | None = None
    effect: float | None = None
    threshold: float | None = None
    rejected: bool = False
    n: int = 0
    n_effective: float | None = None
    window: list[RangeText] = []
    reference: list[RangeText] = []
    detail: str = ""


class Cost(msgspec.Struct, kw_only=True, frozen=True):
    """What a training took: its share of the batch's seconds, its records, and the device."""

    seconds: float
    records: int
    device: str
