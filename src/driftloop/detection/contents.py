"""What the windows of a stream hold, as columns of one matrix; no more than its policy reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from driftloop.criteria.contract import MISSING, Integers, Part
from driftloop.records.columns import Columns, Floats
from driftloop.settings import Profile

VOCABULARY = 64
"""Categories remembered a feature, first come; all later ones share one code."""


class FeatureParts(NamedTuple):
    """A window of features: x (n, d), codes (n, c) or None, scores (n,) or (n, classes) or None."""

    x: Floats
    codes: Integers | None
    scores: Floats | None


class LossParts(NamedTuple):
    """A window of losses, each (n,); labels and scores are None where no criterion reads them."""

    losses: Floats
    corrected: Floats
    ts: Floats
    baseline: Floats
    labels: Floats | None
    scores: Floats | None


class WindowContents:
    """Packs records into the rows that windows gather, and unpacks a closed window.

    Args:
        profile: Features and task.
        parts: What the policy's criteria read.
    """

    def __init__(self, profile: Profile, parts: frozenset[Part]) -> None:
        self._numeric = len(profile.features.numeric)
        self._categorical = len(profile.features.categorical) if "codes" in parts else 0
        self._classes = len(profile.classes) if profile.task == "multiclass" else 0
        self._scores = "scores" in parts
        self._labels = "labels" in parts
        self.featured = bool(("x" in parts and self._numeric) or self._categorical or self._scores)

    def gathers(self, rows: Columns) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which records belong to windows of features, (n,)."""
        has = rows.has_features
        return has | rows.has_prediction if self._scores else has

    def pack_features(self, rows: Columns, vocabulary: Sequence[Mapping[str, int]]) -> Floats:
        """Rows of a feature window, (n, width)."""
        if not self._categorical and not self._scores:
            return rows.x
        parts = [rows.x]
        if self._categorical:
            parts += [
                np.fromiter(
                    (
                        MISSING if value is None else known.get(value, VOCABULARY)
                        for value in column
                    ),
                    np.float64,
                    len(rows),
                )[:, None]
                for known, column in zip(vocabulary, rows.categories, strict=True)
            ]
        if self._scores:
            parts.append(rows.y_pred.reshape(len(rows), -1))
        return np.concatenate(parts, axis=1)

    def unpack_features(self, values: Floats) -> FeatureParts:
        """The parts of a feature window, from (n, width)."""
        d, c = self._numeric, self._categorical
        return FeatureParts(
            values[:, :d],
            values[:, d : d + c].astype(np.int64) if c else None,
            self._as_scores(values[:, d + c :]) if self._scores else None,
        )

    def pack_losses(
        self, rows: Columns, losses: Floats, corrected: Floats, baseline: Floats
    ) -> Floats:
        """Rows of a loss window, (n, width)."""
        parts = [losses, corrected, rows.ts, baseline]
        if self._labels:
            parts.append(rows.y)
        if self._scores:
            parts += list(rows.y_pred.reshape(len(rows), -1).T)
        return np.stack(parts, axis=1)

    def unpack_losses(self, values: Floats) -> LossParts:
        """The parts of a loss window, from (n, width)."""
        first = 5 if self._labels else 4
        return LossParts(
            values[:, 0].copy(),
            values[:, 1].copy(),
            values[:, 2],
            values[:, 3].copy(),
            values[:, 4].copy() if self._labels else None,
            self._as_scores(values[:, first:].copy()) if self._scores else None,
        )

    def _as_scores(self, values: Floats) -> Floats:
        return values if self._classes else values[:, 0]
