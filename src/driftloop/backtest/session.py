"""A backtest from its options to its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from driftloop.backtest.baseline import baseline_name
from driftloop.backtest.drifts import Drift
from driftloop.backtest.keep import Keep
from driftloop.backtest.outcome import Outcome, Plan, StreamFailure, StreamOutcome
from driftloop.backtest.policies import profiles_of
from driftloop.backtest.result import Baseline, Failure, Result, StreamScore
from driftloop.backtest.run import LEAST_WARMUP, run_streams
from driftloop.backtest.runs import PolicyRun, StreamRun
from driftloop.backtest.source import Source
from driftloop.backtest.summary import Facts, summarise
from driftloop.errors import DataError, DriftloopError
from driftloop.records.columns import Floats
from driftloop.settings import Profile
from driftloop.settings.base import milliseconds
from driftloop.settings.fleet import Fleet
from driftloop.settings.profile import CycleWindow

WARMUP_SHARE = 0.1
"""Of a stream's labelled records: those before its first model, where no number is given."""


@dataclass(slots=True)
class Options:
    """What is to be tried.

    Attributes:
        policies: By name, as ``--policy`` takes them.
        own: The tables of ``[policies]``.
        latency_ms: Event time from a decision to its model.
        delay_ms: Event time from a record to its label.
        warmup: Labelled records before the first model; None: what the profile says, else a tenth
            of each stream's.
        season: Records of a season for the trivial prediction; None: from the profile's cycle.
        recorded: Decide on the predictions in the data, and train nothing.
        seed: Of all that is drawn.
        jobs: Processes beside each other.
        keep: Folder of finished streams; None keeps none.
        drifts: Known drifts of each stream; None where they are not known.
    """

    policies: Sequence[str]
    own: Mapping[str, Any] = field(default_factory=dict)
    latency_ms: float = 0.0
    delay_ms: float = 0.0
    warmup: int | None = None
    season: int | None = None
    recorded: bool = False
    seed: int = 0
    jobs: int = 1
    keep: Path | None = None
    drifts: Mapping[str, Sequence[Drift]] | None = None


def backtest(
    source: Source, options: Options, progress: Callable[[Outcome], None] = lambda _: None
) -> Result:
    """Try policies on all streams of a source.

    Args:
        source: The records, with the profile that says what they mean.
        options: What is tried.
        progress: Called with each stream that is done.

    Raises:
        SettingsError: A policy's name is not understood.
        DataError: No stream could be read.
    """
    began = time.perf_counter()
    notes = list(source.notes)
    given = bool(options.recorded or options.warmup or source.profile.training.initial)
    profile, season = _prepared(source, options, notes)
    plan = Plan(
        profiles_of(profile, options.policies, options.own),
        latency_ms=options.latency_ms,
        delay_ms=options.delay_ms,
        recorded=options.recorded,
        seed=options.seed,
        season=season,
        warmup_share=0.0 if given else WARMUP_SHARE,
    )
    notes += _measured(plan)
    keep = Keep(options.keep) if options.keep else None
    done: list[StreamOutcome] = []
    failures: list[Failure] = []
    for outcome in run_streams(source, source.streams, plan, jobs=options.jobs, keep=keep):
        if isinstance(outcome, StreamFailure):
            failures.append(Failure(stream=outcome.stream, why=outcome.why))
        else:
            done.append(outcome)
        progress(outcome)
    done.sort(key=lambda one: one.stream)
    failures.sort(key=lambda one: one.stream)
    scored = {one.stream: _scored(one) for one in done}
    for one in done:
        if not scored[one.stream].any():
            why = "no record with a label and a prediction: too few records for a first model"
            failures.append(Failure(stream=one.stream, why=_first_failure(one) or why))
    done = [one for one in done if scored[one.stream].any()]
    notes += _told(done)
    if done and not given:  # of the configuration that is written
        _learn_warmup(source, done)
    facts = Facts(
        data=source.text,
        task=profile.task,
        loss=profile.loss,
        model=profile.model.kind,
        mode="recorded" if options.recorded else "simulated",
        created_at=round(time.time() * 1000),
        latency=round(options.latency_ms),
        delay=round(options.delay_ms),
        warmup=profile.training.initial if given and not options.recorded else 0,
        seed=options.seed,
        seconds=time.perf_counter() - began,
        notes=notes,
    )
    return summarise(
        [
            PolicyRun(name, [_run(one, name, scored[one.stream]) for one in done])
            for name in plan.profiles
        ],
        facts,
        baseline=_baseline(profile, season, done, scored),
        drifts=_places(options.drifts, done),
        price=profile.policy.price,
        own=options.own,
        failures=failures,
    )


def _prepared(source: Source, options: Options, notes: list[str]) -> tuple[Profile, int]:
    """The profile with a first model, and the records of a season."""
    profile = source.profile
    columns, why = None, ""
    for name in source.streams:
        try:
            columns = source.read(name).labelled
            break
        except DriftloopError as error:
            why = why or f"; {name}: {error}"
    if columns is None:
        raise DataError(f"{source.text}: no stream could be read{why}")
    features = profile.features
    if not options.recorded and not (features.numeric or features.categorical):
        raise DataError(
            f"{source.text}: no features to train on: add columns, name them in features of a "
            "profile, or give predictions and use --recorded"
        )
    if options.recorded and not (columns.has_prediction | ~np.isnan(columns.loss)).any():
        raise DataError(
            f"{source.text}: --recorded needs predictions: name their column by fields.y_pred, or "
            "that of the losses by fields.loss"
        )
    if profile.fleet.waits:
        notes.append("the fleet's own control, budget and incidents are not simulated")
        profile = profile.model_copy(update={"fleet": Fleet()})
    if not options.recorded:
        warmup = options.warmup or profile.training.initial
        if not warmup:
            warmup = LEAST_WARMUP * 4  # of the configuration that is written; here by each stream
            most = profile.training.records
            notes.append(
                "the first model of a stream is trained on the first tenth of its records"
                + (f", at most {most}" if most else "")
            )
        training = profile.training.model_copy(update={"initial": warmup})
        profile = profile.model_copy(update={"training": training})
    source.profile = profile
    return profile, options.season or _season(profile, columns.ts)


def _measured(plan: Plan) -> list[str]:
    """What a policy whose cost is measured rests on, where there is one."""
    prices = [one.policy.price for one in plan.profiles.values()]
    if not any(price is not None and price.measured for price in prices):
        return []
    if plan.recorded:
        return ["nothing is trained: a retrain costs what price.seconds says"]
    told = (
        "price.measured: retrains cost what they take on this machine, where many models are "
        "trained together; another run may decide otherwise"
    )
    return [told]


def _learn_warmup(source: Source, done: Sequence[StreamOutcome]) -> None:
    """Take the records of the streams' first models, the median, as the profile's own number."""
    first = [
        decision.records
        for one in done
        for decision in next(iter(one.tracks.values())).decisions[:1]
        if decision.request.reason == "initial" and decision.records
    ]
    if first:
        profile = source.profile
        training = profile.training.model_copy(update={"initial": round(float(np.median(first)))})
        source.profile = profile.model_copy(update={"training": training})


def _season(profile: Profile, ts: Floats) -> int:
    """Records of one of the profile's cycles, on average; 1 where it has none."""
    window = profile.window
    if not isinstance(window, CycleWindow) or window.cycle is None or len(ts) < 2:
        return 1
    span = float(ts[-1] - ts[0])
    return max(1, round((len(ts) - 1) * milliseconds(window.cycle) / span)) if span > 0 else 1


def _scored(one: StreamOutcome) -> npt.NDArray[np.bool_]:
    """Records that have a loss under every policy, (n,)."""
    losses = np.stack([track.losses for track in one.tracks.values()])  # (policies, n)
    return np.asarray(np.isfinite(losses).all(axis=0), np.bool_)


def _first_failure(one: StreamOutcome) -> str:
    """Why a stream never got a model, in words."""
    for track in one.tracks.values():
        for decision in track.decisions:
            if decision.outcome == "failed":
                return decision.detail
    return ""


def _run(one: StreamOutcome, policy: str, scored: Any) -> StreamRun:
    track = one.tracks[policy]
    retrains = [d for d in track.decisions if d.request.reason != "initial"]
    failures = [d.detail for d in retrains if d.outcome == "failed"]
    correct = one.correct.get(policy)
    return StreamRun(
        score=StreamScore(
            stream=one.stream,
            records=int(scored.sum()),
            loss=None,
            retrains=len(retrains),
            rejected=sum(d.outcome == "rejected" for d in retrains),
            failed=len(failures),
            failure=next(iter(failures), ""),
            retrained_at=[d.request.decided_at for d in retrains],
            seconds=sum(d.seconds for d in retrains),
            trained=sum(d.records for d in retrains),
        ),
        at=one.ts[scored].astype(np.int64),
        losses=track.losses[scored],
        correct=None if correct is None else correct[scored] > 0.5,
    )


def _baseline(
    profile: Profile, season: int, done: Sequence[StreamOutcome], scored: Mapping[str, Any]
) -> Baseline | None:
    """The trivial prediction on the records that are scored."""
    if not done:
        return None
    losses = np.concatenate([one.naive[scored[one.stream]] for one in done])
    if not np.isfinite(losses).any():
        return None
    right = [one.naive_correct[scored[one.stream]] for one in done if one.naive_correct is not None]
    return Baseline(
        name=baseline_name(profile, season),
        loss=float(np.nanmean(losses)),
        accuracy=float(np.nanmean(np.concatenate(right))) if right else None,
    )


def _places(
    drifts: Mapping[str, Sequence[Drift]] | None, done: Sequence[StreamOutcome]
) -> dict[str, list[int]] | None:
    """Event times of the known drifts; those of streams that are not known to drift are none."""
    if drifts is None:
        return None
    return {
        one.stream: [
            int(one.ts[place])
            for place in (drift.place(one.ts) for drift in drifts.get(one.stream, ()))
            if place < len(one.ts)
        ]
        for one in done
    }


def _told(done: Sequence[StreamOutcome]) -> list[str]:
    """What was done to records, each thing once, with the number of streams."""
    counts: dict[str, int] = {}
    for one in done:
        for note in one.notes:
            counts[note] = counts.get(note, 0) + 1
    return [note if many == 1 else f"{note} ({many} streams)" for note, many in counts.items()]
