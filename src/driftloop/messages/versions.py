"""Events about versions that are on trial: candidates, orders to switch, and what came of it."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from driftloop.messages.base import Event
from driftloop.messages.grounds import Cost, EventTime
from driftloop.messages.ranges import RangeText

OrderAction = Literal["promote", "discard", "rollback"]
OrderReason = Literal["canary", "live-losses", "command", "unscored"]
Judgement = Literal["better", "undecided", "worse", "unscored"]


class CandidateTrained(Event, kw_only=True, frozen=True):
    """A version passed the gate and is on trial (`training.canary`); the current one still serves.

    It holds what the `ModelPublished` will hold if the trial ends well. The request's
    `TrainingFinished` comes when the trial ends.

    Attributes:
        profile_hash: Of the request.
        version: Unique within the stream, as ``v5``.
        sequence: Its number; no later version of the stream has it again.
        parent_version: The version that serves meanwhile.
        parent_uri: Folder of that version's artifact.
        parent_sha256: Of its manifest.
        kind: Model kind, as ``linear``.
        uri: Folder of the candidate's artifact, readable by fsspec.
        sha256: Of the artifact's manifest ``model.json``, which names the weights' own sha256.
        format: Format of the weights.
        champion: Metrics of the parent on the hold-out, or null.
        challenger: Metrics of the candidate on the hold-out.
        data: The records it was trained on.
        cost: What it took.
        request_id: The `RetrainRequested` it answers.
        trained_at: Wall-clock time.
        promised: Loss that the request promised to save a record, or null.
    """

    type: ClassVar[str] = "driftloop.model.candidate.v1"
    profile_hash: str
    version: str
    sequence: int
    parent_version: str
    parent_uri: str
    parent_sha256: str
    kind: str
    uri: str
    sha256: str
    format: str
    champion: dict[str, float | None] | None
    challenger: dict[str, float | None]
    data: list[RangeText]
    cost: Cost
    request_id: str
    trained_at: EventTime
    promised: float | None = None


class VersionOrdered(Event, kw_only=True, frozen=True):
    """The trainer is to change a stream's current version, or to give a candidate up.

    It is decided on the newest records that the monitor has seen. The trainer carries it out once,
    and only while `against` is still the current version.

    Attributes:
        action: ``promote`` or ``discard`` a candidate (or a training still under way), or
            ``rollback`` to an earlier version.
        version: The candidate, or the version to go back to; null: the parent of the current
            version, or whatever the request leads to.
        against: The version that was current when it was decided, or null where none was known.
        request_id: The `RetrainRequested` behind the version that is judged, or empty.
        reason: ``canary`` (the trial of a candidate), ``live-losses`` (a new version is worse than
            its parent would have been), ``command``, or ``unscored`` (no verdict could be had).
        metrics: Numbers behind it: ``records``, ``loss_new``, ``loss_old``, ``difference`` (new
            minus old), ``low``, ``high``, ``log_e_worse``, ``log_e_better``.
        detail: The reason in words.
        who: Who commanded it; empty where nobody did.
        decided_at: Event time of the decision.
    """

    type: ClassVar[str] = "driftloop.version.ordered.v1"
    action: OrderAction
    version: str | None
    against: str | None
    request_id: str = ""
    reason: OrderReason
    metrics: dict[str, float | None] = msgspec.field(default_factory=dict)
    detail: str = ""
    who: str = ""
    decided_at: EventTime


class RetrainJudged(Event, kw_only=True, frozen=True):
    """The ledger's entry of a retrain: what the new version saved on live records, and its cost.

    Attributes:
        request_id: The `RetrainRequested`.
        version: The version it led to.
        parent_version: The version it is compared with.
        verdict: ``better`` or ``worse`` where an anytime-valid test says so, else ``undecided``;
            ``unscored`` where no record could be compared.
        records: Live records on which both were compared.
        saved: Mean loss saved a record, the parent's minus the new version's, or null.
        low: Lower end of the interval of `saved`, or null. It holds
            whenever the trial ends, unless blocks of 20 records depend on one another much.
        high: Upper end, or null.
        level: Confidence of the interval, as .99.
        seconds: Seconds that the training took.
        device: Where it ran.
        cost: The same in money, where `policy.price` is set, else null.
        judged_at: Event time of the last record that counted.
        detail: Why the trial ended, in words.
    """

    type: ClassVar[str] = "driftloop.retrain.judged.v1"
    request_id: str
    version: str
    parent_version: str
    verdict: Judgement
    records: int
    saved: float | None
    low: float | None
    high: float | None
    level: float
    seconds: float
    device: str
    cost: float | None
    judged_at: EventTime
    detail: str = ""
