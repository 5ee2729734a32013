"""Champions that are cheap to train, so that thousands of retrains can be tried."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from experiments._sets import Stream

Array = npt.NDArray[np.float64]
Kind = Literal["linear", "hidden"]

HIDDEN = 32
"""Width of the fixed random hidden layer of champion ``hidden``."""

_STEPS = 12  # of Newton's method
_HELD = 30.0  # largest logit


class Champions:
    """The champions of a stream, by the record after which they were trained.

    ``linear``: ridge or logistic regression. ``hidden``: the same on the features and on a hidden
    layer of `HIDDEN` random tanh units that stays (an extreme learning machine): its layer is what
    the correction may share. Each is trained once, whoever asks for it.
    """

    def __init__(self, stream: Stream, kind: Kind, seed: int) -> None:
        self.stream = stream
        first = stream.x[: stream.train]
        scale = first.std(axis=0)
        scale[scale == 0.0] = 1.0
        self.x = np.clip((stream.x - first.mean(axis=0)) / scale, -5.0, 5.0)  # (n, d)
        rng = np.random.default_rng(seed)
        width = self.x.shape[1]
        weights = rng.standard_normal((width, HIDDEN)) * 1.5 / np.sqrt(width)
        self.hidden = np.tanh(self.x @ weights + rng.uniform(-1.0, 1.0, HIDDEN))  # (n, HIDDEN)
        parts = [self.x, np.ones((len(self.x), 1))]
        self._design = np.hstack(parts if kind == "linear" else [self.hidden, *parts])
        self._fits: dict[int, Array] = {}

    def predict(self, trained_at: int, first: int, last: int) -> Array:
        """Predictions, or probabilities of class 1, of the records [first, last)."""
        out = self._design[first:last] @ self._fit(trained_at)
        if self.stream.task == "regression":
            return out
        return 1.0 / (1.0 + np.exp(-np.clip(out, -_HELD, _HELD)))

    def _fit(self, end: int) -> Array:
        if end not in self._fits:
            part = slice(max(0, end - self.stream.train), end)
            self._fits[end] = _solve(self._design[part], self.stream.y[part], self.stream.task)
        return self._fits[end]


def _solve(design: Array, y: Array, task: str) -> Array:
    ridge = np.eye(design.shape[1])
    if task == "regression":
        return np.asarray(np.linalg.solve(design.T @ design + ridge, design.T @ y), np.float64)
    beta = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -_HELD, _HELD)))
        curvature = np.maximum(p * (1.0 - p), 1e-4)
        gradient = design.T @ (y - p) - beta
        step = np.linalg.solve((design.T * curvature) @ design + ridge, gradient)
        beta += step
        if np.abs(step).max() < 1e-4:
            break
    return beta


def losses(stream: Stream, part: slice, predicted: Array) -> Array:
    """Absolute error, or log loss, of each record, (n,)."""
    y = stream.y[part]
    if stream.task == "regression":
        return np.abs(y - predicted)
    held = np.clip(predicted, 1e-6, 1.0 - 1e-6)
    return np.asarray(-np.log(np.where(y > 0.5, held, 1.0 - held)))
