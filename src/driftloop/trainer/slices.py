"""Slices: categories in which a challenger must not be worse, though it is good enough in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from driftloop.statistics.loss_tests import paired_mean_test
from driftloop.statistics.multiplicity import holm

Array = npt.NDArray[np.float64]


LEAST_EFFECTIVE = 3.0
"""Effective records that the gate's tests need: see `paired_mean_test`."""


class Slice(NamedTuple):
    """One category of one feature.

    Attributes:
        feature: Its name.
        category: Its text; None for the records without one.
        records: Of the hold-out, in it.
        mean: Mean of loss(challenger) - loss(champion) there.
        p_value: Adjusted for all slices.
    """

    feature: str
    category: str | None
    records: int
    mean: float
    p_value: float


class Slices(NamedTuple):
    """What the slices say.

    Attributes:
        tested: How many had a verdict.
        p_value: The smallest adjusted one, or None.
        worse: Those in which the challenger is significantly worse, the surest first.
    """

    tested: int
    p_value: float | None
    worse: list[Slice]


def worse_slices(
    difference: Array,
    categories: Mapping[str, Sequence[str | None]],
    *,
    margin: float,
    alpha: float,
    least: int,
) -> Slices:
    """Test every category of some features.

    The records of a category, in their order, are tested as all of them are: one-sided, paired, H0:
    mean(d) ≤ margin, with autocorrelation-corrected n. p-values are adjusted by Holm over all
    categories of all features, which overlap; so some slice of an equal challenger is called worse
    with probability `alpha` at most. A category without a verdict (too few effective records)
    counts neither way.

    Args:
        difference: (records,) loss(challenger) - loss(champion), in order; not finite is left out.
        categories: By feature, (records,) texts; None, a missing one, is a category too.
        margin: Mean difference that is accepted, in units of the loss.
        alpha: Level over all slices.
        least: Categories with fewer finite differences are left out.
    """
    found: list[Slice] = []
    for name, column in categories.items():
        for category, chosen in _by_category(difference, column):
            test = paired_mean_test(chosen, tolerance=margin, least=LEAST_EFFECTIVE)
            if len(chosen) >= least and test.has_verdict:
                mean = float(chosen.mean())
                found.append(Slice(name, category, len(chosen), mean, test.p_value))
    if not found:
        return Slices(0, None, [])
    adjusted = holm([one.p_value for one in found]).tolist()
    found = [one._replace(p_value=p) for one, p in zip(found, adjusted, strict=True)]
    worse = sorted(
        (one for one in found if one.p_value < alpha), key=lambda one: (one.p_value, -one.mean)
    )
    return Slices(len(found), min(adjusted), worse)


def _by_category(
    difference: Array, column: Sequence[str | None]
) -> Iterator[tuple[str | None, Array]]:
    """The finite differences of each category, in the order in which categories first occur."""
    places: dict[str | None, list[int]] = {}
    for index, category in enumerate(column):
        places.setdefault(category, []).append(index)
    for category, indices in places.items():
        chosen = difference[indices]
        yield category, chosen[np.isfinite(chosen)]
