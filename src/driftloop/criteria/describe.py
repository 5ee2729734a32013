"""What people should know of a criterion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from driftloop.criteria.contract import Criterion, Family


@dataclass(frozen=True, slots=True)
class Description:
    """A criterion as `docs/criteria.md` tells of it, beside the figures of `docs/criteria.json`.

    Attributes:
        make: Makes it from its params.
        family: As `Criterion.family`.
        finds: What it compares, in a few words.
        formula: Statistic and effect.
        source: Paper or textbook.
        calibrated: Whether it has a p-value; one without votes by its effect alone.
        floor: Effect from which on a criterion without a p-value votes, where the policy names
            none.
    """

    make: Callable[..., Criterion]
    family: Family
    finds: str
    formula: str
    source: str
    calibrated: bool = True
    floor: float = 0.0
