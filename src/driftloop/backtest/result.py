"""What a backtest found, as `result.json` holds it."""

from __future__ import annotations

from typing import Literal

import msgspec


class StreamScore(msgspec.Struct, kw_only=True, frozen=True):
    """One stream under one policy.

    Attributes:
        stream: Its name.
        records: Labelled records that were scored, those after its first model.
        loss: Their mean loss, or null.
        accuracy: Share of right classes, or null for regression.
        retrains: Retrains after the first model.
        rejected: Of these, challengers that the gate refused.
        failed: Of these, trainings that failed.
        failure: Why the first of them did, or empty.
        retrained_at: Event times of the decisions, ms.
        seconds: Of training.
        trained: Records that models were trained on, each counted every time.
        delays: Event time from each known drift to the retrain that answered it, ms.
        missed: Known drifts without an answer; null where none are known.
        false: Retrains that no known drift explains; null where none are known.
    """

    stream: str
    records: int
    loss: float | None
    accuracy: float | None = None
    retrains: int = 0
    rejected: int = 0
    failed: int = 0
    failure: str = ""
    retrained_at: list[int] = []
    seconds: float = 0.0
    trained: int = 0
    delays: list[int] = []
    missed: int | None = None
    false: int | None = None


class PolicyScore(msgspec.Struct, kw_only=True, frozen=True):
    """One policy over all streams.

    Attributes:
        name: As given, as ``reducible(20)``.
        family: Of its frontier, as ``reducible``.
        threshold: What was varied within the family, or null.
        loss: Mean loss over all records of all streams, or null where none has a loss.
        accuracy: Share of right classes, or null.
        saved: Mean loss that it saves against ``never``, a record; null where that was not run.
        saved_low: Lower end of its 95 % interval, from the differences of the streams or of blocks
            of records; null where they are too few.
        saved_high: Upper end.
        retrains: Over all streams.
        retrains_per_stream: Mean.
        rejected: Challengers that the gate refused.
        failed: Trainings that failed.
        seconds: Of training, over all streams.
        trained: Records trained on.
        gain_share: Share of what ``always`` saves; null where that saves nothing to speak of.
        delay: Median event time from a known drift to its answer, ms, or null.
        missed: Known drifts without an answer, or null.
        false: Retrains that no known drift explains, or null.
        cost: Of the retrains and the loss in money, where prices are known, else null.
        streams: One by one.
    """

    name: str
    family: str
    threshold: float | None = None
    loss: float | None
    accuracy: float | None = None
    saved: float | None = None
    saved_low: float | None = None
    saved_high: float | None = None
    retrains: int
    retrains_per_stream: float
    rejected: int = 0
    failed: int = 0
    seconds: float = 0.0
    trained: int = 0
    gain_share: float | None = None
    delay: float | None = None
    missed: int | None = None
    false: int | None = None
    cost: float | None = None
    streams: list[StreamScore] = []


class Baseline(msgspec.Struct, kw_only=True, frozen=True):
    """The trivial prediction on the same records.

    Attributes:
        name: ``last class``, ``last value`` or ``seasonal naive``, with its season.
        loss: Mean loss.
        accuracy: Share of right classes, or null.
    """

    name: str
    loss: float
    accuracy: float | None = None


class Advice(msgspec.Struct, kw_only=True, frozen=True):
    """Which policy to take, in words.

    Attributes:
        policy: Its name.
        headline: One sentence that answers 'which policy, and what will it cost me?'.
        reasons: Sentences with the figures behind it.
        warnings: Sentences that say why it may be wrong.
    """

    policy: str
    headline: str
    reasons: list[str] = []
    warnings: list[str] = []


class Curve(msgspec.Struct, kw_only=True, frozen=True):
    """Mean loss over time, all streams together.

    Attributes:
        policy: Whose.
        at: Middle of each interval of event time, ms.
        loss: Mean loss in it, or null where there is no record.
        retrains: Retrains decided in it.
    """

    policy: str
    at: list[int]
    loss: list[float | None]
    retrains: list[int]


class Failure(msgspec.Struct, kw_only=True, frozen=True):
    """A stream that could not be read or run: its name and why."""

    stream: str
    why: str


class Result(msgspec.Struct, kw_only=True, frozen=True):
    """A whole backtest.

    Attributes:
        version: Of Driftloop.
        created_at: Wall-clock time, ms.
        data: What was read, as given.
        notes: What was guessed or left out, in words.
        mode: ``simulated`` (models are trained here) or ``recorded`` (decisions alone, on the
            predictions in the data).
        task: As in the profile.
        loss: Name of the loss.
        model: Model kind.
        records: Of all streams.
        first_ts: Smallest event time, ms.
        last_ts: Largest event time, ms.
        latency: Event time from a decision to its model, ms.
        delay: Event time from a record to its label, ms.
        warmup: Labelled records of a stream before its first model, median; 0 where unknown.
        horizon: Event time after a known drift in which a retrain answers it, ms; null where no
            drifts are known.
        seed: Of all that is drawn.
        seconds: Wall-clock time of the run.
        policies: In the order of their loss.
        baseline: The trivial prediction, or null.
        best_periodic: Names of the fixed periods on their frontier, fewest retrains first.
        advice: Which policy to take; null where nothing was scored.
        curves: Loss over time of ``never``, ``always`` and the advised policy.
        failures: Streams that are not part of it.
    """

    version: str
    created_at: int
    data: str
    notes: list[str] = []
    mode: Literal["simulated", "recorded"] = "simulated"
    task: str
    loss: str
    model: str
    records: int
    first_ts: int
    last_ts: int
    latency: int = 0
    delay: int = 0
    warmup: int = 0
    horizon: int | None = None
    seed: int = 0
    seconds: float = 0.0
    policies: list[PolicyScore]
    baseline: Baseline | None = None
    best_periodic: list[str] = []
    advice: Advice | None = None
    curves: list[Curve] = []
    failures: list[Failure] = []
