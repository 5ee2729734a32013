"""What a simulation hands on: the losses of every policy on every stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from driftloop.backtest.result import Curve, Failure, StreamScore

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

CURVE_INTERVALS = 60


@dataclass(frozen=True, slots=True)
class StreamRun:
    """One stream under one policy, as the simulation leaves it.

    Attributes:
        score: Its name, retrains, rejected, retrained_at, seconds and trained; the rest is computed
            here.
        at: (n,) event times of the scored records, ms.
        losses: (n,) their losses; nan where there is none.
        correct: (n,) whether the class was right, or None for regression.
    """

    score: StreamScore
    at: Ints
    losses: Floats
    correct: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """One policy on all streams.

    Attributes:
        name: As given, as ``reducible(20)``.
        streams: One by one; the same ones, with the same records, under every policy.
    """

    name: str
    streams: Sequence[StreamRun]


def common_streams(runs: Sequence[PolicyRun]) -> tuple[list[PolicyRun], list[Failure]]:
    """Every policy with the streams that all have, in one order, and the others as failures."""
    if not runs:
        return [], []
    sizes = [{stream.score.stream: len(stream.losses) for stream in run.streams} for run in runs]
    names = sorted({name for size in sizes for name in size})
    lost = []
    for name in names:
        missing = [run.name for run, size in zip(runs, sizes, strict=True) if name not in size]
        if missing:
            lost.append(Failure(stream=name, why=f"did not run under {', '.join(missing)}"))
        elif len({size[name] for size in sizes}) > 1:
            lost.append(Failure(stream=name, why="other records under some policies"))
    out = {failure.stream for failure in lost}
    kept = []
    for run in runs:
        inside = [stream for stream in run.streams if stream.score.stream not in out]
        kept.append(PolicyRun(run.name, sorted(inside, key=lambda stream: stream.score.stream)))
    return kept, lost


def span_of(runs: Sequence[PolicyRun]) -> tuple[int, int]:
    """Event times of the first and the last record, ms; zeros without any."""
    times = [stream.at for stream in (runs[0].streams if runs else ()) if len(stream.at)]
    if not times:
        return 0, 0
    return min(int(at.min()) for at in times), max(int(at.max()) for at in times)


def curve_of(run: PolicyRun, first: int, last: int) -> Curve:
    """Mean loss and retrains of all streams in `CURVE_INTERVALS` equal intervals of event time."""
    span = max(last - first, 1)
    sums, counts = np.zeros(CURVE_INTERVALS), np.zeros(CURVE_INTERVALS)
    retrains = np.zeros(CURVE_INTERVALS, np.int64)

    def interval(times: Ints) -> Ints:
        index = (times - first) * CURVE_INTERVALS // span
        return np.clip(index, 0, CURVE_INTERVALS - 1)

    for stream in run.streams:
        there = np.isfinite(stream.losses)
        index = interval(np.asarray(stream.at, np.int64))[there]
        sums += np.bincount(index, weights=stream.losses[there], minlength=CURVE_INTERVALS)
        counts += np.bincount(index, minlength=CURVE_INTERVALS)
        decided = interval(np.asarray(stream.score.retrained_at, np.int64))
        retrains += np.bincount(decided, minlength=CURVE_INTERVALS)
    middles = first + (np.arange(CURVE_INTERVALS) + 0.5) * span / CURVE_INTERVALS
    return Curve(
        policy=run.name,
        at=middles.astype(np.int64).tolist(),
        loss=[float(s / c) if c else None for s, c in zip(sums, counts, strict=True)],
        retrains=retrains.tolist(),
    )
