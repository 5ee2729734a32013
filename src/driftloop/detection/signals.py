"""What detectors read of a record besides its loss and its features: its error and its score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from driftloop.records.columns import Floats

REFERENCE = 100
"""Losses of a model version from which the threshold of a regression's error is learned."""

QUANTILE = 0.75
"""Share of these losses that are no error."""


class Signal(NamedTuple):
    """A detector signals at a record.

    Attributes:
        detector: Its name.
        on: What it reads.
        row: The record's index among those given.
        value: What it read there.
    """

    detector: str
    on: str
    row: int
    value: float


class LargeLoss:
    """The error of a regression: whether a loss is larger than most of the first ones were.

    The threshold is the upper quartile of the model version's first 100 losses (numpy's linear
    interpolation), which themselves give no error, and is then fixed. So without drift errors are
    drawn with one probability, about 1/4, as the detectors of errors assume; a threshold that went
    on learning would follow the drift. The quantile of 100 losses has itself a standard error:
    errors come with a probability of .25 ± .04, constant within a version.

    >>> error = LargeLoss()
    >>> error.of(np.arange(102.0)).tolist()[-3:], error.threshold
    ([nan, 1.0, 1.0], 74.25)
    """

    __slots__ = ("_first", "threshold")

    def __init__(self) -> None:
        self.threshold = np.nan
        self._first: list[float] = []

    def of(self, losses: Floats) -> Floats:
        """Errors, (n,): 1 or 0; nan where there is no loss, or no threshold yet.

        Args:
            losses: Losses, (n,), in order; how they are cut into calls does not matter.
        """
        errors = np.full(len(losses), np.nan)
        start = 0
        if np.isnan(self.threshold):
            usable = np.flatnonzero(np.isfinite(losses))[: REFERENCE - len(self._first)]
            self._first += losses[usable].tolist()
            if len(self._first) < REFERENCE:
                return errors
            start = int(usable[-1]) + 1
            self.threshold = float(np.quantile(self._first, QUANTILE))
            self._first = []
        rest = losses[start:]
        errors[start:] = np.where(np.isnan(rest), np.nan, rest > self.threshold)
        return errors


def score(y_pred: Floats) -> Floats:
    """What a model says of each record, (n,): its prediction; nan where there is none.

    Args:
        y_pred: Predictions, (n,): as they are, for binary tasks the probability of class 1 or the
            class's index; or (n, classes): the probability of the predicted class.

    >>> score(np.array([[0.2, 0.5, 0.3], [np.nan, np.nan, np.nan]])).tolist()
    [0.5, nan]
    """
    return y_pred if y_pred.ndim == 1 else np.asarray(y_pred.max(axis=1), dtype=np.float64)
