"""Ids of requests that have their outcome, with the place of the outcome: 28 bytes each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from driftloop.errors import MessageError

Place = tuple[int, int]
"""Partition and offset."""

_ROW = np.dtype([("id", "S16"), ("partition", "<i4"), ("offset", "<i8")])
_DIGITS = re.compile(r"[0-9a-f]{32}")
_MERGED = 4096
"""Ids that are kept one by one before they are sorted in."""

NOWHERE: Place = (-1, 0)
"""Of an outcome that was not read from the topic; it is never forgotten."""


class OutcomeIds:
    """A set of ids, exact, of which those can be forgotten whose outcomes have expired.

    Ids of Driftloop, 32 hexadecimal digits, lie sorted in an array; others are kept as they are.
    """

    def __init__(self) -> None:
        self._rows: npt.NDArray[Any] = np.empty(0, _ROW)
        self._new: dict[bytes, Place] = {}
        self._others: dict[str, Place] = {}

    def add(self, name: str, place: Place = NOWHERE) -> None:
        """Take an id up; one that is known already, at its newer place."""
        if _DIGITS.fullmatch(name):
            self._new[bytes.fromhex(name)] = place
        else:
            self._others[name] = place
        if len(self._new) >= _MERGED:
            self._merge()

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        if not _DIGITS.fullmatch(name):
            return name in self._others
        key = bytes.fromhex(name)
        if key in self._new:
            return True
        rows = self._rows
        # Arrays of 16 bytes on both sides: a single value would lose the zeros at its end.
        wanted = np.array([key], "S16")
        found = int(np.searchsorted(rows["id"], wanted)[0])
        return bool((rows["id"][found : found + 1] == wanted).any())

    def __len__(self) -> int:
        self._merge()
        return len(self._rows) + len(self._others)

    def _merge(self) -> None:
        """Sort the new ones in; of an id that is there twice the newer place counts."""
        if not self._new:
            return
        new = np.array([(key, *place) for key, place in self._new.items()], _ROW)
        rows = np.concatenate([self._rows, new])
        rows = rows[np.argsort(rows["id"], kind="stable")]
        last = np.append(rows["id"][1:] != rows["id"][:-1], True)
        # In this order: whoever asks meanwhile finds an id in one of the two.
        self._rows = rows[last[: len(rows)]]
        self._new = {}

    def forget(self, low: Mapping[int, int]) -> None:
        """Drop those whose outcome has expired.

        Args:
            low: First offset that is still there, of each partition.
        """
        self._merge()
        keep = np.ones(len(self._rows), np.bool_)
        for partition, offset in low.items():
            keep &= (self._rows["partition"] != partition) | (self._rows["offset"] >= offset)
        self._rows = self._rows[keep]
        self._others = {
            name: place for name, place in self._others.items() if place[1] >= low.get(place[0], 0)
        }

    def dump(self) -> tuple[bytes, dict[str, Place]]:
        """All of them, for `load`."""
        self._merge()
        return self._rows.tobytes(), dict(self._others)

    @staticmethod
    def fits(rows: bytes) -> bool:
        """Whether these are whole rows of `dump`."""
        return len(rows) % _ROW.itemsize == 0

    @classmethod
    def load(cls, rows: bytes, others: Mapping[str, Place]) -> OutcomeIds:
        """What `dump` gave.

        Raises:
            MessageError: It did not.
        """
        if not cls.fits(rows):
            raise MessageError(f"rows of {_ROW.itemsize} bytes, got {len(rows)} bytes in all")
        found = cls()
        found._rows = np.frombuffer(rows, _ROW)
        found._others = dict(others)
        return found


__all__ = ["NOWHERE", "OutcomeIds", "Place"]
