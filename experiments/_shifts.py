"""Shifts of known place and kind in records that have none: shuffled sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from experiments._data import Floats

Kind = Literal["none", "offset", "scale", "rotation", "prior", "concept"]
Pace = Literal["sudden", "gradual", "recurring"]

OFFSET = 2.0
"""Standard deviations that half of the features move by."""
SCALE = 2.0
"""Factor of half of the features."""
PRIOR = 3.0
"""Factor of the share of anomalies, which ends at a half."""
REGION = 0.3
"""Share of the records whose labels are flipped: those furthest in a random direction."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What happens to a stream.

    Attributes:
        kind: ``none``; ``offset``, ``scale`` (both of a random half of the features) and
            ``rotation`` (of all): the features change beside the labels; ``prior``: more
            anomalies; ``concept``: the labels of a region are flipped.
        pace: ``sudden``; ``gradual``: records of the new kind become more frequent; ``recurring``:
            the new kind comes and goes.
    """

    kind: Kind
    pace: Pace = "sudden"

    @property
    def name(self) -> str:
        """For tables."""
        return self.kind if self.kind == "none" else f"{self.kind}, {self.pace}"


SHIFTS = (
    Shift("none"),
    Shift("offset"),
    Shift("scale"),
    Shift("rotation"),
    Shift("prior"),
    Shift("concept"),
    Shift("concept", "gradual"),
    Shift("concept", "recurring"),
)


def inject(
    x: Floats, y: Floats, shift: Shift, *, records: int, start: int, turn: int, seed: int
) -> tuple[Floats, Floats, list[int]]:
    """Draw a stream without drift and put a shift in.

    Args:
        x: Features, (n, d), n ≥ 2.
        y: Classes, 0 or 1, (n,).
        shift: What happens.
        records: Of the stream; drawn without replacement while they last.
        start: First record of the new kind.
        turn: Records over which it grows (``gradual``), or after which it comes and goes.
        seed: Decides all draws.

    Returns:
        Features (records, d), standardised by those of the whole set; labels (records,); and the
        records at which a drift begins.
    """
    rng = np.random.default_rng(seed)
    x = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    fresh = _fresh(shift, records, start, turn, rng)  # (records,) of the new kind
    rows = rng.permutation(len(x))
    rows = np.resize(rows, records)
    if shift.kind == "prior":
        share = min(0.5, PRIOR * float(y.mean()))
        anomalous = rng.random(records) < share
        drawn = np.where(
            anomalous,
            rng.choice(np.flatnonzero(y == 1), records),
            rng.choice(np.flatnonzero(y == 0), records),
        )
        rows = np.where(fresh, drawn, rows)
    values, labels = x[rows], y[rows].astype(np.float64)
    changed, flipped = _new(values, labels, shift.kind, rng)
    values = np.where(fresh[:, None], changed, values)
    labels = np.where(fresh, flipped, labels)
    return values, labels, _places(shift, records, start, turn)


def _fresh(
    shift: Shift, records: int, start: int, turn: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    if shift.kind == "none":
        return np.zeros(records, np.bool_)
    since = np.arange(records) - start
    if shift.pace == "gradual":
        return np.asarray(rng.random(records) < since / turn)
    if shift.pace == "recurring":
        return np.asarray((since >= 0) & (since // turn % 2 == 0))
    return np.asarray(since >= 0)


def _places(shift: Shift, records: int, start: int, turn: int) -> list[int]:
    if shift.kind == "none":
        return []
    return list(range(start, records, turn)) if shift.pace == "recurring" else [start]


def _new(x: Floats, y: Floats, kind: Kind, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Features and labels as they are after the shift."""
    width = x.shape[1]
    half = rng.permutation(width)[: (width + 1) // 2]
    if kind == "offset":
        x = x.copy()
        x[:, half] += OFFSET * rng.choice([-1.0, 1.0], len(half))
    elif kind == "scale":
        x = x.copy()
        x[:, half] *= SCALE
    elif kind == "rotation":
        rotation, _ = np.linalg.qr(rng.standard_normal((width, width)))
        x = x @ rotation
    elif kind == "concept":
        along = x @ rng.standard_normal(width)
        y = np.where(along > np.quantile(along, 1.0 - REGION), 1.0 - y, y)
    return x, y
