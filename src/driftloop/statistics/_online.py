"""Least squares with forgetting and a learned gain: what all corrections of `correction` share."""

from __future__ import annotations

import abc
import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dposv

Array = npt.NDArray[np.float64]

RIDGE = 8.0
"""Weight of the shrinkage of β to 0, in records (of curvature 1 for classification)."""

WINSOR = 5.0
"""Standardised features are held within ± this."""

SCALE_RECORDS = 2048
"""The features' mean and variance are learned from about so many first records, then fixed."""


class OnlineCorrection(abc.ABC):
    """The correction of one stream's champion; made by `make_correction`.

    Pure and seedless: the same blocks give the same bits. All state is small (about 2 kB pickled
    with ten features) and pickles.

    Attributes:
        records: Labelled records learned from.
        gain: The factor g in [0, 1] on the next block's corrections.
    """

    __slots__ = (
        "_beta",
        "_centre",
        "_features",
        "_forgetting",
        "_inverse_scale",
        "_moments",
        "_outputs",
        "_spread",
        "gain",
        "records",
    )

    def __init__(self, n_features: int, outputs: int, forgetting: float) -> None:
        self._features = n_features
        self._outputs = outputs
        self._forgetting = forgetting
        self._centre = np.zeros(n_features)
        self._inverse_scale = np.ones(n_features)
        self._beta = np.zeros((n_features + 1, outputs))
        # Σ w v (z, 1, u, c)(z, 1, u, c)ᵀ; u and c as (outputs) columns each.
        self._moments = np.zeros((n_features + 1 + 2 * outputs,) * 2)
        self._spread = 0.0  # root mean square of the residuals; 1 for classification
        self.gain = 1.0
        self.records = 0

    def block(
        self, features: npt.ArrayLike | None, y: npt.ArrayLike, y_pred: npt.ArrayLike
    ) -> Array:
        """Correct a block of predictions with what was learned before it, then learn from it.

        Args:
            features: (n, n_features), categories one-hot; not finite counts as the mean. None:
                all missing, so that only the level is corrected.
            y: Labels, (n,): numbers or class indices. A label that is not finite, or no class
                index, is not learned from; its prediction is corrected all the same.
            y_pred: The champion's predictions: (n,) numbers, probabilities of class 1, or class
                codes; (n, classes) probabilities. Not finite: returned as it is, not learned from.

        Returns:
            Corrected predictions in the units and the shape of `y_pred`.
        """
        labels = np.asarray(y, dtype=np.float64)
        predictions = np.asarray(y_pred, dtype=np.float64)
        if not len(labels):
            return predictions.copy()
        with np.errstate(all="ignore"):  # absurd magnitudes are held or left out, without a warning
            z = self._design(features, len(labels))
            raw = z @ self._beta  # (n, outputs), the correction before the gain
            return self._correct(z, raw, labels, predictions)

    @abc.abstractmethod
    def _correct(self, z: Array, raw: Array, y: Array, y_pred: Array) -> Array:
        """Correct by the gain times `raw` (n, outputs), then learn; as the task asks."""

    def _design(self, features: npt.ArrayLike | None, n: int) -> Array:
        """Return (z, 1), (n, features + 1): standardised by earlier blocks, winsorised."""
        d = self._features
        z = np.empty((n, d + 1))
        z[:, d] = 1.0
        if d == 0:
            return z
        part = z[:, :d]
        if features is None:
            part[:] = 0.0
            return z
        values = np.asarray(features, dtype=np.float64)
        if self.records == 0:
            self._first_scale(values)
        np.subtract(values, self._centre, out=part)
        np.multiply(part, self._inverse_scale, out=part)
        np.maximum(part, -WINSOR, out=part)
        np.minimum(part, WINSOR, out=part)
        if math.isnan(np.add.reduce(part, axis=None)):
            part[np.isnan(part)] = 0.0
        return z

    def _first_scale(self, values: Array) -> None:
        """Standardise the first block, which is only learned from, by its own moments."""
        values = np.ascontiguousarray(values)  # the order of summation is that of the memory
        mask = np.isfinite(values)
        count = np.maximum(mask.sum(axis=0), 1)
        self._centre = np.where(mask, values, 0.0).sum(axis=0) / count
        centred = np.where(mask, values - self._centre, 0.0)
        self._set_scale(np.square(centred).sum(axis=0) / count)

    def _set_scale(self, variance: Array) -> None:
        """Take a variance as the scale; a feature that has not varied yet keeps its units."""
        floor = 1e-18 * np.square(self._centre) + 1e-300  # rounding alone is no variation
        usable = (variance > floor) & np.isfinite(variance)
        self._inverse_scale = 1.0 / np.sqrt(np.where(usable, variance, 1.0))

    def _update_scale(self, block: Array, n: int) -> None:
        """Move the features' mean and variance towards the block's, read off its moments."""
        d = self._features
        weight = block[d, d]
        if not weight > 0.0:
            return
        share = n / (self.records + n)
        mean = block[d, :d] / weight  # in standardised units
        square = block.diagonal()[:d] / weight
        scale = 1.0 / self._inverse_scale
        shift = share * scale * mean
        self._centre = self._centre + shift
        self._set_scale(np.square(scale) * (1.0 - share + share * square) - np.square(shift))

    def _learn(self, columns: Array, n: int, variance: float) -> None:
        """Take a block's weighted columns (z, 1, u, c) in, and solve for the next block's β, g.

        Args:
            columns: (n, features + 1 + 2 · outputs), rows times the root of their weight.
            n: Labelled records among them.
            variance: Of u about its expectation, where v = 1.
        """
        p, outputs = self._features + 1, self._outputs
        block = columns.T @ columns
        self._moments *= self._forgetting ** len(columns)
        self._moments += block
        if p > 1 and 0 < self.records < SCALE_RECORDS:
            self._update_scale(block, n)
        self.records += n
        moments = self._moments
        _, beta, info = dposv(moments[:p, :p] + _ridge(p), moments[:p, p : p + outputs])
        if info == 0:
            self._beta = beta
        last = p + outputs
        if outputs == 1:
            useful, energy = moments[p, last], moments[last, last]
        else:
            useful = np.trace(moments[p:last, last:])
            energy = np.trace(moments[last:, last:])
        prior = variance + 1e-300
        gain = (float(useful) + prior) / (float(energy) + prior)
        self.gain = min(max(gain, 0.0), 1.0)


@lru_cache(maxsize=256)
def root_weights(forgetting: float, n: int) -> Array:
    """Return the roots of λ^(n - 1), …, λ, 1, (n, 1)."""
    return np.sqrt(forgetting ** np.arange(n - 1, -1, -1.0))[:, None]


@lru_cache(maxsize=256)
def _ridge(p: int) -> Array:
    """Return the ridge's matrix, (p, p)."""
    return RIDGE * np.eye(p)
