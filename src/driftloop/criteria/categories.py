"""Criteria on each categorical feature, and on what is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from driftloop.criteria.contract import MISSING, Family, Finding, Integers, Part, Sample
from driftloop.criteria.describe import Description
from driftloop.statistics.categorical import (
    category_inflation,
    chi_square,
    g_test,
    unseen_categories,
)
from driftloop.statistics.missing import missing_rates
from driftloop.statistics.results import TestResult

CategoryTest = Callable[..., TestResult]

_INFLATIONS = "inflations"


class CategoryCriterion:
    """A test of one column of categories, on every categorical feature.

    Args:
        name: As registered.
        test: Of window and reference, sequences of codes with None for what is missing.
    """

    family: ClassVar[Family] = "features"
    needs: ClassVar[frozenset[Part]] = frozenset({"codes"})

    def __init__(self, name: str, test: CategoryTest) -> None:
        self.name = name
        self._test = test

    def evaluate(self, window: Sample, reference: Sample, seed: int) -> list[Finding]:  # noqa: ARG002  # nothing is drawn
        """One finding a feature."""
        if window.codes is None or reference.codes is None:
            return []
        return [
            Finding(
                self._test(_values(window.codes[:, j]), _values(codes), **self._more(reference, j)),
                name,
            )
            for j, (name, codes) in enumerate(
                zip(window.code_names, reference.codes.T, strict=True)
            )
        ]

    def _more(self, reference: Sample, j: int) -> dict[str, float]:  # noqa: ARG002  # see ShareTest
        return {}


class ShareTest(CategoryCriterion):
    """A test of the shares of categories.

    Args:
        name: As registered.
        test: As `CategoryCriterion`'s, with a keyword ``inflation``.
        dependence: ``ar`` corrects for autocorrelated records, ``none`` takes them as independent.
    """

    def __init__(self, name: str, test: CategoryTest, *, dependence: str = "ar") -> None:
        if dependence not in {"ar", "none"}:
            raise ValueError(f"dependence must be 'ar' or 'none', got {dependence!r}")
        super().__init__(name, test)
        self._dependence = dependence

    def _more(self, reference: Sample, j: int) -> dict[str, float]:
        """The inflation of a reference's column, computed once."""
        if self._dependence == "none" or reference.codes is None:
            return {}
        kept: dict[int, float] = reference.prepared.setdefault(_INFLATIONS, {})
        if j not in kept:
            codes = reference.codes[:, j]
            kept[j] = category_inflation(codes[codes != MISSING])
        return {"inflation": kept[j]}


class MissingRate:
    """Whether values are missing more or less often, of every feature."""

    name: ClassVar[str] = "missing-rate"
    family: ClassVar[Family] = "features"
    needs: ClassVar[frozenset[Part]] = frozenset({"x", "codes"})

    def evaluate(self, window: Sample, reference: Sample, seed: int) -> list[Finding]:  # noqa: ARG002  # nothing is drawn
        """One finding a feature, the numeric ones first."""
        names, gaps = [], []
        if window.x is not None and reference.x is not None:
            names += list(window.names)
            gaps.append([(~np.isfinite(side)).sum(axis=0) for side in (window.x, reference.x)])
        if window.codes is not None and reference.codes is not None:
            names += list(window.code_names)
            gaps.append([(side == MISSING).sum(axis=0) for side in (window.codes, reference.codes)])
        if not names:
            return []
        new, old = (
            np.concatenate([one[side] for one in gaps]).astype(np.float64) for side in (0, 1)
        )
        found = missing_rates(new, window.size, old, reference.size)
        return [Finding(found.column(j), name) for j, name in enumerate(names)]


def _values(codes: Integers) -> list[Any]:
    return [None if code == MISSING else code for code in codes.tolist()]


DESCRIPTIONS = {
    "chi-square": Description(
        partial(ShareTest, "chi-square", chi_square),
        "features",
        "other shares of the categories",
        "χ² / k, rare categories pooled; effect: Cramér's V",
        "Pearson (1900); Rao, Scott (1981)",
    ),
    "g-test": Description(
        partial(ShareTest, "g-test", g_test),
        "features",
        "other shares of the categories",
        "G / k, G = 2 Σ O ln(O / E), rare categories pooled; effect: Cramér's V",
        "Wilks (1935); Rao, Scott (1981)",
    ),
    "missing-rate": Description(
        MissingRate,
        "features",
        "values missing more or less often",
        "Fisher's exact test, or z for large samples; effect: difference of the rates",
        "Fisher (1922)",
    ),
    "unseen-categories": Description(
        partial(CategoryCriterion, "unseen-categories", unseen_categories),
        "features",
        "categories that the reference does not have",
        "beta-binomial tail at Good's missing mass; effect: share of unseen above expectation",
        "Good (1953); Robbins (1968)",
    ),
}
