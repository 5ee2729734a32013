"""The champion's losses: computed, watched by detectors, and corrected online.

All of it advances in blocks of 64 labelled records counted within the stream and its windows, so
that nothing depends on how the records were cut into batches.
"""

from __future__ import annotations

import numpy as np

from driftloop.detection.detectors import Detector, from_settings
from driftloop.detection.signals import LargeLoss, Signal
from driftloop.detection.watch import LABELLED
from driftloop.records.columns import Columns, Floats
from driftloop.settings import Profile
from driftloop.statistics.correction import OnlineCorrection, make_correction
from driftloop.statistics.losses import compute

BLOCK = 64
"""Records that the correction learns from at a time."""

CATEGORIES = 16
"""Categories a feature that the correction tells apart; all others share the level."""


class ChampionLosses:
    """Losses of one model version.

    Args:
        profile: Task, loss, features, detectors.
        vocabulary: Categories of each categorical feature, as seen before; what is new later
            shares the level.
    """

    def __init__(self, profile: Profile, vocabulary: list[list[str]]) -> None:
        self._task = profile.task
        self._loss = profile.loss
        self._vocabulary = [
            {name: code for code, name in enumerate(names[:CATEGORIES])} for names in vocabulary
        ]
        self._numeric = len(profile.features.numeric)
        width = self._numeric + sum(len(names) for names in self._vocabulary)
        self._detectors: list[Detector] = [
            from_settings(one) for one in profile.policy.detectors if one.on in LABELLED
        ]
        self._large = LargeLoss() if profile.task == "regression" else None
        self._correction: OnlineCorrection | None = None
        if profile.policy.kind == "reducible":
            self._correction = make_correction(
                profile.task,
                width,
                forgetting=profile.policy.forgetting,
                classes=len(profile.classes),
                codes=profile.loss == "zero_one" and profile.task == "binary",
            )

    def advance(self, rows: Columns) -> tuple[Floats, Floats, list[Signal]]:
        """Take complete blocks of rows; only the last may be shorter, when a window ends there.

        Returns:
            Losses (n,), losses of the corrected predictions (n,), and signals of the detectors on
            loss or error, by record.
        """
        blocks = [slice(i, min(i + BLOCK, len(rows))) for i in range(0, len(rows), BLOCK)]
        losses = self._blockwise(rows.y, rows.y_pred, blocks)
        champion = losses
        own = ~np.isnan(rows.loss)
        if own.any():
            losses = np.where(own, rows.loss, losses)
        if self._correction is None:
            corrected = np.full(len(rows), np.nan)
        else:
            design = self._design(rows)
            better = self._correction.blocks(design, rows.y, rows.y_pred, BLOCK)
            corrected = self._blockwise(rows.y, better, blocks)
            if own.any():
                # The record's own loss may have another unit: only the saving can be taken over.
                corrected = np.where(own, losses + (corrected - champion), corrected)
        return losses, corrected, self._signals(rows, losses)

    def _signals(self, rows: Columns, losses: Floats) -> list[Signal]:
        values = {"loss": losses}
        if any(detector.on == "error" for detector in self._detectors):
            values["error"] = self._errors(rows, losses)
        signals = [
            Signal(detector.name, detector.on, index, float(values[detector.on][index]))
            for detector in self._detectors
            for index in detector.update_many(values[detector.on])
        ]
        signals.sort(key=lambda signal: signal.row)
        return signals

    def _errors(self, rows: Columns, losses: Floats) -> Floats:
        """Errors, (n,), 0 or 1: wrong classes, or a regression's large losses; nan = not known."""
        if self._large is not None:
            return self._large.of(losses)
        return compute("zero_one", rows.y, rows.y_pred)

    def _blockwise(self, y: Floats, y_pred: Floats, blocks: list[slice]) -> Floats:
        if self._loss != "log_loss":
            return compute(self._loss, y, y_pred)
        # A vectorised logarithm may round differently at the end of an array than within it.
        return np.concatenate([compute(self._loss, y[b], y_pred[b]) for b in blocks])

    def _design(self, rows: Columns) -> Floats:
        """Numeric features beside one column a known category, (n, features)."""
        if not self._vocabulary:
            return rows.x
        parts = [rows.x]
        for codes, column in zip(self._vocabulary, rows.categories, strict=True):
            found = np.array(
                [codes.get(value, -1) if value is not None else -1 for value in column]
            )  # (n,)
            parts.append((found[:, None] == np.arange(len(codes))).astype(np.float64))
        return np.concatenate(parts, axis=1)


def predicts(rows: Columns) -> bool:
    """Whether any row carries a prediction or a loss of its own."""
    first = rows.y_pred[:, 0] if rows.y_pred.ndim > 1 else rows.y_pred
    return bool((~np.isnan(first)).any() or (~np.isnan(rows.loss)).any())
