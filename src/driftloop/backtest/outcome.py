"""What is simulated, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from driftloop.messages import RetrainRequested
from driftloop.records.columns import Floats
from driftloop.settings import Profile


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated.

    Attributes:
        profiles: By policy name, each the data's profile with that policy.
        latency_ms: Event time from a decision to its model.
        delay_ms: Event time from a record to its label; 0 leaves records as they are.
        recorded: Decide on the predictions in the data; train nothing.
        seed: Of all that is drawn.
        season: Records of a season for the trivial prediction; 1 for the last value.
    """

    profiles: Mapping[str, Profile]
    latency_ms: float = 0.0
    delay_ms: float = 0.0
    recorded: bool = False
    seed: int = 0
    season: int = 1


@dataclass(slots=True)
class Track:
    """One stream under one policy.

    Attributes:
        losses: Loss of each of the stream's records, (n,); nan where it was not predicted or has no
            label.
        decisions: Every retrain that was decided, the first model's too.
    """

    losses: Floats
    decisions: list[Decision] = field(default_factory=list)


@dataclass(slots=True)
class StreamOutcome:
    """One stream under all policies.

    Attributes:
        stream: Its name.
        ts: Event time of each record, ms, (n,).
        tracks: By policy.
        correct: Whether the class was right, by policy, (n,); nan where not known; empty for
            regression.
        naive: Losses of the trivial prediction, (n,).
        naive_correct: As `correct`, of the trivial prediction, or None.
        notes: What was done to the records, in words.
    """

    stream: str
    ts: Floats
    tracks: dict[str, Track]
    correct: dict[str, Floats]
    naive: Floats
    naive_correct: Floats | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamFailure:
    """A stream that could not be read or simulated, and why."""

    stream: str
    why: str


@dataclass(slots=True)
class Decision:
    """A retrain that was decided, and what became of it.

    Attributes:
        request: The event.
        outcome: ``published``, ``rejected``, ``failed``; empty where nothing was trained.
        detail: Why, in words.
        seconds: Of training.
        records: Trained on.
    """

    request: RetrainRequested
    outcome: str = ""
    detail: str = ""
    seconds: float = 0.0
    records: int = 0


Outcome = StreamOutcome | StreamFailure
