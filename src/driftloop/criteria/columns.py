"""Criteria on each numeric feature: two-sample tests of window and reference, column by column."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np

from driftloop.criteria.contract import Family, Finding, Part
from driftloop.criteria.contract import Sample as Records
from driftloop.criteria.describe import Description
from driftloop.statistics.samples import Sample
from driftloop.statistics.univariate import compare_columns

_PREPARED = "columns"


class ColumnTest:
    """One of the two-sample tests of `statistics.univariate`, on every numeric feature.

    Args:
        name: As registered.
        test: Its name there.
        dependence: ``ar`` corrects for autocorrelated records, ``none`` takes them as independent.
    """

    family: ClassVar[Family] = "features"
    needs: ClassVar[frozenset[Part]] = frozenset({"x"})

    def __init__(self, name: str, test: str, *, dependence: str = "ar") -> None:
        if dependence not in {"ar", "none"}:
            raise ValueError(f"dependence must be 'ar' or 'none', got {dependence!r}")
        self.name = name
        self._test = test
        self._dependence = dependence

    def evaluate(self, window: Records, reference: Records, seed: int) -> list[Finding]:  # noqa: ARG002
        """One finding a feature."""
        if window.x is None or reference.x is None or not window.x.shape[1]:
            return []
        found = compare_columns(
            prepared(window), prepared(reference), (self._test,), dependence=self._dependence
        )[self._test]
        return [Finding(found.column(j), name) for j, name in enumerate(window.names)]


def prepared(records: Records) -> Sample:
    """Sorted columns and the like, made once for all tests, and once for a reference."""
    if _PREPARED not in records.prepared:
        columns = np.empty((records.size, 0)) if records.x is None else records.x
        records.prepared[_PREPARED] = Sample(columns)
    found: Sample = records.prepared[_PREPARED]
    return found


def _describe(name: str, test: str, finds: str, formula: str, source: str) -> Description:
    return Description(partial(ColumnTest, name, test), "features", finds, formula, source)


DESCRIPTIONS = {
    name: _describe(name, *rest)
    for name, rest in {
        "ks": (
            "ks",
            "any difference of a feature's distribution",
            "D = max |F - G|; effect: D",
            "Smirnov (1944); Massey (1951)",
        ),
        "cramer-von-mises": (
            "cramer_von_mises",
            "any difference, over the whole range",
            "T = nm/N² Σ (F - G)²; effect: root of 3 times the mean (F - G)²",
            "Anderson (1962)",
        ),
        "anderson-darling": (
            "anderson_darling",
            "any difference, in the tails too",
            "A², (F - G)² weighted by 1/(H(1 - H)); effect: its root mean",
            "Scholz, Stephens (1987)",
        ),
        "mann-whitney": (
            "mann_whitney",
            "larger or smaller values",
            "U; effect: P(new > old) - P(new < old)",
            "Mann, Whitney (1947)",
        ),
        "welch": (
            "welch",
            "another mean",
            "Welch's t; effect: Cohen's d",
            "Welch (1947)",
        ),
        "levene": (
            "levene",
            "another spread",
            "F of distances to the median; effect: log ratio of variances",
            "Brown, Forsythe (1974)",
        ),
    }.items()
}
