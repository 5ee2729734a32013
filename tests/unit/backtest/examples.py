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
    "periodic(7d)": (47, 0.01),
    "periodic(14d)": (23, 0.02),
    "periodic(28d)": (11, 0.03),
    "periodic(91d)": (3, 0.1),
    "reducible(5)": (14, 0.02),
    "reducible(20)": (9, 0.05),
    "reducible(80)": (4, 0.1),
    "mlma(0.1)": (5, 0.5),
    "mlma(1)": (9, 0.3),
    "vote(2)": (7, 0.7),
    "detector(adwin)": (13, 0.5),
    "multi-criteria(2)": (6, 0.6),
}
"""Retrains a stream over the history, and how much of the drift's loss remains beside its age."""


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
    """Losses that grow with the season's distance since the last retrain; the noise is shared."""
    made = []
    for number in range(streams):
        shared = np.random.default_rng([seed, number])
        at = np.sort(shared.integers(0, days * DAY, records)) + BEGIN
        noise = shared.gamma(4.0, 1.6, records)
        strength = drift * shared.uniform(-0.1, 2.0)
        own = np.random.default_rng([seed, number, len(name), retrains])
        share = np.full(days, 1.0)
        count = retrains
        if retrains and not name.startswith(("periodic", "always")):
            share = np.abs(np.diff(np.cos(np.arange(days + 1) / 58.0)))  # where it drifts
            count = round(retrains * strength / drift) + int(own.integers(0, 2))
        quantiles = (np.arange(max(count, 0)) + 0.7) / max(count, 1)
        where = np.interp(quantiles, np.cumsum(share) / share.sum(), np.arange(1, days + 1))
        retrained = (where * DAY).astype(np.int64) + BEGIN
        last = np.concatenate([[BEGIN], retrained])[np.searchsorted(retrained, at)]
        moved = np.abs(np.cos(at / DAY / 58.0) - np.cos(last / DAY / 58.0))
        losses = noise + strength * (moved + lag * 0.15 * (1 if retrains else 0))
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
    return letters[number % 26] + letters[(number * 7 + 3) % 26] + letters[(number * 11 + 5) % 26]


def constant(name: str, losses: Sequence[float], retrained: Sequence[int] = ()) -> PolicyRun:
    """One stream with the losses given, a record a day."""
    at = BEGIN + np.arange(len(losses), dtype=np.int64) * DAY
    score = StreamScore(
        stream="s", records=0, loss=None, retrains=len(retrained), retrained_at=list(retrained)
    )
    return PolicyRun(name, [StreamRun(score, at, np.asarray(losses, np.float64))])


NAN = math.nan
