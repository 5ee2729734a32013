"""Streams for the tests of the simulation, and what of an outcome must not change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from driftloop.backtest.outcome import Outcome, Plan, StreamOutcome, Track
from driftloop.backtest.policies import profiles_of
from driftloop.backtest.source import Source, StreamData
from driftloop.errors import DataError
from driftloop.records import Columns
from driftloop.settings import Profile
from tests.streams import make_profile, make_stream

COUNT = {"kind": "count", "records": 50}
CYCLE = {"kind": "cycle", "length": "50m", "lateness": "5m"}
POLICIES = (
    "never",
    "periodic(150, min_records=20)",
    "reducible(5, min_records=20)",
    "mlma(100, min_records=20)",
    "multi-criteria(1, alpha_per_year=100, min_records=20)",
    "detector(page_hinkley, min_records=20)",
)


def profile_of(**changes: Any) -> Profile:
    """Two numbers and a text, linear models, the first of 100 labelled records."""
    given = {
        "window": COUNT,
        "model": {"kind": "linear"},
        "training": {"records": 150, "initial": 100, "min_records": 30},
    }
    return make_profile(**{**given, **changes})


def plan_of(profile: Profile, policies: Sequence[str] = POLICIES, **more: Any) -> Plan:
    """The profile under these policies."""
    return Plan(profiles_of(profile, policies), **more)


def stream_of(
    profile: Profile, name: str = "a", seed: int = 1, n: int = 600, **more: Any
) -> StreamData:
    """A stream whose coefficients change after half of it."""
    return StreamData(name, make_stream(profile, seed, n, **{"drift_at": n // 2, **more}))


def decided(track: Track) -> list[Any]:
    """What does not depend on the clock: requests whole, outcomes, records."""
    return [
        (msgspec.json.encode(one.request), one.outcome, one.detail, one.records)
        for one in track.decisions
    ]


def bits(outcome: Outcome) -> Any:
    """An outcome as bytes, without seconds."""
    if not isinstance(outcome, StreamOutcome):
        return outcome
    return (
        outcome.stream,
        outcome.ts.tobytes(),
        {name: (track.losses.tobytes(), decided(track)) for name, track in outcome.tracks.items()},
        {name: values.tobytes() for name, values in outcome.correct.items()},
        outcome.naive.tobytes(),
        outcome.notes,
    )


class MemorySource(Source):
    """Streams in memory; those named `bad` cannot be read."""

    def __init__(
        self, profile: Profile, data: Sequence[StreamData], bad: Sequence[str] = ()
    ) -> None:
        super().__init__("memory", profile)
        self._data = {one.name: one for one in data}
        self._bad = set(bad)
        self.streams = sorted({*self._data, *bad})
        self.reads: list[str] = []

    def read(self, stream: str) -> StreamData:
        """One of them."""
        self.reads.append(stream)
        if stream in self._bad:
            raise DataError("a line that is none", file=str(Path(stream)))
        return self._data[stream]

    def preview(self) -> Sequence[Any]:
        """Nothing to guess."""
        return []

    def distinct(self, column: str, limit: int) -> set[str]:
        """Nothing to guess."""
        del column, limit
        return set()


def poisoned(columns: Columns, first: int) -> Columns:
    """The same records up to one, and from it on other features, texts and labels."""
    out = columns.select(np.arange(len(columns)))
    later = np.arange(len(columns)) >= first
    out.x = np.where(later[:, None], -3.0 * out.x + 7.0, out.x)
    out.y = np.where(later, 1e3 - out.y, out.y)
    out.categories = [
        [
            "other" if late and value is not None else value
            for value, late in zip(column, later, strict=True)
        ]
        for column in out.categories
    ]
    return out
