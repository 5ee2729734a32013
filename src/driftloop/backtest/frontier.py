"""The frontier: loss against retrains of each policy family, beside the best fixed period."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from driftloop.backtest.result import PolicyScore


class Point(NamedTuple):
    """One policy in the plane of the frontier.

    Attributes:
        name: Of the policy.
        family: Of the policy.
        threshold: Within the family, or None.
        retrains: Per stream.
        loss: Mean loss.
    """

    name: str
    family: str
    threshold: float | None
    retrains: float
    loss: float


def points(policies: Iterable[PolicyScore]) -> list[Point]:
    """All policies that have a loss, fewest retrains first."""
    found = [
        Point(score.name, score.family, score.threshold, score.retrains_per_stream, score.loss)
        for score in policies
        if score.loss is not None and math.isfinite(score.loss)
    ]
    return sorted(found, key=lambda point: (point.retrains, point.loss, point.name))


def families(of: Iterable[Point]) -> dict[str, list[Point]]:
    """The points of each family, fewest retrains first; families in the order of their names."""
    found: dict[str, list[Point]] = {}
    for point in sorted(of, key=lambda point: (point.family, point.retrains, point.loss)):
        found.setdefault(point.family, []).append(point)
    return found


def pareto(of: Iterable[Point]) -> list[Point]:
    """The points that no other beats: fewer retrains or less loss, and not more of the other.

    Fewest retrains first; of two equal points the first by name.

    >>> a, b, c = Point("a", "x", None, 1, 9), Point("b", "x", None, 2, 9), Point("c", "x", 1, 3, 5)
    >>> [point.name for point in pareto([c, b, a])]
    ['a', 'c']
    """
    best = math.inf
    kept = []
    for point in sorted(of, key=lambda point: (point.retrains, point.loss, point.name)):
        if point.loss < best:
            kept.append(point)
            best = point.loss
    return kept


@dataclass(frozen=True, slots=True)
class EqualPeriod:
    """The fixed period that has the same loss as a policy, chosen in hindsight.

    Attributes:
        retrains: Per stream that it takes, between those of the two neighbours; None where the
            loss is out of the range of the periods that were tried.
        nearest: Name of the rarest period that was tried and reaches the loss, or an empty text.
        told: The same in words.
    """

    retrains: float | None
    nearest: str
    told: str


def equal_period(of: Sequence[Point], loss: float) -> EqualPeriod:
    """Interpolate the frontier of the fixed periods at a loss, linear in log(retrains).

    ``always`` is a fixed period of one window and belongs to it; ``never`` has no logarithm, so a
    loss above that of the rarest period is out of range.

    Args:
        of: All points.
        loss: Mean loss to be reached.
    """
    frontier = [
        point
        for point in pareto(p for p in of if p.family in {"periodic", "always"})
        if point.retrains > 0
    ]
    if not any(point.family == "periodic" for point in of):
        return EqualPeriod(None, "", "No fixed period was tried.")
    if not frontier:
        return EqualPeriod(None, "", "No fixed period that was tried came to a retrain.")
    lowest, rarest = frontier[-1], frontier[0]
    if loss < lowest.loss:
        told = (
            "No fixed period that was tried comes as low, whatever its number of retrains "
            f"(lowest: {lowest.name})."
        )
        return EqualPeriod(None, "", told)
    nearest = next(point for point in frontier if point.loss <= loss)
    if loss > rarest.loss:
        told = f"Even the rarest fixed period that was tried, {rarest.name}, has a lower loss."
        return EqualPeriod(None, rarest.name, told)
    falling = frontier[::-1]  # np.interp wants rising losses
    log = np.interp(
        loss,
        [point.loss for point in falling],
        [math.log(point.retrains) for point in falling],
    )
    retrains = math.exp(float(log))
    told = (
        f"The best fixed period in hindsight needs about {retrains:.3g} retrains a stream for the "
        "same loss."
    )
    return EqualPeriod(retrains, nearest.name, told)
