"""What a backtest reads from: streams by name, each read by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from driftloop.errors import DataError
from driftloop.records import Columns, join
from driftloop.settings import Profile

PREVIEW_ROWS = 20_000
"""Records of a stream that are looked at to guess what its columns mean."""

PREVIEW_STREAMS = 8
"""Streams that are looked at for it."""


@dataclass(frozen=True, slots=True)
class StreamData:
    """The records of one stream in the order of their arrival, as the monitor would read them.

    Attributes:
        name: The stream.
        columns: Its records. A label may come in a record of its own, after the prediction with
            the same id. Of several partitions, records arrive in the order of event time, and
            those of one partition in the order of their offsets.
        partitions: How many partitions the stream has; 1 for files.
        dead_letters: Records that could not be read; only from Kafka, where the monitor passes
            over them too.
        notes: What was done to the records, in words.
    """

    name: str
    columns: Columns
    partitions: int = 1
    dead_letters: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def has_predictions(self) -> bool:
        """Whether any record carries a prediction."""
        return bool(self.columns.has_prediction.any())

    @property
    def labelled(self) -> Columns:
        """Labelled records, ordered by completion: what the trainer would load."""
        columns = self.columns
        if self.partitions > 1:  # several partitions meet in event time
            columns = columns.select(np.argsort(columns.ts, kind="stable"))
        return join(columns)

    def chunks(self, records: int) -> Iterator[Columns]:
        """The records in order of arrival, at most so many at a time.

        Each chunk holds records of one partition in the order of their offsets, as
        `StreamTracker.records` takes them.
        """
        for start in range(0, len(self.columns), records):
            chunk = self.columns.select(slice(start, start + records))
            if self.partitions == 1:
                yield chunk
                continue
            for partition in np.unique(chunk.partitions).tolist():
                yield chunk.select(chunk.partitions == partition)


class Source(ABC):
    """Streams by name. It pickles: each process of a backtest reads its own streams.

    Attributes:
        text: How the user named it.
        profile: What the records mean.
        notes: What was found and guessed, in words, for the user.
        streams: Names of the streams, sorted.
    """

    def __init__(self, text: str, profile: Profile | None) -> None:
        self.text = text
        self.notes: list[str] = []
        self.streams: list[str] = []
        self._profile = profile

    @property
    def profile(self) -> Profile:
        """What the records mean; given, or guessed."""
        if self._profile is None:
            raise DataError(f"{self.text} has no profile yet")
        return self._profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self._profile = profile
        self._profiled()

    def _profiled(self) -> None:  # noqa: B027  # most sources have nothing to do
        """The profile has come."""

    @abstractmethod
    def read(self, stream: str) -> StreamData:
        """Read one stream.

        Raises:
            DataError: It cannot be read; the others may still be.
            KafkaUnavailableError: No broker answers.
        """

    def read_all(self, streams: Sequence[str]) -> Iterator[tuple[str, StreamData | DataError]]:
        """Read streams one after another; each with its records, or why there are none.

        Raises:
            KafkaUnavailableError: No broker answers.
        """
        for stream in streams:
            try:
                yield stream, self.read(stream)
            except DataError as error:
                yield stream, error

    @abstractmethod
    def preview(self) -> Sequence[pa.Table]:
        """The first records of some streams, nested fields as dotted columns.

        Raises:
            DataError: None of them can be read.
        """

    @abstractmethod
    def distinct(self, column: str, limit: int) -> set[str]:
        """The different texts of a column over all streams; at least `limit` of them if more."""

    @property
    def stream_column(self) -> str:
        """The column that tells streams apart; empty where each file or topic is one."""
        return ""


def in_order(columns: Columns) -> tuple[Columns, bool]:
    """Records in the order of their event time, and whether they were not; offsets from 0."""
    if not bool((np.diff(columns.ts) < 0).any()):
        return columns, False
    columns = columns.select(np.argsort(columns.ts, kind="stable"))
    columns.offsets = columns.origin_offsets = np.arange(len(columns), dtype=np.int64)
    return columns, True
