"""Runs of a backtest drawn from seeded random numbers, as the simulation would leave them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from driftloop.backtest.result import Baseline, Failure, Result, StreamScore
from driftloop.backtest.summary import Facts, PolicyRun, StreamRun, summarise

DAY = 86_400_000
BEGIN = 1_359_676_800_000  # 1 February 2013

FACTS = Facts(
    data="flights/",
    task="regression",
    loss="absolute",
    model="linear",
    created_at=1_764_000_000_000,
    warmup=700,
    latency=3_600_000,
    seed=7,
    seconds=83.0,
    notes=["Guessed the task: regression, as y has 412 distinct numbers."],
)

POLICIES = {
    "never": (0, 0.0),
    "always": (48, 0.0),
    "periodic(7d)": (47, 0.0),
    "periodic(14d)": (23, 0.0),
    "periodic(28d)": (11, 0.0),
    "periodic(91d)": (3, 0.0),
    "reducible(5)": (14, 1.5),
    "reducible(20)": (8, 2.5),
    "reducible(80)": (4, 7.0),
    "mlma(0.1)": (4, 16.0),
    "mlma(1)": (7, 11.0),
    "vote(2)": (9, 14.0),
    "detector(adwin)": (13, 9.0),
    "multi-criteria(2)": (5, 19.0),
}
"""Retrains a stream over the history, and days from a drift to the retrain that answers it."""

JUMPS = 6
"""Drifts of a stream, at places of its own."""


def run(
    name: str,
    retrains: int,
    lag: float,
    *,
    streams: int = 50,
    records: int = 400,
    days: int = 334,
    drift: float = 5.0,
    seed: int = 0,
) -> PolicyRun:
    """Losses of models that fit until the next of a stream's jumps; the noise is shared."""
    made = []
    for number in range(streams):
        shared = np.random.default_rng([seed, number])
        at = np.sort(shared.integers(0, days * DAY, records)) + BEGIN
        noise = shared.gamma(4.0, 1.6, records)
        jumps = np.sort(shared.integers(days * DAY // 20, days * DAY, JUMPS)) + BEGIN
        sizes = drift * shared.normal(0.0, 0.3 + number % 5 / 5, JUMPS)
        level = np.concatenate([[0.0], np.cumsum(sizes)])
        if name.startswith(("periodic", "always")):
            retrained = (np.arange(1, retrains + 1) * days * DAY // (retrains + 1)) + BEGIN
        else:
            largest = np.argsort(-np.abs(sizes))[: min(retrains, JUMPS)]
            late = jumps[largest] + np.int64(lag * DAY) + shared.integers(0, DAY, len(largest))
            more = shared.integers(0, days * DAY, max(0, retrains - JUMPS)) + BEGIN
            retrained = np.sort(np.concatenate([late, more]).astype(np.int64))
            retrained = retrained[retrained < BEGIN + days * DAY]
        last = np.concatenate([[BEGIN], retrained])[np.searchsorted(retrained, at, side="right")]
        moved = level[np.searchsorted(jumps, at)] - level[np.searchsorted(jumps, last)]
        losses = noise + np.abs(moved)
        score = StreamScore(
            stream=f"flights.{_airport(number)}",
            records=0,
            loss=None,
            retrains=len(retrained),
            rejected=len(retrained) // 6,
            retrained_at=[int(t) for t in retrained],
            seconds=0.011 * len(retrained),
            trained=2000 * len(retrained),
        )
        made.append(StreamRun(score, at.astype(np.int64), losses.astype(np.float32)))
    return PolicyRun(name, made)


def example(names: Sequence[str] = tuple(POLICIES), **varied: float) -> Result:
    """A whole result: fifty streams that drift with the season."""
    runs = [run(name, *POLICIES[name], **varied) for name in names]  # type: ignore[arg-type]
    return summarise(
        runs,
        FACTS,
        baseline=Baseline(name="last value", loss=11.9),
        failures=[Failure(stream="flights.HNL", why="line 41, column y: a number, got 'n/a'")],
    )


def _airport(number: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[number % 26] + letters[(number * 7 + 3) % 26] + letters[number // 26 * 5 + 9]


def constant(name: str, losses: Sequence[float], retrained: Sequence[int] = ()) -> PolicyRun:
    """One stream with the losses given, a record a day."""
    at = BEGIN + np.arange(len(losses), dtype=np.int64) * DAY
    score = StreamScore(
        stream="s", records=0, loss=None, retrains=len(retrained), retrained_at=list(retrained)
    )
    return PolicyRun(name, [StreamRun(score, at, np.asarray(losses, np.float64))])


NAN = math.nan
