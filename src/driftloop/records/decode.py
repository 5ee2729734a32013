"""From the bytes of messages to columns; what cannot be read becomes a dead letter.

Never raises on bad input. Numbers that are not finite (``NaN`` and ``Infinity`` as many JSON
writers emit them, or out of range) are missing values, not faults.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from driftloop.records.columns import MULTICLASS, Columns, DeadLetter, Integers
from driftloop.records.schema import RecordSchema
from driftloop.settings import Profile
from driftloop.settings.base import milliseconds

LAST_MS = 253_402_300_799_999  # end of the year 9999, the last that RFC 3339 can write
BINARY_CLASSES = 2
_SHOWN = 80
_PLAIN = {str, type(None)}


def _no_key(_: int) -> bytes | None:
    return None


class _Rejected(Exception):  # noqa: N818  # control flow within this file, never seen outside
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class RecordDecoder:
    """Decodes the messages of the streams of one profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._schema = RecordSchema(profile)
        self._decode = msgspec.json.Decoder(self._schema.type).decode
        self._classes = {name: code for code, name in enumerate(profile.classes)}
        self._multiclass = profile.task == MULTICLASS
        self._width = len(profile.classes)
        self._max_future = milliseconds(profile.max_future)

    def decode(
        self,
        topic: str,
        partition: int,
        values: Sequence[bytes | None],
        offsets: Sequence[int] | Integers,
        timestamps: Sequence[int] | Integers,
        key: Callable[[int], bytes | None] = _no_key,
    ) -> tuple[Columns, list[DeadLetter]]:
        """Decode messages of one partition.

        Args:
            topic: Their topic.
            partition: Their partition.
            values: Their values, in offset order.
            offsets: Their offsets.
            timestamps: Their Kafka timestamps, ms.
            key: Key of the message at an index; asked only where it is rejected.

        Returns:
            The readable records in the same order, and a dead letter for each other one.
        """
        rejected: list[DeadLetter] = []

        def reject(index: int, reason: str, detail: str) -> None:
            rejected.append(
                DeadLetter(
                    topic,
                    partition,
                    int(offsets[index]),
                    int(timestamps[index]),
                    key(index),
                    values[index],
                    reason,
                    f"{topic}[{partition}]@{offsets[index]}: {detail}",
                )
            )

        rows, kept = self._rows(values, reject)
        bad: dict[int, _Rejected] = {}
        stamps = _kept(timestamps, kept)
        ts = self._times(rows, stamps, bad)
        self._refuse_future(ts, stamps, bad)
        x = self._numeric(rows, bad)
        y = self._labels(rows, bad)
        y_pred = self._predictions(rows, bad)
        offset = _kept(offsets, kept)
        where = np.full(len(rows), partition, np.int64)
        columns = Columns(
            partitions=where,
            offsets=offset,
            origin_partitions=where,
            origin_offsets=offset,
            ts=ts,
            ids=_texts(self._column(rows, "id")),
            x=x,
            categories=[
                _texts(self._column(rows, f"x.{name}"))
                for name in self.profile.features.categorical
            ],
            y_pred=y_pred,
            y=y,
            loss=self._numbers(rows, "loss"),
            versions=_texts(self._column(rows, "model_version")),
        )
        if bad:
            for row in sorted(bad):
                reject(kept[row], bad[row].reason, str(bad[row]))
            columns = columns.select([row for row in range(len(rows)) if row not in bad])
        rejected.sort(key=lambda letter: letter.offset)
        return columns, rejected

    def _rows(
        self, values: Sequence[bytes | None], reject: Callable[[int, str, str], None]
    ) -> tuple[list[Any], Sequence[int]]:
        decode = self._decode
        try:
            return list(map(decode, values)), range(len(values))  # type: ignore[arg-type]
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            pass  # at least one is bad: go through them one by one
        rows, kept = [], []
        for index, value in enumerate(values):
            try:
                rows.append(self._one(value))
            except _Rejected as fault:
                reject(index, fault.reason, str(fault))
            else:
                kept.append(index)
        return rows, kept

    def _one(self, value: bytes | None) -> Any:
        if not value:
            raise _Rejected("empty", "a record is a JSON object, got no bytes")
        try:
            return self._decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        try:  # json accepts NaN and Infinity, which msgspec does not
            loaded = json.loads(value)
            json.dumps(loaded, ensure_ascii=False).encode()  # refuses lone surrogates
        except (ValueError, RecursionError) as error:
            raise _Rejected("not-json", f"a record is a JSON object: {error}") from None
        try:
            return msgspec.convert(loaded, self._schema.type)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise _Rejected("wrong-type", str(error)) from None

    def _column(self, rows: list[Any], role: str) -> list[Any]:
        get = self._schema.get.get(role)
        if get is None:
            return [None] * len(rows)
        try:
            return list(map(get, rows))
        except AttributeError:  # an object on the way is null
            return [_get_or_none(get, row) for row in rows]

    def _numbers(self, rows: list[Any], role: str) -> npt.NDArray[np.float64]:
        """A column of numbers, (n,); what is absent or not finite is nan."""
        get = self._schema.get.get(role)
        if get is None:
            return np.full(len(rows), np.nan)
        if role in self._schema.shared:
            return _floats([_number(value) for value in self._column(rows, role)])
        try:
            return _finite(np.fromiter(map(get, rows), np.float64, len(rows)))
        except (TypeError, AttributeError):  # some are absent
            column = self._column(rows, role)
            if column.count(None) == len(rows):
                return np.full(len(rows), np.nan)
            return _floats(column)

    def _times(
        self, rows: list[Any], timestamps: Integers, bad: dict[int, _Rejected]
    ) -> npt.NDArray[np.float64]:
        column = self._column(rows, "ts")
        if "ts" in self._schema.shared:
            column = [_number(v) if v.__class__ is int else v for v in column]
        # A text is never read as a number: NumPy would, where no other row stops it.
        if set(map(type, column)) != {float}:
            numbers = [value if value.__class__ is float else np.nan for value in column]
        else:
            numbers = column
        ts = np.array(numbers, dtype=np.float64)
        wrong = np.flatnonzero(~((ts >= 0) & (ts <= LAST_MS)))
        for row in wrong.tolist():
            value = column[row]
            if value is None:
                found: float | None = int(timestamps[row])
                rule = "without an event time of its own, a record needs a Kafka timestamp"
                value = found
            else:
                found = rfc3339_ms(value)
                rule = f"{self._schema.paths['ts']} is milliseconds since the epoch or RFC 3339"
            if found is None or not 0 <= found <= LAST_MS:
                bad[row] = _Rejected("bad-timestamp", f"{rule}, got {_short(value)}")
                found = 0.0
            ts[row] = found
        return ts

    def _refuse_future(
        self,
        ts: npt.NDArray[np.float64],
        timestamps: Integers,
        bad: dict[int, _Rejected],
    ) -> None:
        """Reject records from far ahead of their Kafka timestamp: they make all others late."""
        # Each against its own: the timestamps of a batch need not be in order.
        ahead = ts - timestamps
        for row in np.flatnonzero(ahead > self._max_future).tolist():
            if row not in bad:
                bad[row] = _Rejected(
                    "bad-timestamp",
                    f"{self._schema.paths['ts']} is at most {self._max_future} ms ahead of the "
                    f"Kafka timestamp (max_future), got {int(ahead[row])} ms",
                )

    def _numeric(self, rows: list[Any], bad: dict[int, _Rejected]) -> npt.NDArray[np.float64]:
        names = self.profile.features.numeric
        x = np.empty((len(rows), len(names)))
        if not self.profile.features.array:
            for position, name in enumerate(names):
                x[:, position] = self._numbers(rows, f"x.{name}")
            return x
        for row, values in enumerate(self._column(rows, "x")):
            if values is None:
                x[row] = np.nan
            elif len(values) == len(names):
                x[row] = _floats(values)
            else:
                x[row] = np.nan
                bad[row] = _Rejected(
                    "bad-features",
                    f"{self._schema.paths['x']} is an array of {len(names)} numbers, "
                    f"got {len(values)}",
                )
        return x

    def _labels(self, rows: list[Any], bad: dict[int, _Rejected]) -> npt.NDArray[np.float64]:
        if self.profile.task == "regression":
            return self._numbers(rows, "y")
        column = self._column(rows, "y")
        y = np.full(len(rows), np.nan)
        for row, value in enumerate(column):
            if value is None or _is_missing(value):
                continue
            code = self._class(value)
            if code is None:
                bad[row] = _Rejected("bad-label", self._class_rule("y", value))
            else:
                y[row] = code
        return y

    def _predictions(self, rows: list[Any], bad: dict[int, _Rejected]) -> npt.NDArray[np.float64]:
        if self.profile.task == "regression":
            return self._numbers(rows, "y_pred")
        column = self._column(rows, "y_pred")
        size = (len(rows), self._width) if self._multiclass else (len(rows),)
        y_pred = np.full(size, np.nan)
        for row, value in enumerate(column):
            if value is None or _is_missing(value):
                continue
            found = self._multi(value) if self._multiclass else self._probability(value)
            if found is None:
                bad[row] = _Rejected("bad-prediction", self._class_rule("y_pred", value))
            else:
                y_pred[row] = found
        return y_pred

    def _class(self, value: str | float) -> int | None:
        if self._classes:
            name = as_text(value)
            return None if name is None else self._classes.get(name)
        if isinstance(value, str):
            return None
        return int(value) if value in (0, 1) else None

    def _probability(self, value: Any) -> float | None:
        if isinstance(value, list):
            value = value[1] if len(value) == BINARY_CLASSES else None
        elif isinstance(value, str):
            value = self._class(value)
        if value is None or not 0 <= value <= 1:
            return None
        return float(value)

    def _multi(self, value: Any) -> npt.NDArray[np.float64] | None:
        if isinstance(value, list):
            vector = np.asarray(value, dtype=np.float64)
            fits = len(vector) == self._width and bool((vector >= 0).all() and (vector <= 1).all())
            return vector if fits else None
        code = self._class(value)
        if code is None:
            return None
        vector = np.zeros(self._width)
        vector[code] = 1.0
        return vector

    def _class_rule(self, role: str, value: Any) -> str:
        accepted = (
            f"one of {', '.join(self.profile.classes)}" if self._classes else "0, 1, false or true"
        )
        if role == "y_pred":
            many = self._width if self._multiclass else BINARY_CLASSES
            accepted += f", or {many} probabilities"
            accepted += "" if self._multiclass else ", or the probability of class 1"
        return f"{self._schema.paths[role]} is {accepted}; got {_short(value)}"


def _kept(values: Sequence[int] | Integers, kept: Sequence[int]) -> Integers:
    whole = np.asarray(values, dtype=np.int64)
    return whole if len(kept) == len(whole) else whole[kept]


def _get_or_none(get: Callable[[Any], Any], row: Any) -> Any:
    try:
        return get(row)
    except AttributeError:
        return None


def _is_missing(value: Any) -> bool:
    """Whether a label or prediction is a number that is not finite, or holds one."""
    if isinstance(value, list):
        return not all(map(math.isfinite, value))
    return isinstance(value, float) and not math.isfinite(value)


def _texts(column: list[Any]) -> list[str | None]:
    if set(map(type, column)) <= _PLAIN:
        return column
    return [value if value.__class__ is str else as_text(value) for value in column]


def _floats(column: list[Any]) -> npt.NDArray[np.float64]:
    return _finite(np.array(column, dtype=np.float64))


def _finite(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    finite = np.isfinite(values)
    if not finite.all():
        values[~finite] = np.nan
    return values


def _number(value: Any) -> float:
    """The value of a field that another role shares: what is no number is missing."""
    try:
        return float(value) if isinstance(value, float | int) else np.nan
    except OverflowError:
        return np.nan


def as_text(value: Any) -> str | None:
    """A value as the text of a category, class or id; None = missing.

    >>> as_text(3.0), as_text(True), as_text("a"), as_text(float("nan"))
    ('3', 'true', 'a', None)
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not np.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def rfc3339_ms(value: Any) -> float | None:
    """A text's time in ms since the epoch, UTC where it names no zone; None where it is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        found = round(moment.timestamp() * 1000, 3)  # microseconds, as they were written
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found <= LAST_MS else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
