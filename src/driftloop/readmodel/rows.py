"""What the read model answers with. Times are milliseconds since the epoch."""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, kw_only=True, frozen=True):
    """Base of all answers: fields are named as the columns."""


class StreamRow(Row, kw_only=True, frozen=True):
    """Key metrics of a stream, as in its newest `driftloop.messages.StreamStatus`, and its need.

    Attributes:
        first_time: Event time of the oldest record that is known of, or null.
        told_at: When its status was written.
        last_outcome: Of its newest training that ended.
        refused_in_row: Retrains by the policy that the gate refused since the last publication.
        last_verdict: Of the newest retrain that live records have judged.
        in_incident: Whether it is part of an incident that is open.
        need: 0 to 100: how much it needs a person (`driftloop.readmodel.need.NEEDS`).
        need_why: Why, in words.
    """

    stream: str
    profile: str
    state: str
    model_version: str | None
    event_time: int | None
    first_time: int | None
    told_at: int | None
    records: int
    losses: int
    windows: int
    alarms: int
    retrains: int
    loss: float | None
    corrected_loss: float | None
    reference_loss: float | None
    baseline_loss: float | None
    accumulated: float | None
    threshold: float | None
    dead_letters: int
    missing: int
    late: int
    pending: int
    evicted: int
    duplicates: int
    stale: int
    detail: str
    trial: str
    judged: int
    better: int
    worse: int
    rollbacks: int
    dismissed: int
    saved: float
    seconds: float
    last_outcome: str
    last_reason: str
    last_finished: int | None
    refused_in_row: int
    last_verdict: str
    judged_version: str | None
    in_incident: int
    need: int
    need_why: str


class WindowRow(Row, kw_only=True, frozen=True):
    """A closed window, an alarm, or what the fleet withheld.

    Attributes:
        kind: ``loss``, ``features``, ``alarm`` or ``fleet``.
        rejected: Criteria that spoke for drift.
        criterion: The one with the smallest p-value, of those first.
        topic: Where the whole `driftloop.messages.Evidence` is read, with `partition`, `place`.
    """

    stream: str
    closed_at: int
    id: str
    opened_at: int
    kind: str
    records: int
    model_version: str | None
    loss: float | None
    corrected_loss: float | None
    reference_loss: float | None
    baseline_loss: float | None
    accumulated: float | None
    threshold: float | None
    decision: str
    rejected: str
    criterion: str | None
    p_value: float | None
    effect: float | None
    topic: str
    partition: int
    place: int


class RequestRow(Row, kw_only=True, frozen=True):
    """A retrain request or an order, with all that came of it.

    Attributes:
        kind: ``retrain``; or the action of an order: ``rollback``, ``promote``, ``discard``.
        criteria: Criteria that spoke for it; of an order, its reason in words.
        candidate: The version on trial, or null.
        outcome: Empty while it waits or is in work.
        verdict: Of the live records, or empty.
        saved: Mean loss saved a record on live records, with the interval `low` to `high`.
        dismissed_by: Who called it a false alarm.
    """

    id: str
    kind: str
    stream: str
    profile: str
    reason: str
    policy: str
    criteria: str
    decided_at: int | None
    told_at: int | None
    from_version: str | None
    priority: float
    candidate: str | None
    outcome: str
    outcome_reason: str
    detail: str
    version: str | None
    champion_loss: float | None
    challenger_loss: float | None
    seconds: float | None
    records: int | None
    device: str | None
    finished_at: int | None
    verdict: str
    saved: float | None
    low: float | None
    high: float | None
    level: float | None
    judged_records: int | None
    cost: float | None
    judged_at: int | None
    dismissed_by: str
    dismissed_why: str


class VersionRow(Row, kw_only=True, frozen=True):
    """A model version that was current at some time."""

    stream: str
    sequence: int
    version: str
    action: str
    kind: str
    parent_version: str | None
    uri: str
    sha256: str
    request_id: str
    published_at: int
    told_at: int
    champion_loss: float | None
    challenger_loss: float | None
    seconds: float | None
    records: int | None
    device: str | None
    detail: str
    id: str


class IncidentRow(Row, kw_only=True, frozen=True):
    """A shift that many streams of a fleet share; open while `closed_at` is null."""

    profile: str
    opened_at: int
    closed_at: int | None
    id: str
    moved: int
    observed: int
    share: float
    p_value: float | None
    streams: list[str]
    detail: str
    told_at: int


class Followed(Row, kw_only=True, frozen=True):
    """How the retrain or order that a command led to ended, and with which version."""

    outcome: str
    version: str | None
    detail: str


class CommandRow(Row, kw_only=True, frozen=True):
    """A command, and what came of it.

    Attributes:
        outcome: Of the monitor's answer; empty while nobody has answered.
        followed: Of an accepted command, how what it led to ended; null while it has not.
    """

    id: str
    stream: str
    action: str
    who: str
    why: str
    via: str
    scope: str
    batch: str
    issued_at: int | None
    told_at: int | None
    until: int | None
    version: str | None
    request_id: str | None
    outcome: str
    detail: str
    led_to: list[str]
    answered_at: int | None
    followed: Followed | None = None

    @property
    def came(self) -> str:
        """What came of it: the outcome of what it led to, else that of the answer, or empty."""
        return self.outcome if self.followed is None else self.followed.outcome

    @property
    def in_words(self) -> str:
        """The same in a line, with version and detail, as ``driftloop audit`` has it."""
        if self.followed is None:
            return f"{self.outcome}: {self.detail}" if self.detail else self.outcome
        version = f" as {self.followed.version}" if self.followed.version else ""
        why = f": {self.followed.detail}" if self.followed.detail else ""
        return f"{self.followed.outcome}{version}{why}"


class LetterRow(Row, kw_only=True, frozen=True):
    """A dead letter: its place on the dead-letter topic, where it came from, and why."""

    partition: int
    place: int
    topic: str
    source_partition: int
    source_offset: int
    reason: str
    detail: str
    size: int
    told_at: int
    replayed_at: int | None


class EventRow(Row, kw_only=True, frozen=True):
    """An event as it was sent; `body` is its JSON."""

    id: str
    type: str
    stream: str
    profile: str
    at: int | None
    told_at: int
    topic: str
    partition: int
    place: int
    body: msgspec.Raw


class Fleet(Row, kw_only=True, frozen=True):
    """Key metrics of all streams.

    Attributes:
        streams: How many are known and not retired.
        states: Streams by state.
        needs: Streams by the name of their need.
        records: Records read, of all streams.
        retrains: Retrains that policies asked for.
        retrains_day: Of these, those of the last 24 hours.
        outcomes: Trainings by outcome.
        outcomes_day: The same of the last 24 hours.
        waiting: Requests without an outcome yet.
        judged: Retrains that live records judged, by verdict.
        dismissed: Retrains that an engineer called false alarms.
        needless: Retrains that were dismissed, or proven worse than what they replaced.
        promised: Needless retrains that the policies promise at most for the event time that was
            watched, or null where a policy promises none.
        stream_years: Event time that was watched, in stream-years.
        saved: Loss saved on the records that judged retrains.
        seconds: Seconds of training.
        rollbacks: Automatic rollbacks.
        incidents: Incidents that are open.
        dead_letters: On the dead-letter topic, of the last 24 hours.
        newest: Event time of the newest record, or null.
        told_at: When the newest status was written, or null.
    """

    streams: int
    states: dict[str, int]
    needs: dict[str, int]
    records: int
    retrains: int
    retrains_day: int
    outcomes: dict[str, int]
    outcomes_day: dict[str, int]
    waiting: int
    judged: dict[str, int]
    dismissed: int
    needless: int
    promised: float | None
    stream_years: float
    saved: float
    seconds: float
    rollbacks: int
    incidents: int
    dead_letters: int
    newest: int | None
    told_at: int | None


class Budget(Row, kw_only=True, frozen=True):
    """Retrains of a profile in the newest day of event time, beside its budget.

    Attributes:
        day_ms: When that day begins.
        used: Retrains that went out in it, but for first models.
        budget: `driftloop.settings.Fleet.budget`.
    """

    profile: str
    day_ms: int
    used: int
    budget: int


class PartRow(Row, kw_only=True, frozen=True):
    """A process of Driftloop, as it last said.

    Attributes:
        state: ``ready``, ``not-ready``, ``stopped``; or ``gone``: it has been silent for three
            times as long as it should have been.
        records_per_second: Since its report before.
        lag: Records that it has still to read.
        queue: Requests that wait for a trainer.
    """

    part: str
    instance: str
    state: str
    detail: str
    version: str
    started_at: int
    reported_at: int
    every: float
    records: float | None
    records_per_second: float | None
    lag: float | None
    queue: float | None
