"""Records of made-up streams, and the pure monitor played over them."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from driftloop.detection.stream import StreamTracker
from driftloop.messages import Command, Cost, Event, ModelPublished
from driftloop.policy import StreamDecider, StreamTester
from driftloop.records import Columns
from driftloop.settings import Features, Policy, Profile

STREAM = "streams.a"
START = 1_700_000_000_000
MINUTE = 60_000
COLOURS = ["red", "green", "blue", "grey"]

Chunk = tuple[Columns, int]
"""Records of one partition, and how many partitions the topic has."""


def make_profile(**changes: Any) -> Profile:
    """A profile of two numbers and a text, with windows of 30 records."""
    given: dict[str, Any] = {
        "features": Features(numeric=["a", "b"], categorical=["colour"]),
        "window": {"kind": "count", "records": 30},
        "policy": Policy(min_records=20, cost=2.0),
    }
    return Profile.model_validate({**given, **changes})


def make_columns(profile: Profile, ts: Sequence[float] | np.ndarray, **given: Any) -> Columns:
    """Records at the given event times; what is not given is absent.

    Args:
        profile: Gives the shapes.
        ts: Event times, ms, (n,).
        given: Columns by name; `partition` and `first` (offset) for all.
    """
    n = len(ts)
    partition, first = given.pop("partition", 0), given.pop("first", 0)
    where = np.full(n, partition, np.int64)
    offsets = np.arange(first, first + n, dtype=np.int64)
    width = (n, len(profile.classes)) if profile.task == "multiclass" else (n,)
    absent = np.full(n, np.nan)
    columns: dict[str, Any] = {
        "partitions": where,
        "offsets": offsets,
        "origin_partitions": where,
        "origin_offsets": offsets,
        "ts": np.asarray(ts, np.float64),
        "ids": [None] * n,
        "x": np.full((n, len(profile.features.numeric)), np.nan),
        "categories": [[None] * n for _ in profile.features.categorical],
        "y_pred": np.full(width, np.nan),
        "y": absent,
        "loss": absent,
        "versions": [None] * n,
    }
    for name in ("x", "y_pred", "y", "loss"):
        if name in given:
            given[name] = np.asarray(given[name], np.float64)
    return Columns(**{**columns, **given})


def make_stream(
    profile: Profile,
    seed: int,
    n: int,
    *,
    drift_at: int | None = None,
    jitter: float = 0.0,
    missing: float = 0.0,
    late: float = 0.0,
    versions: Sequence[int] = (),
    partition: int = 0,
) -> Columns:
    """A stream whose champion predicts well until its coefficients change.

    Args:
        profile: Of `make_profile`.
        seed: Same seed, same records.
        n: Records, before some of them are split into two.
        drift_at: Record from which on the coefficients differ.
        jitter: Event times are out of order by up to so many minutes.
        missing: Share of features, labels and predictions that are absent.
        late: Share of records whose label comes in a record of its own, up to 20 records later
            (now and then before its prediction).
        versions: Records from which on another version predicts; none: no record tells.
        partition: Partition of all records.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(profile.features.numeric)))
    colours = rng.integers(0, len(COLOURS), n)
    shift = np.where(np.arange(n) >= (n if drift_at is None else drift_at), 2.0, 0.0)
    signal = x.sum(axis=1) + 0.5 * colours - 0.75
    y, y_pred = _answers(profile, rng, signal, shift)
    ts = START + MINUTE * (np.arange(n) + jitter * rng.uniform(-1, 1, n))
    drop = rng.random((n, 4)) < missing
    x[drop[:, 0], 0] = np.nan
    y = np.where(drop[:, 1], np.nan, y)
    y_pred[drop[:, 2]] = np.nan
    whole = make_columns(
        profile,
        np.round(ts),
        ids=[f"{partition}-{i}" for i in range(n)],
        x=x,
        categories=[
            [None if gone else COLOURS[c] for c, gone in zip(colours, drop[:, 3], strict=True)]
            for _ in profile.features.categorical
        ],
        y_pred=y_pred,
        y=y,
        versions=[f"v{sum(i >= v for v in versions)}" if len(versions) else None for i in range(n)],
    )
    order = np.arange(n, dtype=np.float64)
    apart = np.flatnonzero(rng.random(n) < late)
    labels = whole.select(apart)
    labels.x = np.full_like(labels.x, np.nan)
    labels.y_pred = np.full_like(labels.y_pred, np.nan)
    labels.categories = [[None] * len(apart) for _ in labels.categories]
    labels.versions = [None] * len(apart)
    whole.y = whole.y.copy()
    whole.y[apart] = np.nan
    delays = rng.integers(-2, 20, len(apart)) + 0.5
    labels.ts = labels.ts + MINUTE * np.maximum(delays, 0)
    both = Columns.concatenate([whole, labels])
    both = both.select(np.argsort(np.concatenate([order, apart + delays]), kind="stable"))
    both.offsets = both.origin_offsets = np.arange(len(both), dtype=np.int64)
    both.partitions = both.origin_partitions = np.full(len(both), partition, np.int64)
    return both


def _answers(
    profile: Profile, rng: np.random.Generator, signal: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n = len(signal)
    if profile.task == "regression":
        return signal * (1 + shift) + shift + rng.normal(0, 0.5, n), signal.copy()
    if profile.task == "binary":
        y = rng.random(n) < 1 / (1 + np.exp(-2 * signal - 3 * shift))
        return y.astype(np.float64), 1 / (1 + np.exp(-2 * signal))
    logits = np.stack([signal * (k - 1) for k in range(len(profile.classes))], axis=1)
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    return np.where(shift > 0, 0, np.minimum(y, p.shape[1] - 1)).astype(np.float64), p


def published(version: str) -> ModelPublished:
    """The publication of a version."""
    return ModelPublished(
        id=version,
        stream=STREAM,
        profile="default",
        version=version,
        sequence=1,
        parent_version=None,
        kind="linear",
        uri="",
        sha256="",
        format="safetensors",
        champion=None,
        challenger={},
        data=[],
        cost=Cost(seconds=1.0, records=1, device="cpu"),
        request_id="r",
        published_at=START,
    )


def command(action: Any, **more: Any) -> Command:
    """An operator's command; its id is the action, unless another is given."""
    given = {"id": action, "stream": STREAM, "profile": "", "who": "a", "why": "b", "issued_at": 0}
    return Command(action=action, **given | more)


class Played:
    """The three states of one stream, outside any engine.

    Attributes:
        outputs: What the tracker put out.
        events: What was decided.
    """

    def __init__(self, profile: Profile, stream: str = STREAM) -> None:
        self.states: tuple[StreamTracker, StreamTester, StreamDecider] = (
            StreamTracker(stream, profile),
            StreamTester(profile),
            StreamDecider(stream, "default", profile),
        )
        self.outputs: list[Any] = []
        self.events: list[Event] = []

    def records(self, rows: Columns, partitions: int = 1) -> Played:
        """Give it records of one partition."""
        return self.take(self.states[0].records(rows, partitions))

    def control(self, event: Any) -> Played:
        """Give it a control event."""
        return self.take(self.states[0].control(event))

    def take(self, outputs: Iterable[Any]) -> Played:
        """Test and decide on a tracker's outputs."""
        _, tester, decider = self.states
        for output in outputs:
            self.outputs.append(output)
            self.events += decider.decide(tester.test(output))
        return self

    def pickled(self) -> None:
        """Put each state away and take it up again, as a restart does."""
        self.states = pickle.loads(pickle.dumps(self.states))  # noqa: S301  # our own bytes

    def of(self, kind: type[Any]) -> list[Any]:
        """Its events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


def play(
    profile: Profile,
    rows: Columns,
    cuts: Iterable[int] = (),
    *,
    controls: dict[int, Any] | None = None,
    pickled: Callable[[int], bool] = lambda _: False,
) -> Played:
    """Play records of one partition, cut into batches.

    Args:
        profile: Their profile.
        rows: The records.
        cuts: Indices, in any order, at which a batch begins.
        controls: Control events, by the index of the record before which they are seen.
        pickled: Whether the states are pickled before the record at an index.
    """
    played = Played(profile)
    controls = controls or {}
    for start, end in pairwise(sorted({0, *cuts, *controls, len(rows)})):
        if pickled(start):
            played.pickled()
        if start in controls:
            played.control(controls[start])
        played.records(rows.select(slice(start, end)))
    return played


def frozen(value: Any) -> Any:
    """A value that equals another only if both are the same bit for bit."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, float):
        return ("float", value.hex())
    if isinstance(value, msgspec.Struct):
        return (type(value).__name__, msgspec.json.encode(value))
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value)]
        return (type(value).__name__, [(name, frozen(getattr(value, name))) for name in fields])
    if isinstance(value, list | tuple):
        return [frozen(item) for item in value]
    if isinstance(value, dict):
        return [(key, frozen(item)) for key, item in value.items()]
    return value
