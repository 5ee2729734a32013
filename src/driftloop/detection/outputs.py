"""What a stream's tracker tells the tests that follow it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from driftloop.detection.windows import Part
from driftloop.messages import (
    CandidateTrained,
    Command,
    ModelPublished,
    Standing,
    TrainingFinished,
)
from driftloop.records.columns import Columns, Floats


@dataclass(slots=True)
class Counters:
    """Running totals of a stream, as `driftloop.messages.StreamStatus` explains them."""

    records: int = 0
    losses: int = 0
    alarms: int = 0
    dead_letters: int = 0
    missing: int = 0
    late: int = 0
    pending: int = 0
    evicted: int = 0
    duplicates: int = 0
    stale: int = 0


@dataclass(slots=True)
class Closed:
    """A closed window of any kind.

    Attributes:
        index: Its number.
        opened_at: Smallest event time of its rows, ms.
        closed_at: Largest event time of its rows, ms.
        span_ms: Event time since the previous window of its kind closed: what it may spend of the
            yearly error.
        ranges: Offset ranges it was made from.
        version: Model version that is current.
    """

    index: int
    opened_at: int
    closed_at: int
    span_ms: float
    ranges: list[str]
    version: str | None


@dataclass(slots=True)
class LossWindow(Closed):
    """Losses of one version on a window.

    Attributes:
        losses: Loss a record, (n,); nan where it could not be computed.
        corrected: Loss of the corrected prediction, (n,); nan where there is no correction.
        phases: Phase of each record within the cycle, (n,), or None.
        training: Offset ranges a model would be trained on now.
        labelled: Labelled records in `training`.
        counters: The stream's totals.
        labels: Labels, (n,), where a criterion reads them.
        scores: Predictions, (n,) or (n, classes), likewise.
        baseline: Loss of the trivial prediction, (n,), or None; nan where it has none.
        parts: `training` in parts, oldest first, where the policy trains on some of them.
    """

    losses: Floats
    corrected: Floats
    phases: Floats | None
    training: list[str]
    labelled: int
    counters: Counters
    labels: Floats | None = None
    scores: Floats | None = None
    baseline: Floats | None = None
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class FeatureWindow(Closed):
    """Features of a window, labelled or not.

    Attributes:
        x: Numeric features, (n, features); nan = missing.
        counters: The stream's totals.
        codes: Categories, int64 (n, categorical), where a criterion reads them.
        scores: Predictions, (n,) or (n, classes), likewise.
        training: Offset ranges a model would be trained on now.
    """

    x: Floats
    counters: Counters
    codes: npt.NDArray[np.int64] | None = None
    scores: Floats | None = None
    training: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Alarm:
    """An incremental detector signals at one record.

    Attributes:
        detector: Its name: its kind, and behind a colon what it reads unless that is the usual, as
            ``adwin`` or ``kswin:x.temperature``.
        ts: The record's event time, ms.
        range: The record as an offset range.
        version: Model version whose loss, error or score it is, or that was current.
        value: What it read at the record.
        on: What it reads: ``loss``, ``error``, ``score`` or ``x.NAME``.
    """

    detector: str
    ts: int
    range: str
    version: str | None
    value: float
    on: str = "loss"


@dataclass(slots=True)
class VersionChanged:
    """From here on, losses are those of another model version."""

    version: str | None


@dataclass(slots=True)
class Ordered:
    """An operator's command at the place where the stream saw it.

    Attributes:
        command: The command.
        training: Offset ranges a model would be trained on now.
        labelled: Labelled records in `training`.
        version: Model version that is current.
        event_time: Newest event time of the stream, ms; when the command was issued where the
            stream has no records.
        counters: The stream's totals.
        standing: Whether it was seen before, or may have been: it is not carried out twice.
    """

    command: Command
    training: list[str]
    labelled: int
    version: str | None
    event_time: int
    counters: Counters
    standing: Standing = field(default_factory=Standing)

    @property
    def resets(self) -> bool:
        """Whether references and what was accumulated begin anew here."""
        return self.standing.word == "new" and self.command.action in {"reset-reference", "retire"}


@dataclass(slots=True)
class InitialDue:
    """A stream without a model has seen enough labelled records for its first one."""

    training: list[str]
    labelled: int
    event_time: int
    counters: Counters


@dataclass(slots=True)
class StateChanged:
    """The stream appeared, fell silent, spoke again, is refused or is gone."""

    state: str
    event_time: int | None
    version: str | None
    counters: Counters = field(default_factory=Counters)
    detail: str = ""


@dataclass(slots=True)
class Clock:
    """How far the stream's event time is, ms: for what waits for other streams."""

    ts: int


@dataclass(slots=True, frozen=True)
class Trial:
    """Two versions that are compared on the same live records.

    Attributes:
        kind: ``canary`` (a candidate that does not serve yet) or ``watch`` (a version that serves
            since a moment, and its parent).
        version: The new version.
        against: The old one.
        uri: Folder of the artifact of the one that does not serve: candidate or parent.
        sha256: Of its manifest.
        request_id: Of the `RetrainRequested` behind the new version.
        seconds: Seconds that its training took.
        device: Where it ran.
    """

    kind: Literal["canary", "watch"]
    version: str
    against: str
    uri: str
    sha256: str
    request_id: str
    seconds: float
    device: str


Ending = Literal["", "complete", "patience", "superseded"]


@dataclass(slots=True)
class TrialPiece:
    """Records that count in a trial, or its end.

    Attributes:
        trial: The trial.
        rows: Complete records with label, features and the prediction of the version that serves.
        ending: Why no more follow, or empty: ``complete`` (as many as wanted), ``patience`` (too
            few came in time), ``superseded`` (another version is current, or the training has its
            outcome).
        ts: Event time of the newest record seen, ms.
    """

    trial: Trial
    rows: Columns
    ending: Ending
    ts: int


@dataclass(slots=True)
class TrialVerdict:
    """What a trial came to.

    Attributes:
        trial: The trial.
        verdict: ``better``, ``worse``, ``undecided`` or ``unscored``.
        ending: As of the last piece; empty where the test stopped it.
        records: Records on which both were compared.
        metrics: As `driftloop.messages.VersionOrdered` explains them.
        ts: Event time of the newest record that counted, or of the end, ms.
        detail: Why nothing could be compared; else empty.
    """

    trial: Trial
    verdict: Literal["better", "worse", "undecided", "unscored"]
    ending: Ending
    records: int
    metrics: dict[str, float | None]
    ts: int
    detail: str = ""


Output = (
    LossWindow
    | FeatureWindow
    | Alarm
    | VersionChanged
    | Ordered
    | InitialDue
    | StateChanged
    | TrainingFinished
    | ModelPublished
    | CandidateTrained
    | Clock
    | TrialPiece
    | TrialVerdict
)
