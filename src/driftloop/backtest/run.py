"""Many streams under many policies: read, simulate, score; some streams beside each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

from driftloop.backtest.baseline import naive_predictions
from driftloop.backtest.delay import Arrivals, delayed
from driftloop.backtest.keep import Keep
from driftloop.backtest.outcome import Outcome, Plan, StreamFailure, StreamOutcome, Track
from driftloop.backtest.simulate import Simulation
from driftloop.backtest.source import Source, StreamData
from driftloop.errors import DriftloopError
from driftloop.records import Columns, join
from driftloop.records.columns import Floats
from driftloop.settings import Profile
from driftloop.statistics.losses import compute

LONGEST_TOPIC = 249

LEAST_WARMUP = 50
"""Labelled records before a stream's first model, at least."""

GROUP = 4
"""Streams that a process simulates together, so that their models are trained as one stack."""


def simulate(plan: Plan, data: Sequence[StreamData]) -> list[StreamOutcome]:
    """Replay some streams under all policies, step by step together."""
    arrivals = [_arrivals(plan, one) for one in data]
    simulations = {
        (one.name, policy): Simulation(
            as_topic(one.name),
            policy,
            _fitted(plan, profile, arrived),
            arrived,
            latency_ms=plan.latency_ms,
            recorded=plan.recorded,
            partitions=one.partitions,
        )
        for one, arrived in zip(data, arrivals, strict=True)
        for policy, profile in plan.profiles.items()
    }
    if plan.recorded:
        for simulation in simulations.values():
            for _ in simulation.run():
                pass
    else:
        _with_training(plan, list(simulations.values()))
    return [
        _scored(plan, one, arrived, {p: simulations[one.name, p] for p in plan.profiles})
        for one, arrived in zip(data, arrivals, strict=True)
    ]


def as_topic(stream: str) -> str:
    """A stream's name as Kafka would take it for a topic's: ids and offset ranges hold it.

    >>> as_topic("New York #1")
    'New_York__1'
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", stream)[:LONGEST_TOPIC] or "_"


def _with_training(plan: Plan, simulations: Sequence[Simulation]) -> None:
    from driftloop.backtest.training import SimulatedTrainer  # noqa: PLC0415  # needs torch

    trainer = SimulatedTrainer(plan.profiles, plan.seed)
    going = [(simulation, simulation.run()) for simulation in simulations]
    while going:
        waiting, rest = [], []
        for simulation, steps in going:
            request = next(steps, None)
            if request is not None:
                waiting.append((simulation, request))
                rest.append((simulation, steps))
        if waiting:
            trainer.answer(waiting)
        going = rest


def _arrivals(plan: Plan, data: StreamData) -> Arrivals:
    if plan.delay_ms > 0:
        return delayed(data.columns, plan.delay_ms)
    n = len(data.columns)
    return Arrivals(data.columns, np.arange(n, dtype=np.int64), 0)


def _fitted(plan: Plan, profile: Profile, arrivals: Arrivals) -> Profile:
    """The profile with what depends on the stream's own records.

    Predictions wait for delayed labels however many they are: the delay was asked for.
    """
    changes: dict[str, object] = {}
    if arrivals.waiting > profile.join_capacity:
        changes["join_capacity"] = arrivals.waiting
    if plan.warmup_share:
        training = profile.training
        labelled = int((~np.isnan(arrivals.columns.y)).sum())
        wanted = round(plan.warmup_share * labelled)
        initial = max(min(wanted, training.records or wanted), training.min_records, LEAST_WARMUP)
        changes["training"] = training.model_copy(update={"initial": initial})
    return profile.model_copy(update=changes) if changes else profile


def _scored(
    plan: Plan, data: StreamData, arrivals: Arrivals, simulations: Mapping[str, Simulation]
) -> StreamOutcome:
    """Losses of the labelled records, each at the place of its prediction."""
    labelled = join(arrivals.columns)
    place = _places(arrivals.columns, labelled)
    profile = next(iter(plan.profiles.values()))
    classify = profile.task != "regression"
    own = ~np.isnan(labelled.loss) if plan.recorded else np.zeros(len(labelled), np.bool_)
    tracks: dict[str, Track] = {}
    correct: dict[str, Floats] = {}
    for policy, simulation in simulations.items():
        predicted = simulation.predictions[place]
        losses = compute(profile.loss, labelled.y, predicted)
        tracks[policy] = Track(np.where(own, labelled.loss, losses), simulation.decisions)
        if classify:
            correct[policy] = 1.0 - compute("zero_one", labelled.y, predicted)
    naive = naive_predictions(profile, labelled.y, plan.season)
    return StreamOutcome(
        stream=data.name,
        ts=arrivals.columns.ts[place],
        tracks=tracks,
        correct=correct,
        naive=compute(profile.loss, labelled.y, naive),
        naive_correct=1.0 - compute("zero_one", labelled.y, naive) if classify else None,
        notes=data.notes,
    )


def _places(arrived: Columns, labelled: Columns) -> npt.NDArray[np.intp]:
    """Where among the arrivals the prediction of each labelled record stands, (n,)."""
    key = {
        where: i
        for i, where in enumerate(
            zip(arrived.partitions.tolist(), arrived.offsets.tolist(), strict=True)
        )
    }
    first = zip(labelled.origin_partitions.tolist(), labelled.origin_offsets.tolist(), strict=True)
    last = zip(labelled.partitions.tolist(), labelled.offsets.tolist(), strict=True)
    begun = np.array([key[where] for where in first], np.intp)
    ended = np.array([key[where] for where in last], np.intp)
    # A label may come before its prediction.
    return np.where((arrived.has_features | arrived.has_prediction)[begun], begun, ended)


# Many streams


def run_streams(
    source: Source, streams: Sequence[str], plan: Plan, *, jobs: int = 1, keep: Keep | None = None
) -> Iterator[Outcome]:
    """Simulate streams, group by group; outcomes come as they are done.

    Args:
        source: Where the records come from.
        streams: Which of its streams.
        plan: What is simulated.
        jobs: Processes beside each other.
        keep: Where finished streams are looked for and kept.
    """
    groups = [list(streams[i : i + GROUP]) for i in range(0, len(streams), GROUP)]
    if jobs <= 1 or len(groups) <= 1:
        for group in groups:
            yield from _group(source, group, plan, keep)
        return
    context = get_context("spawn")  # torch and librdkafka do not survive a fork
    with ProcessPoolExecutor(min(jobs, len(groups)), context) as pool:
        futures = [pool.submit(_group, source, group, plan, keep) for group in groups]
        try:
            for future in as_completed(futures):
                yield from future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _group(source: Source, streams: Sequence[str], plan: Plan, keep: Keep | None) -> list[Outcome]:
    out: list[Outcome] = []
    fresh = []
    for name, data in source.read_all(streams):
        if isinstance(data, DriftloopError):
            out.append(StreamFailure(name, str(data)))
            continue
        kept = keep.load(plan, data) if keep else None
        if kept is None:
            fresh.append(data)
        else:
            out.append(kept)
    for data, outcome in zip(fresh, _simulated(plan, fresh), strict=True):
        if keep and isinstance(outcome, StreamOutcome):
            keep.save(plan, data, outcome)
        out.append(outcome)
    return out


def _simulated(plan: Plan, data: Sequence[StreamData]) -> list[Outcome]:
    """Simulate streams together; where that fails, one by one, so that one fails alone."""
    if not data:
        return []
    try:
        return list(simulate(plan, data))
    except DriftloopError as error:
        if len(data) == 1:
            return [StreamFailure(data[0].name, str(error))]
    return [outcome for one in data for outcome in _simulated(plan, [one])]


__all__ = ["run_streams", "simulate"]
