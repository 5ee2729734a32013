"""What an explanation holds: a tree of plain values, as its JSON shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from driftloop.explain.verdict import Check


@dataclass(frozen=True, slots=True)
class CriterionFound:
    """A criterion on the window of the decision.

    Attributes:
        criterion: Its name.
        family: What it judges.
        about: Feature or reference that it is about, or empty.
        statistic: Its statistic, or null.
        p_value: Its p-value, or null.
        effect: Its effect, or null.
        threshold: What it was compared with, or null.
        rejected: Whether it speaks for drift.
        n: Records that counted.
        told: What it means, in a sentence.
    """

    criterion: str
    family: str
    about: str
    statistic: float | None
    p_value: float | None
    effect: float | None
    threshold: float | None
    rejected: bool
    n: int
    told: str


@dataclass(frozen=True, slots=True)
class FeatureShift:
    """A column in the window against the reference.

    Attributes:
        name: Feature, ``label`` or ``prediction``.
        kind: ``number`` or ``category``.
        role: ``feature``, ``label`` or ``prediction``.
        share: Its share in the shift of all features, in [0, 1]; null for label and prediction.
        distance: Jensen-Shannon distance, in [0, 1], or null.
        moved: Wasserstein distance in the reference's standard deviations, or null.
        told: What moved, in a few words.
        before: Bins or categories of the reference, as shares.
        after: The same of the window.
        bins: Their names.
    """

    name: str
    kind: Literal["number", "category"]
    role: Literal["feature", "label", "prediction"]
    share: float | None
    distance: float | None
    moved: float | None
    told: str
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    bins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """Records of the window, or of the reference.

    Attributes:
        records: How many.
        ranges: Their offset ranges.
        loss: Mean loss, or null.
        baseline: Mean loss of the trivial prediction, or null.
        bias: Mean of label minus prediction, for regression; else null.
    """

    records: int
    ranges: tuple[str, ...]
    loss: float | None
    baseline: float | None
    bias: float | None


@dataclass(frozen=True, slots=True)
class WindowPoint:
    """A closed window of losses of the stream, for the plot.

    Attributes:
        at: Event time at which it closed, ms.
        loss: Mean loss.
        reference: Mean loss of its version's reference, or null.
        corrected: Mean loss after the online correction, or null.
        baseline: Mean loss of the trivial prediction, or null.
        version: Whose losses these are, or null.
        decision: What followed.
        id: Of its evidence.
        asked: Whether it is the window of the decision.
    """

    at: int
    loss: float
    reference: float | None
    corrected: float | None
    baseline: float | None
    version: str | None
    decision: str
    id: str
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Shift:
    """What changed.

    Attributes:
        reference: The reference's records, or null where they cannot be read.
        window: The window's records, likewise.
        features: Columns, the largest share first; label and prediction last.
        told: In sentences.
    """

    reference: Side | None
    window: Side | None
    features: tuple[FeatureShift, ...] = ()
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetThen:
    """The fleet when it was decided.

    Attributes:
        requests_tick: Streams of the profile for which a retrain was asked for in the same tick.
        requests_day: Likewise on the same day, UTC.
        streams: Streams of the profile that ever asked for one.
        incident: What the incident open then says, or empty.
        incident_id: Its id, or null.
        told: In sentences.
    """

    requests_tick: int
    requests_day: int
    streams: int
    incident: str
    incident_id: str | None
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """What training did.

    Attributes:
        outcome: As of the `TrainingFinished`; ``waiting`` where none is known.
        reason: Its reason code.
        version: The new version, or null.
        champion: Champion's metrics on the hold-out, or null.
        challenger: Challenger's, or null.
        seconds: Seconds it took, or null.
        records: Records it was trained on, or null.
        device: Where, or empty.
        told: In sentences.
    """

    outcome: str
    reason: str
    version: str | None
    champion: dict[str, float | None] | None
    challenger: dict[str, float | None] | None
    seconds: float | None
    records: int | None
    device: str
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Worth:
    """Whether it was worth it.

    Attributes:
        verdict: As of the `RetrainJudged`; ``unknown`` where there is none yet.
        saved: Loss saved a record, or null.
        low: Lower end of its interval, or null.
        high: Upper end, or null.
        level: Confidence of the interval.
        records: Records that were compared.
        rolled_back: Whether the version was taken back.
        dismissed: Whether a person called it a false alarm.
        after: Mean loss of the new version's first windows, at most three, or null.
        told: In sentences.
    """

    verdict: str
    saved: float | None
    low: float | None
    high: float | None
    level: float
    records: int
    rolled_back: bool
    dismissed: bool
    after: float | None
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """An event that belongs to the decision.

    Attributes:
        at: Event time or wall clock, as the event has it, ms.
        type: Its type, as ``TrainingFinished``.
        id: Its id.
        told: In a sentence.
    """

    at: int
    type: str
    id: str
    told: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """An event, why it came about, and what followed.

    Attributes:
        id: Of the event that was asked for.
        type: Its type, as ``RetrainRequested``.
        stream: The stream, or empty for an event of the fleet.
        profile: Its profile.
        loss: Name of the profile's loss.
        headline: The explanation in a sentence.
        about: What the event is, and the decision that it belongs to.
        request_id: Id of the retrain request that is explained, or null.
        at: Event time of the decision, ms.
        decision: What was decided, as ``retrain``, ``watch`` or ``in-flight``.
        reason: ``policy``, ``command`` or ``initial``; empty where it is no request.
        policy: What led to it: settings in words.
        version: Version in use then, or null.
        check: Whether it comes out the same.
        criteria: Criteria on the window, those for drift first, by effect.
        shift: What changed in the records.
        windows: Loss over windows, for the plot.
        fleet: The fleet at the time.
        training: What training did, or null where none was asked for.
        worth: Whether it was worth it, or null likewise.
        steps: All events that belong to it, in order.
        event: The event itself.
    """

    id: str
    type: str
    stream: str
    profile: str
    loss: str
    headline: str
    about: str
    request_id: str | None
    at: int
    decision: str
    reason: str
    policy: tuple[str, ...]
    version: str | None
    check: Check
    criteria: tuple[CriterionFound, ...] = ()
    shift: Shift = field(default_factory=lambda: Shift(None, None))
    windows: tuple[WindowPoint, ...] = ()
    fleet: FleetThen | None = None
    training: Trained | None = None
    worth: Worth | None = None
    steps: tuple[Step, ...] = ()
    event: dict[str, Any] = field(default_factory=dict)
