"""What the criteria say of a closed window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from driftloop.detection.outputs import Closed
from driftloop.messages import Ground


@dataclass(slots=True)
class Tested:
    """What the criteria say of a closed window.

    Attributes:
        window: The window.
        kind: ``loss`` or ``features``.
        results: Every criterion that was computed.
        metrics: Means and rates for evidence and status.
        retrain: Whether the policy's own criterion asks for a new model.
        shifted: Whether features have shifted.
        saving: Loss that a newer model would save on a window's worth of records, ≥ 0.
        p_value: Of what the policy decides by; None where it has none on this window.
        training: Offset ranges to train on; None for all of the window's.
        e_value: The same as evidence that may be multiplied over windows; None where it has none.
    """

    __test__: ClassVar[bool] = False  # pytest collects classes by the prefix Test

    window: Closed
    kind: str
    results: list[Ground]
    metrics: dict[str, float | None] = field(default_factory=dict)
    retrain: bool = False
    shifted: bool = False
    saving: float = 0.0
    p_value: float | None = None
    training: list[str] | None = None
    e_value: float | None = None
