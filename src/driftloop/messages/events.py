"""Every event as a typed structure. Readers ignore fields that they do not know.

Times are milliseconds since the epoch. A number that is not finite is written as null.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from driftloop.messages.base import Event
from driftloop.messages.commands import Command, CommandAnswered
from driftloop.messages.grounds import Cost, EventTime, Ground
from driftloop.messages.parts import PartReported
from driftloop.messages.ranges import RangeText
from driftloop.messages.versions import CandidateTrained, RetrainJudged, VersionOrdered

Outcome = Literal["published", "rejected", "superseded", "failed"]
State = Literal[
    "warming-up",
    "monitoring",
    "watched",
    "awaiting-approval",
    "snoozed",
    "pinned",
    "silent",
    "refused",
    "retired",
]


class RetrainRequested(Event, kw_only=True, frozen=True):
    """The model of a stream must be retrained.

    Attributes:
        profile_hash: Profile and policy under which it was decided.
        reason: ``policy``, ``command`` or ``initial`` (the stream has no model yet).
        policy: Name of the policy.
        grounds: Every criterion that counted.
        data: The records to train on.
        current_version: The version in use, or null.
        decided_at: Event time of the decision.
        priority: Expected loss saved by a new model on a window's worth of records.
    """

    type: ClassVar[str] = "driftloop.retrain.requested.v1"
    profile_hash: str
    reason: Literal["policy", "command", "initial"]
    policy: str
    grounds: list[Ground]
    data: list[RangeText]
    current_version: str | None
    decided_at: EventTime
    priority: float = 0.0


class ModelPublished(Event, kw_only=True, frozen=True):
    """A stream has a new current model version.

    Attributes:
        version: Unique within the stream, as ``v3``.
        sequence: Its number; grows with each version of the stream.
        parent_version: The version it replaces, or null.
        kind: Model kind, as ``linear``.
        uri: Folder of the artifact, readable by fsspec.
        sha256: Of the artifact's manifest ``model.json``, which names the weights' own sha256.
        format: Format of the weights.
        champion: Metrics of the replaced version on the hold-out, or null.
        challenger: Metrics of this version on the hold-out.
        data: The records it was trained on.
        cost: What it took.
        request_id: The `RetrainRequested` it answers.
        published_at: Wall-clock time.
        parent_uri: Folder of the replaced version's artifact, or null.
        parent_sha256: Of that artifact's manifest, or null.
        action: How it came to be current: ``trained``; ``promoted`` after a canary; or
            ``rolled-back``: an earlier version, published again.
        detail: Why, where it was not simply trained.
    """

    type: ClassVar[str] = "driftloop.model.published.v1"
    version: str
    sequence: int
    parent_version: str | None
    kind: str
    uri: str
    sha256: str
    format: str
    champion: dict[str, float | None] | None
    challenger: dict[str, float | None]
    data: list[RangeText]
    cost: Cost
    request_id: str
    published_at: EventTime
    parent_uri: str | None = None
    parent_sha256: str | None = None
    action: Literal["trained", "promoted", "rolled-back"] = "trained"
    detail: str = ""


class TrainingFinished(Event, kw_only=True, frozen=True):
    """The one outcome of a retrain request, or of a rollback that was ordered.

    Attributes:
        request_id: The `RetrainRequested`, or the `VersionOrdered` to roll back.
        outcome: ``published``, ``rejected`` (the gate, the canary, a pin), ``superseded`` or
            ``failed``.
        reason: Short code, empty when a new version is published. Of a rollback: ``rolled-back``
            (published again) or ``rollback-failed``.
        detail: The reason in words, with what to do.
        version: The new version when published, else null.
        champion: Metrics of the champion on the hold-out, or null.
        challenger: Metrics of the challenger on the hold-out, or null.
        cost: What it took, or null where nothing was trained.
        finished_at: Wall-clock time.
        promised: Loss that the request promised to save a record, or null.
    """

    type: ClassVar[str] = "driftloop.training.finished.v1"
    request_id: str
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    version: str | None = None
    champion: dict[str, float | None] | None = None
    challenger: dict[str, float | None] | None = None
    cost: Cost | None = None
    finished_at: EventTime
    promised: float | None = None


class Evidence(Event, kw_only=True, frozen=True):
    """Every statistic of a closed window, one alarm of a detector, or what the fleet withheld.

    Attributes:
        kind: ``window``, ``alarm`` or ``fleet`` (a retrain that the fleet holds or drops).
        opened_at: Event time of its first record.
        closed_at: Event time at which it closed.
        window: Its offset ranges.
        records: How many records it holds.
        model_version: Whose losses these are, or null.
        results: What each criterion found.
        metrics: Mean loss, corrected loss, missing rate and the like; ``baseline_loss`` is
            that of a trivial prediction on the same records.
        decision: What followed: ``none``, ``watch``, ``retrain``, or why not:
            ``cool-down``, ``in-flight``, ``snoozed``, ``pinned``, ``too-few-records``,
            ``awaiting-approval``, ``fleet`` (the fleet decides, and a request or evidence of kind
            ``fleet`` follows). Of kind ``fleet``: ``budget`` or ``incident`` (held),
            ``fleet-control`` (not significant among all), ``cool-down`` or ``in-flight``.
    """

    type: ClassVar[str] = "driftloop.evidence.v1"
    kind: Literal["window", "alarm", "fleet"]
    opened_at: EventTime
    closed_at: EventTime
    window: list[RangeText]
    records: int
    model_version: str | None
    results: list[Ground]
    metrics: dict[str, float | None]
    decision: str = "none"


class StreamStatus(Event, kw_only=True, frozen=True):
    """Key metrics of a stream, latest value.

    Attributes:
        state: What the stream is in.
        model_version: The version in use, or null.
        event_time: Newest event time seen, or null.
        records: Records read since the stream is known.
        losses: Records with a loss (labelled).
        windows: Closed windows.
        alarms: Alarms of incremental detectors.
        retrains: Retrains requested.
        loss: Mean loss of the last window, or null.
        corrected_loss: What an online correction of the champion makes of it, or null.
        reference_loss: Mean loss of the reference, or null.
        accumulated: Loss that a newer model would have saved since this version, or null.
        threshold: What `accumulated` is compared with, or null.
        dead_letters: Records that could not be read.
        missing: Values that were absent or not finite.
        late: Records that came after their window closed.
        pending: Predictions and labels that wait for one another.
        evicted: Of these, given up for lack of room.
        duplicates: Records dropped because their id was seen.
        stale: Losses of a version that is no longer current.
        detail: A word for the engineer.
        trial: What is on trial, as ``canary v5 against v4`` or ``watch v4 against v3``; empty when
            nothing is.
        judged: Retrains that live records have judged.
        better: Of these, those that were proven better than what they replaced.
        worse: Of these, those that were proven worse.
        rollbacks: Automatic rollbacks that were ordered.
        saved: Loss that judged retrains saved on the records that judged them, less what they lost.
        seconds: Seconds that the judged retrains took.
        dismissed: Retrains that a person called false alarms.
        baseline_loss: Mean loss that a trivial prediction (the last label) would have had on the
            last window, or null.
    """

    type: ClassVar[str] = "driftloop.stream.status.v1"
    state: State
    model_version: str | None
    event_time: EventTime | None
    records: int = 0
    losses: int = 0
    windows: int = 0
    alarms: int = 0
    retrains: int = 0
    loss: float | None = None
    corrected_loss: float | None = None
    reference_loss: float | None = None
    accumulated: float | None = None
    threshold: float | None = None
    dead_letters: int = 0
    missing: int = 0
    late: int = 0
    pending: int = 0
    evicted: int = 0
    duplicates: int = 0
    stale: int = 0
    detail: str = ""
    trial: str = ""
    judged: int = 0
    better: int = 0
    worse: int = 0
    rollbacks: int = 0
    saved: float = 0.0
    seconds: float = 0.0
    dismissed: int = 0
    baseline_loss: float | None = None


class FleetIncident(Event, kw_only=True, frozen=True):
    """Many streams of a fleet shift together: one event when that begins, one when it ends.

    Attributes:
        action: ``opened`` or ``closed``.
        opened_at: Event time at which the tick ended in which it began.
        closed_at: Event time at which the tick ended in which it was over, or null.
        streams: Of those that moved, the first 100 by how far; of the tick in which it began.
        moved: Streams that moved in this event's tick.
        observed: Streams that closed a window in it.
        share: `moved` over `observed`.
        statistic: Of the test that they moved together, or null.
        p_value: Of that test, or null.
        detail: In words, with what to do.
    """

    type: ClassVar[str] = "driftloop.fleet.incident.v1"
    stream: str = ""
    action: Literal["opened", "closed"]
    opened_at: EventTime
    closed_at: EventTime | None = None
    streams: list[str] = msgspec.field(default_factory=list)
    moved: int = 0
    observed: int = 0
    share: float = 0.0
    statistic: float | None = None
    p_value: float | None = None
    detail: str = ""


EVENT_TYPES: dict[str, type[Event]] = {
    kind.type: kind
    for kind in (
        RetrainRequested,
        ModelPublished,
        TrainingFinished,
        Command,
        CommandAnswered,
        Evidence,
        StreamStatus,
        FleetIncident,
        CandidateTrained,
        VersionOrdered,
        RetrainJudged,
        PartReported,
    )
}
