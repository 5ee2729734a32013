"""The loss of a trivial prediction: what a model must beat to be worth anything."""

from __future__ import annotations

import math

import numpy as np

from driftloop.statistics.losses import PROBABILITY_FLOOR, Array, compute


class NaiveLosses:
    """Losses of predicting each record by the last label before it.

    For log loss, which needs a probability, that the class stays is given the share of earlier
    labels that it did, (stayed + 1) / (seen + classes), and the other classes share the rest.

    Args:
        loss: As `driftloop.statistics.losses.compute` takes it.
        classes: Number of classes; at least 2 count.
    """

    def __init__(self, loss: str, classes: int = 2) -> None:
        self._loss = loss
        self._classes = max(classes, 2)
        self._last = math.nan
        self._seen = 0
        self._stayed = 0

    def advance(self, y: Array, block: int) -> Array:
        """Take labels, in order.

        Args:
            y: Labels, (n,); nan = absent.
            block: Labels whose logarithms are taken together: where the first one of each call
                begins a block, how labels were cut into calls does not matter.

        Returns:
            Losses, (n,); nan before the second label, and where a label is absent.
        """
        known = ~np.isnan(y)
        labels = y if known.all() else y[known]  # (m,)
        if not len(labels):
            return np.full(len(y), np.nan)
        before = np.concatenate([[self._last], labels[:-1]])  # (m,)
        by_share = self._loss == "log_loss"
        found = self._shares(labels, before) if by_share else compute(self._loss, labels, before)
        self._last = float(labels[-1])
        if len(labels) < len(y):
            spread = np.full(len(y), np.nan)
            spread[known] = found
            found = spread
        return _logarithms(found, block) if by_share else found

    def _shares(self, labels: Array, before: Array) -> Array:
        """Probability of each label, (m,); nan for the first of all."""
        paired = ~np.isnan(before)
        same = labels == before
        seen = self._seen + np.cumsum(paired) - paired  # pairs before each label, (m,)
        stayed = self._stayed + np.cumsum(same) - same
        stays = (stayed + 1.0) / (seen + self._classes)
        self._seen += int(paired.sum())
        self._stayed += int(same.sum())
        chosen = np.where(same, stays, (1.0 - stays) / (self._classes - 1))
        return np.where(paired, chosen, np.nan)


def _logarithms(chosen: Array, block: int) -> Array:
    """Log losses, (n,). A vectorised logarithm may round differently at the end of an array."""
    return np.concatenate(
        [
            -np.log(np.maximum(chosen[i : i + block], PROBABILITY_FLOOR))
            for i in range(0, len(chosen), block)
        ]
    )
