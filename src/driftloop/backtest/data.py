"""The data of a backtest, by the text that names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driftloop.backtest.address import SCHEME
from driftloop.backtest.files import FileSource, FolderSource
from driftloop.backtest.guess import guess_profile
from driftloop.backtest.source import Source, StreamData
from driftloop.backtest.tables import ACCEPTED
from driftloop.backtest.topics import KafkaSource
from driftloop.errors import DataError
from driftloop.settings import Profile


def open_source(
    text: str,
    profile: Profile | None = None,
    *,
    client: Mapping[str, Any] | None = None,
    stream_column: str | None = None,
) -> Source:
    """Find the streams of a backtest.

    Args:
        text: A folder of one CSV, Parquet or JSON-lines file a stream; one such file with a stream
            column, or of one stream; or ``kafka://topic-pattern?bootstrap=…&from=…&to=…``, see
            `driftloop.backtest.address`.
        profile: What the records mean. None: guessed; the source's notes tell what was.
        client: Kafka's client properties.
        stream_column: The column that names the stream in a single file; None looks for one of
            `driftloop.backtest.files.STREAM_NAMES`, an empty text takes the file as one stream.

    Returns:
        The source; each stream is read by `Source.read`, which tells the faults of that stream.

    Raises:
        DataError: There is nothing of the kind, or nothing in it.
        KafkaUnavailableError: No broker answers.
    """
    source = _open(text, profile, client, stream_column)
    if profile is None:
        source.profile, notes = guess_profile(source)
        source.notes += notes
    return source


def _open(
    text: str,
    profile: Profile | None,
    client: Mapping[str, Any] | None,
    stream_column: str | None,
) -> Source:
    if text.startswith(SCHEME):
        return KafkaSource(text, profile, client)
    path = Path(text).expanduser()
    if path.is_dir():
        return FolderSource(path, profile)
    if path.is_file():
        return FileSource(path, profile, stream_column)
    raise DataError(
        f"no such file or folder; data are a folder of one file a stream, one file "
        f"({ACCEPTED}), or kafka://topic-pattern",
        file=text,
    )


__all__ = ["Source", "StreamData", "open_source"]
