"""Criteria on predictions: their distribution, which needs no label, and their calibration."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from driftloop.criteria.contract import Family, Finding, Part, Sample
from driftloop.criteria.describe import Description
from driftloop.statistics.scores import calibration_test, residual_test, score_test


class ScoreShift:
    """Whether predictions are distributed otherwise; needs no label.

    Args:
        test: One of `statistics.univariate.TESTS`.
        dependence: ``ar`` corrects for autocorrelated predictions, ``none`` does not.
    """

    name: ClassVar[str] = "score-ks"
    family: ClassVar[Family] = "score"
    needs: ClassVar[frozenset[Part]] = frozenset({"scores"})

    def __init__(self, *, test: str = "ks", dependence: str = "ar") -> None:
        self._test = test
        self._dependence = dependence
        score_test(np.empty(0), np.empty(0), test, dependence=dependence)  # wrong ones are told now

    def evaluate(self, window: Sample, reference: Sample, seed: int) -> list[Finding]:  # noqa: ARG002  # nothing is drawn
        """One finding; of several classes that of the most significant one, by Holm."""
        if window.scores is None or reference.scores is None:
            return []
        found = score_test(window.scores, reference.scores, self._test, dependence=self._dependence)
        return [Finding(found)]


class Calibration:
    """Whether predictions are right on average, on the window alone.

    Classification: whether labels follow the probabilities; regression: whether the residuals have
    the mean 0.

    Args:
        dependence: ``ar`` corrects for autocorrelated errors, ``none`` does not.
        task: ``classification`` or ``regression``; by default told by the labels and predictions.
    """

    name: ClassVar[str] = "calibration"
    family: ClassVar[Family] = "loss"
    needs: ClassVar[frozenset[Part]] = frozenset({"scores", "labels"})

    def __init__(self, *, dependence: str = "ar", task: str = "") -> None:
        if task not in {"", "classification", "regression"}:
            raise ValueError(f"task must be 'classification' or 'regression', got {task!r}")
        self._dependence = dependence
        self._task = task
        residual_test(np.empty(0), np.empty(0), dependence=dependence)  # a wrong one is told now

    def evaluate(self, window: Sample, reference: Sample, seed: int) -> list[Finding]:  # noqa: ARG002  # nothing is drawn
        """One finding; the window alone is judged."""
        y, scores = window.labels, window.scores
        if y is None or scores is None:
            return []
        classes = self._task == "classification" or (not self._task and window.classes > 0)
        test = calibration_test if classes else residual_test
        return [Finding(test(y, scores, dependence=self._dependence))]


DESCRIPTIONS = {
    "score-ks": Description(
        ScoreShift,
        "score",
        "another distribution of the predictions or class probabilities; needs no label",
        "Kolmogorov-Smirnov's D, over classes by Holm; effect: D",
        "Smirnov (1944); Holm (1979)",
    ),
    "calibration": Description(
        Calibration,
        "loss",
        "probabilities that labels do not follow; residuals whose mean is not 0",
        "Spiegelhalter's z, effect: expected calibration error; or one-sample t",
        "Spiegelhalter (1986)",
    ),
}
