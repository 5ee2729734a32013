"""From feature records to predicted records: the user's JSON object, and two fields more."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import orjson

from driftloop.models import ModelArtifact, predict
from driftloop.records import DeadLetter, RecordDecoder
from driftloop.records.columns import Integers
from driftloop.settings import Profile


class Batch(NamedTuple):
    """Consecutive messages of one partition of a feature topic, as plain values.

    Attributes:
        topic: Feature topic.
        partition: Its partition.
        keys: Key of each message.
        values: Value of each.
        offsets: Offset of each, increasing, int64 (n,).
        timestamps: Kafka timestamp of each in ms, int64 (n,).
    """

    topic: str
    partition: int
    keys: list[bytes | None]
    values: list[bytes | None]
    offsets: Integers
    timestamps: Integers


class Scored(NamedTuple):
    """A record as it goes to the stream topic."""

    key: bytes | None
    value: bytes


class RecordScorer:
    """Adds predictions to the records of one stream."""

    def __init__(self, profile: Profile) -> None:
        self._decoder = RecordDecoder(profile)
        self._y_pred = profile.fields.y_pred.split(".")
        self._version = profile.fields.model_version.split(".")
        self._ts = profile.fields.ts.split(".") if profile.fields.ts else None

    def score(
        self, batch: Batch, model: ModelArtifact | None
    ) -> tuple[list[Scored], list[DeadLetter]]:
        """Predict a batch at once.

        Args:
            batch: What to score.
            model: The stream's model; without one the records go on without a prediction, so that
                they can be watched and trained on.

        Returns:
            The readable records in the same order, and a dead letter for each other one. A record
            without an event time gets that of its message, which would otherwise be lost.

        Raises:
            SettingsError: The model was trained on other features than the profile names.
        """
        columns, rejected = self._decoder.decode(
            batch.topic,
            batch.partition,
            batch.values,
            batch.offsets,
            batch.timestamps,
            batch.keys.__getitem__,
        )
        if not len(columns):
            return [], rejected
        predictions: list[Any] = [None] * len(columns)
        if model is not None:
            found = predict(model, columns.x, columns.categories, columns.feature_times)
            # What is not finite is written as null, which reads as absent.
            predictions = np.where(np.isfinite(found), found, np.nan).tolist()
        whole = len(columns) == len(batch.values)
        index = (
            {offset: i for i, offset in enumerate(batch.offsets.tolist())} if not whole else None
        )
        scored: list[Scored] = []
        for row, offset in enumerate(columns.offsets.tolist()):
            at = row if index is None else index[offset]
            record = _loads(batch.values[at] or b"{}")
            if self._ts is not None and _get(record, self._ts) is None:
                _put(record, self._ts, int(columns.ts[row]))
            if model is not None:
                _put(record, self._y_pred, predictions[row])
                _put(record, self._version, model.version)
            scored.append(Scored(batch.keys[at], _dumps(record)))
        return scored, rejected


def _loads(value: bytes) -> dict[str, Any]:
    try:
        record: dict[str, Any] = orjson.loads(value)
    except orjson.JSONDecodeError:  # NaN and Infinity, which the decoder takes as missing values
        record = json.loads(value)
    return record


def _dumps(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record)  # writes NaN and Infinity as null
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(record, separators=(",", ":")).encode()


def _get(record: dict[str, Any], path: list[str]) -> Any:
    found: Any = record
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _put(record: dict[str, Any], path: list[str], value: Any) -> None:
    at = record
    for name in path[:-1]:
        inner = at.get(name)
        if not isinstance(inner, dict):
            inner = at[name] = {}
        at = inner
    at[path[-1]] = value
