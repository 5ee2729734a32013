"""Criteria on all numeric features together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from driftloop.criteria.contract import Family, Finding, Part, Sample
from driftloop.criteria.describe import Description
from driftloop.statistics.classifier import classifier_test
from driftloop.statistics.multivariate import energy_distance, mmd
from driftloop.statistics.results import TestResult


class JointTest:
    """A test of all numeric features at once.

    Args:
        name: As registered.
        test: Of window and reference, (n, d) and (m, d).
        draws: Whether it takes a seed.
        params: What the test takes besides.
    """

    family: ClassVar[Family] = "features"
    needs: ClassVar[frozenset[Part]] = frozenset({"x"})

    def __init__(
        self, name: str, test: Callable[..., TestResult], *, draws: bool, **params: Any
    ) -> None:
        self.name = name
        self._draws = draws
        self._test = partial(test, **params)
        self._test(np.empty((0, 1)), np.empty((0, 1)))  # wrong params are told now

    def evaluate(self, window: Sample, reference: Sample, seed: int) -> list[Finding]:
        """One finding."""
        if window.x is None or reference.x is None or not window.x.shape[1]:
            return []
        more = {"seed": seed} if self._draws else {}
        return [Finding(self._test(window.x, reference.x, **more))]


DESCRIPTIONS = {
    "mmd": Description(
        partial(JointTest, "mmd", mmd, draws=True, block=None),
        "features",
        "any difference of the features' joint distribution",
        "MMD², Gaussian kernel at the median distance, by permutation of blocks; effect: √MMD²",
        "Gretton et al. (2012)",
    ),
    "energy": Description(
        partial(JointTest, "energy", energy_distance, draws=True, block=None),
        "features",
        "any difference of the features' joint distribution",
        "energy distance, by permutation of blocks; effect: root of its share of the mean distance",
        "Székely, Rizzo (2013)",
    ),
    "classifier": Description(
        partial(JointTest, "classifier", classifier_test, draws=False, dependence="ar"),
        "features",
        "whether a logistic regression tells window from reference",
        "Mann-Whitney's U of its scores on later parts; effect: 2 AUC - 1",
        "Lopez-Paz, Oquab (2017)",
    ),
}
