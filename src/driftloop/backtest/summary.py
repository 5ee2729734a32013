"""From the losses of every policy on every stream to the result of a backtest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

import driftloop
from driftloop.backtest.advice import advise
from driftloop.backtest.answers import answers
from driftloop.backtest.choice import pays
from driftloop.backtest.frontier import pareto, points
from driftloop.backtest.intervals import MIN_STREAMS, Interval, by_blocks, by_streams
from driftloop.backtest.names import complexity, family_and_threshold
from driftloop.backtest.result import (
    Baseline,
    Failure,
    PolicyScore,
    Result,
    StreamScore,
)
from driftloop.backtest.runs import PolicyRun, StreamRun, common_streams, curve_of, span_of
from driftloop.settings.policy import Price

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

HORIZON_SHARE = 0.1
"""Of the scored span: the horizon of a drift's answer where none is given."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a result says of itself; the meanings are those of `Result`."""

    data: str
    task: str
    loss: str
    model: str
    mode: Literal["simulated", "recorded"] = "simulated"
    created_at: int = 0
    latency: int = 0
    delay: int = 0
    warmup: int = 0
    seed: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def summarise(
    runs: Sequence[PolicyRun],
    facts: Facts,
    *,
    baseline: Baseline | None = None,
    drifts: Mapping[str, Sequence[int]] | None = None,
    horizon: int | None = None,
    price: Price | None = None,
    own: Mapping[str, Any] | None = None,
    failures: Sequence[Failure] = (),
) -> Result:
    """Score all policies and choose one.

    A policy's loss is the mean over all records of all streams. What it saves against ``never`` is
    the mean paired difference, with the interval of `driftloop.backtest.intervals`: by streams
    from ten streams on, else by blocks of consecutive records. A stream that one of the policies
    lacks, or has with another number of records, is left out of all, and named in the failures.
    The money of a policy is price of a retrain x retrains + value of loss x sum of its losses; with
    ``price.measured`` the seconds of its retrains are those that they took.

    Args:
        runs: Every policy.
        facts: What the result says of itself.
        baseline: The trivial prediction on the same records.
        drifts: Event times of the known drifts of each stream, ms; a stream without any is named
            by an empty list or not at all. None where they are not known. See
            `driftloop.backtest.answers` for the rule.
        horizon: Event time after a drift in which a retrain answers it, ms, > 0; by default
            `HORIZON_SHARE` of the scored span.
        price: What makes retrains and losses comparable, the same for all policies.
        own: The tables of ``[policies]``, for the policies that are named by them.
        failures: Streams that could not be read or run.
    """
    runs, lost = common_streams(runs)
    first, last = span_of(runs)
    if drifts is not None and horizon is None:
        horizon = max(1, round((last - first) * HORIZON_SHARE))
    comparison = _Comparison(runs)
    scores = [
        comparison.score(
            run,
            drifts=drifts,
            horizon=horizon if drifts is not None else None,
            price=price,
            own=own,
        )
        for run in runs
    ]
    scores = _with_gains(sorted(scores, key=_order))
    periods = [point for point in points(scores) if point.family == "periodic"]
    streams = runs[0].streams if runs else []
    result = Result(
        version=driftloop.__version__,
        created_at=facts.created_at,
        data=facts.data,
        notes=list(facts.notes),
        mode=facts.mode,
        task=facts.task,
        loss=facts.loss,
        model=facts.model,
        records=sum(int(np.isfinite(stream.losses).sum()) for stream in streams),
        first_ts=first,
        last_ts=last,
        latency=facts.latency,
        delay=facts.delay,
        warmup=facts.warmup,
        horizon=horizon if drifts is not None else None,
        seed=facts.seed,
        seconds=facts.seconds,
        policies=scores,
        baseline=baseline,
        best_periodic=[point.name for point in pareto(periods)],
        failures=[*failures, *lost],
    )
    advice = advise(result)
    shown = dict.fromkeys(["never", "always", *([advice.policy] if advice else [])])
    by_name = {run.name: run for run in runs}
    curves = [curve_of(by_name[name], first, last) for name in shown if name in by_name]
    return msgspec.structs.replace(result, advice=advice, curves=curves)


class _Comparison:
    """Every policy against ``never``."""

    def __init__(self, runs: Sequence[PolicyRun]) -> None:
        self._never = next((run for run in runs if run.name == "never"), None)
        self._order: npt.NDArray[np.intp] | None = None

    def score(
        self,
        run: PolicyRun,
        *,
        drifts: Mapping[str, Sequence[int]] | None,
        horizon: int | None,
        price: Price | None,
        own: Mapping[str, Any] | None,
    ) -> PolicyScore:
        streams = [_stream_score(stream, drifts, horizon) for stream in run.streams]
        family, threshold = family_and_threshold(run.name, own)
        total, records = _sum([stream.losses for stream in run.streams])
        retrains = sum(stream.retrains for stream in streams)
        delays = [delay for stream in streams for delay in stream.delays]
        saved = self._saved(run)
        cost = None
        if price is not None and records:
            took = sum(stream.seconds for stream in streams)
            seconds = took if price.measured else price.seconds * retrains
            cost = price.gpu_second * seconds + price.loss * total
        known = drifts is not None
        return PolicyScore(
            name=run.name,
            family=family,
            threshold=threshold,
            loss=total / records if records else None,
            accuracy=_accuracy(run.streams),
            saved=_known(saved.mean),
            saved_low=_known(saved.low),
            saved_high=_known(saved.high),
            retrains=retrains,
            retrains_per_stream=retrains / len(streams) if streams else 0.0,
            rejected=sum(stream.rejected for stream in streams),
            failed=sum(stream.failed for stream in streams),
            seconds=sum(stream.seconds for stream in streams),
            trained=sum(stream.trained for stream in streams),
            delay=float(np.median(delays)) if delays else None,
            missed=sum(stream.missed or 0 for stream in streams) if known else None,
            false=sum(stream.false or 0 for stream in streams) if known else None,
            cost=cost,
            streams=streams,
        )

    def _saved(self, run: PolicyRun) -> Interval:
        if self._never is None:
            return Interval(math.nan, math.nan, math.nan)
        differences = [
            np.asarray(never.losses, np.float64) - np.asarray(stream.losses, np.float64)
            for never, stream in zip(self._never.streams, run.streams, strict=True)
        ]
        sums = [_sum([d]) for d in differences]
        sums = [(total, count) for total, count in sums if count]
        if len(sums) >= MIN_STREAMS:
            totals, counts = np.array(sums, np.float64).T
            return by_streams(totals, counts)
        if not sums:
            return Interval(math.nan, math.nan, math.nan)
        if self._order is None:
            times = np.concatenate([stream.at for stream in self._never.streams])
            self._order = np.argsort(times, kind="stable")
        return by_blocks(np.concatenate(differences), self._order)


def _stream_score(
    run: StreamRun, drifts: Mapping[str, Sequence[int]] | None, horizon: int | None
) -> StreamScore:
    total, records = _sum([run.losses])
    score = msgspec.structs.replace(
        run.score,
        records=records,
        loss=total / records if records else None,
        accuracy=_accuracy([run]),
    )
    if drifts is None or horizon is None:
        return score
    known = drifts.get(score.stream, ())
    span = (int(run.at.min()), int(run.at.max())) if len(run.at) else (0, -1)
    found = answers(known, score.retrained_at, span=span, horizon=horizon)
    return msgspec.structs.replace(
        score, delays=found.delays, missed=found.missed, false=found.false
    )


def _sum(parts: Sequence[Floats]) -> tuple[float, int]:
    """Sum of the finite values, and how many they are."""
    total, count = 0.0, 0
    for part in parts:
        there = np.isfinite(part)
        total += float(np.sum(part, where=there, dtype=np.float64))
        count += int(there.sum())
    return total, count


def _accuracy(streams: Sequence[StreamRun]) -> float | None:
    right = [stream.correct for stream in streams if stream.correct is not None]
    total, count = _sum([np.asarray(part, np.float64) for part in right])
    return total / count if count else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _order(score: PolicyScore) -> tuple[float, float, int, str]:
    loss = math.inf if score.loss is None else score.loss
    return loss, score.retrains_per_stream, complexity(score.family), score.name


def _with_gains(scores: list[PolicyScore]) -> list[PolicyScore]:
    never = next((score for score in scores if score.name == "never"), None)
    always = next((score for score in scores if score.name == "always"), None)
    if never is None or always is None or not pays(always, never):
        return scores
    whole = always.saved or math.nan
    return [
        score
        if score.saved is None
        else msgspec.structs.replace(score, gain_share=score.saved / whole)
        for score in scores
    ]
