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
        "_pending",
        "_scaled_at",
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
        # Sums of (z, 1) and of their squares since the features' scale was last updated, and when.
        self._pending = np.zeros((2, n_features + 1))
        self._scaled_at = 0
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
        return self.blocks(features, y, y_pred, max(len(np.asarray(y)), 1))

    def blocks(
        self, features: npt.ArrayLike | None, y: npt.ArrayLike, y_pred: npt.ArrayLike, size: int
    ) -> Array:
        """Take records as `block` does, `size` at a time; the last block may be shorter."""
        labels = np.asarray(y, dtype=np.float64)
        predictions = np.asarray(y_pred, dtype=np.float64)
        values = None if features is None else np.asarray(features, dtype=np.float64)
        width = self._features + 1 + 2 * self._outputs
        out = np.empty_like(predictions)
        with np.errstate(all="ignore"):  # absurd magnitudes are held or left out, without a warning
            for start in range(0, len(labels), size):
                part = slice(start, start + size)
                own = labels[part]
                columns = np.empty((len(own), width))  # the rows of (z, 1, u, c)
                z = self._design(None if values is None else values[part], columns)
                raw = z @ self._beta  # (n, outputs), the correction before the gain
                out[part] = self._correct(columns, raw, own, predictions[part])
        return out

    @abc.abstractmethod
    def _correct(self, columns: Array, raw: Array, y: Array, y_pred: Array) -> Array:
        """Correct by the gain times `raw` (n, outputs), then learn; as the task asks.

        Args:
            columns: (n, features + 1 + 2 · outputs); (z, 1) is there, u and c are to be set.
            raw: zβ.
            y: Labels.
            y_pred: The champion's predictions.
        """

    def _design(self, values: Array | None, columns: Array) -> Array:
        """Set (z, 1), (n, features + 1), standardised by earlier blocks and winsorised."""
        d = self._features
        z = columns[:, : d + 1]
        z[:, d] = 1.0
        if d == 0:
            return z
        part = z[:, :d]
        if values is None:
            part[:] = 0.0
            return z
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

    def _update_scale(self, block: Array) -> None:
        """Move the features' mean and variance towards those of the records since the last time.

        Done when the records have doubled. What was learned is expressed in the new units.
        """
        d = self._features
        self._pending[0] += block[d, : d + 1]
        self._pending[1] += block.diagonal()[: d + 1]
        weight = self._pending[0, d]
        if self.records < 2 * self._scaled_at or not weight > 0.0:
            return
        share = 1.0 - self._scaled_at / self.records
        mean, square = self._pending[:, :d] / weight  # in standardised units
        inverse, centre = self._inverse_scale, self._centre
        shift = share * mean / inverse
        self._centre = centre + shift
        self._set_scale((1.0 - share + share * square) / np.square(inverse) - np.square(shift))
        change = np.eye(len(self._moments))
        change.flat[: d * (len(change) + 1) : len(change) + 1] = self._inverse_scale / inverse
        change[:d, d] = -shift * self._inverse_scale
        self._moments = change @ self._moments @ change.T
        self._pending[:] = 0.0
        self._scaled_at = self.records

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
        first = self.records == 0
        self.records += n
        if first:
            self._scaled_at = n
        elif p > 1 and self._scaled_at < SCALE_RECORDS:
            self._update_scale(block)
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
