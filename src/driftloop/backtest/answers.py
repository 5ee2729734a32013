"""Which retrains answer which known drifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of the drifts of a stream.

    Attributes:
        delays: Event time from each answered drift to its answer, ms.
        missed: Drifts without an answer.
        false: Retrains that no drift explains.
    """

    delays: list[int]
    missed: int
    false: int


def answers(
    drifts: Sequence[int], retrains: Sequence[int], *, span: tuple[int, int], horizon: int
) -> Answers:
    """Match retrains with drifts.

    A drift at t is answered by the first retrain in [t, t + horizon), before the next drift of the
    stream. Further retrains in that stretch are explained by it too (a model may have to be
    trained again as records of the new kind come in); all others are false. A drift outside the
    scored span asks for no answer, though it explains retrains.

    Args:
        drifts: Event times, ms, in any order.
        retrains: Event times of the decisions, ms, in any order.
        span: Event times of the first and the last scored record, ms.
        horizon: ms, > 0.

    >>> answers([100, 500], [120, 130, 300], span=(0, 900), horizon=150)
    Answers(delays=[20], missed=1, false=1)
    """
    times = sorted(set(drifts))
    left = sorted(retrains)
    delays, missed, explained = [], 0, 0
    for index, drift in enumerate(times):
        end = drift + horizon
        if index + 1 < len(times):
            end = min(end, times[index + 1])
        inside = [at for at in left if drift <= at < end]
        explained += len(inside)
        if not span[0] <= drift <= span[1]:
            continue
        if inside:
            delays.append(inside[0] - drift)
        else:
            missed += 1
    return Answers(delays, missed, len(left) - explained)
