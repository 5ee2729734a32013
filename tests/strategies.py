"""Hypothesis strategies for every message of Driftloop, in one place."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from driftloop.messages import (
    Action,
    CandidateTrained,
    Command,
    CommandAnswered,
    Cost,
    Event,
    Evidence,
    FleetIncident,
    Ground,
    ModelPublished,
    OffsetRange,
    PartReported,
    RetrainJudged,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    VersionOrdered,
)
from driftloop.messages.commands import CommandOutcome
from driftloop.messages.events import Outcome, State
from driftloop.messages.grounds import Family
from driftloop.messages.parts import PartName, PartState
from driftloop.messages.versions import Judgement, OrderAction, OrderReason

# From 1970 to 9999-12-31T23:59:59.999Z, the last time that RFC 3339 can name.
times = st.integers(min_value=0, max_value=253_402_300_799_999)
counts = st.integers(min_value=0, max_value=2**53)
numbers = st.floats(allow_nan=False, allow_infinity=False)
maybe_numbers = st.none() | numbers
# Any text that UTF-8 can write: lone surrogates cannot be.
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
names = st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True)
ids = st.text("0123456789abcdef", min_size=32, max_size=32)


@st.composite
def offset_ranges(draw: st.DrawFn) -> OffsetRange:
    """Ranges of one partition, both ends inclusive."""
    first = draw(st.integers(0, 2**40))
    last = first + draw(st.integers(0, 2**20))
    return OffsetRange(draw(names), draw(st.integers(0, 10_000)), first, last)


ranges = st.lists(offset_ranges().map(str), max_size=3)
metrics = st.dictionaries(texts, maybe_numbers, max_size=3)
costs = st.builds(Cost, seconds=numbers, records=counts, device=texts)
grounds = st.lists(
    st.builds(
        Ground,
        criterion=texts,
        family=st.sampled_from(Family.__args__),
        statistic=maybe_numbers,
        p_value=maybe_numbers,
        effect=maybe_numbers,
        threshold=maybe_numbers,
        rejected=st.booleans(),
        n=counts,
        n_effective=maybe_numbers,
        window=ranges,
        reference=ranges,
        detail=texts,
    ),
    max_size=3,
)
_shared = {"id": ids, "stream": names, "profile": texts}

retrain_requests = st.builds(
    RetrainRequested,
    **_shared,
    profile_hash=ids,
    reason=st.sampled_from(["policy", "command", "initial"]),
    policy=texts,
    grounds=grounds,
    data=ranges,
    current_version=st.none() | texts,
    decided_at=times,
    priority=numbers,
)
published_models = st.builds(
    ModelPublished,
    **_shared,
    version=texts,
    sequence=counts,
    parent_version=st.none() | texts,
    kind=texts,
    uri=texts,
    sha256=ids,
    format=texts,
    champion=st.none() | metrics,
    challenger=metrics,
    data=ranges,
    cost=costs,
    request_id=ids,
    published_at=times,
    parent_uri=st.none() | texts,
    parent_sha256=st.none() | ids,
    action=st.sampled_from(["trained", "promoted", "rolled-back"]),
    detail=texts,
)
finished_trainings = st.builds(
    TrainingFinished,
    **_shared,
    request_id=ids,
    outcome=st.sampled_from(Outcome.__args__),
    reason=texts,
    detail=texts,
    version=st.none() | texts,
    champion=st.none() | metrics,
    challenger=st.none() | metrics,
    cost=st.none() | costs,
    finished_at=times,
)
commands = st.builds(
    Command,
    **_shared,
    action=st.sampled_from(Action.__args__),
    who=texts,
    why=texts,
    issued_at=times,
    until=st.none() | times,
    version=st.none() | texts,
    request_id=st.none() | ids,
    scope=texts,
    batch=texts,
    via=texts,
)
answers = st.builds(
    CommandAnswered,
    **_shared,
    command_id=ids,
    action=st.sampled_from(Action.__args__),
    outcome=st.sampled_from(CommandOutcome.__args__),
    detail=texts,
    led_to=st.lists(ids, max_size=3),
    answered_at=times,
)
evidence = st.builds(
    Evidence,
    **_shared,
    kind=st.sampled_from(["window", "alarm", "fleet"]),
    opened_at=times,
    closed_at=times,
    window=ranges,
    records=counts,
    model_version=st.none() | texts,
    results=grounds,
    metrics=metrics,
    decision=texts,
)
statuses = st.builds(
    StreamStatus,
    **_shared,
    state=st.sampled_from(State.__args__),
    model_version=st.none() | texts,
    event_time=st.none() | times,
    records=counts,
    losses=counts,
    windows=counts,
    loss=maybe_numbers,
    corrected_loss=maybe_numbers,
    reference_loss=maybe_numbers,
    accumulated=maybe_numbers,
    threshold=maybe_numbers,
    detail=texts,
    trial=texts,
    judged=counts,
    better=counts,
    worse=counts,
    rollbacks=counts,
    saved=numbers,
    seconds=numbers,
)
candidates = st.builds(
    CandidateTrained,
    **_shared,
    profile_hash=ids,
    version=texts,
    sequence=counts,
    parent_version=texts,
    parent_uri=texts,
    parent_sha256=ids,
    kind=texts,
    uri=texts,
    sha256=ids,
    format=texts,
    champion=st.none() | metrics,
    challenger=metrics,
    data=ranges,
    cost=costs,
    request_id=ids,
    trained_at=times,
)
orders = st.builds(
    VersionOrdered,
    **_shared,
    action=st.sampled_from(OrderAction.__args__),
    version=st.none() | texts,
    against=st.none() | texts,
    request_id=st.just("") | ids,
    reason=st.sampled_from(OrderReason.__args__),
    metrics=metrics,
    detail=texts,
    who=texts,
    decided_at=times,
)
judgements = st.builds(
    RetrainJudged,
    **_shared,
    request_id=ids,
    version=texts,
    parent_version=texts,
    verdict=st.sampled_from(Judgement.__args__),
    records=counts,
    saved=maybe_numbers,
    low=maybe_numbers,
    high=maybe_numbers,
    level=st.floats(0.5, 1.0),
    seconds=numbers,
    device=texts,
    cost=maybe_numbers,
    judged_at=times,
    detail=texts,
)
incidents = st.builds(
    FleetIncident,
    id=ids,
    profile=names,
    action=st.sampled_from(["opened", "closed"]),
    opened_at=times,
    closed_at=st.none() | times,
    streams=st.lists(names, max_size=3),
    moved=counts,
    observed=counts,
    share=numbers,
    statistic=maybe_numbers,
    p_value=maybe_numbers,
    detail=texts,
)
part_reports = st.builds(
    PartReported,
    id=ids,
    part=st.sampled_from(PartName.__args__),
    instance=texts,
    state=st.sampled_from(PartState.__args__),
    detail=texts,
    version=texts,
    started_at=times,
    reported_at=times,
    every=numbers,
    metrics=metrics,
)
BY_TYPE: dict[type[Event], st.SearchStrategy[Event]] = {
    RetrainRequested: retrain_requests,
    ModelPublished: published_models,
    TrainingFinished: finished_trainings,
    Command: commands,
    CommandAnswered: answers,
    Evidence: evidence,
    StreamStatus: statuses,
    FleetIncident: incidents,
    CandidateTrained: candidates,
    VersionOrdered: orders,
    RetrainJudged: judgements,
    PartReported: part_reports,
}
events: st.SearchStrategy[Event] = st.one_of(*BY_TYPE.values())
headers = st.lists(
    st.tuples(st.sampled_from(["ce_type", "ce_id", "other"]), st.none() | st.binary(max_size=20)),
    max_size=4,
)

# Records, as users' producers write them, and what is nearly one.
_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["a", "1", "true", "12", "nan", "2013-01-01T00:00:00Z", "20130101"]),
    texts,
    st.lists(st.none() | st.floats(), max_size=3),
)
_records = st.fixed_dictionaries(
    {},
    optional={
        "id": _values,
        "ts": _values | times,
        "x": _values | st.dictionaries(st.sampled_from("abc"), _values),
        "a": _values,
        "y_pred": _values,
        "y": _values,
        "truth": _values | st.dictionaries(st.sampled_from(["value", "guess"]), _values),
        "loss": _values,
        "model_version": _values,
    },
)
# As json writes them: NaN and Infinity are bare words.
messages: st.SearchStrategy[bytes | None] = (
    st.none() | st.binary(max_size=12) | _records.map(lambda record: json.dumps(record).encode())
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A record's bytes with a few of them replaced, cut out or doubled."""
    raw = bytearray(json.dumps(draw(_records)).encode())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3) | st.just(b"\\ud800"))
    return bytes(raw)


# Records for a join: an id, and whether it is the front (prediction), the label, or whole.
halves = st.lists(
    st.tuples(
        st.none() | st.sampled_from("abcde"), st.sampled_from(["front", "label", "label", "whole"])
    ),
    max_size=24,
)
