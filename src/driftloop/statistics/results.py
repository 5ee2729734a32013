"""What every test of this package returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MIN_VALUES = 5
"""A column with fewer finite values than this in either sample gets no verdict."""

MIN_EFFECTIVE = 10.0
"""Fewer effective records than this in any sample of dependent ones: no verdict."""


class TestResult(msgspec.Struct, frozen=True):
    """The outcome of one test.

    Attributes:
        statistic: The test's own statistic; nan without a verdict.
        p_value: In [0, 1]; nan means 'no verdict', and `reason` says why.
        effect: Size of the difference, positive when it speaks for drift. `loss_test`: standardised
            (difference of means over the pooled standard deviation). `paired_mean_test`: the mean
            difference, in units of the loss. nan without data.
        n: Finite records tested.
        n_reference: Finite reference records; 0 where a test has no reference.
        n_effective: Independent records that `n` dependent ones are worth, in (0, n].
        n_effective_reference: The same for the reference; 0 where a test has none.
        reason: Why there is no verdict; empty when there is one.
    """

    __test__: ClassVar[bool] = False  # pytest collects classes by the prefix Test

    statistic: float
    p_value: float
    effect: float
    n: int
    n_reference: int
    n_effective: float
    n_effective_reference: float
    reason: str = ""

    @property
    def has_verdict(self) -> bool:
        """Whether the test could decide anything."""
        return not math.isnan(self.p_value)


def no_verdict(
    reason: str,
    *,
    effect: float = math.nan,
    n: int = 0,
    n_reference: int = 0,
    n_effective: float = 0.0,
    n_effective_reference: float = 0.0,
) -> TestResult:
    """Return the result of a test that could not decide, with the reason why."""
    return TestResult(
        statistic=math.nan,
        p_value=math.nan,
        effect=effect,
        n=n,
        n_reference=n_reference,
        n_effective=n_effective,
        n_effective_reference=n_effective_reference,
        reason=reason,
    )


@dataclass(frozen=True, slots=True, eq=False)
class ColumnTests:
    """The outcome of one test on each of d columns; all arrays are (d,).

    Attributes:
        statistic: The test's own statistic; nan without a verdict.
        p_value: In [0, 1]; nan means 'no verdict', and `reason` says why.
        effect: Size of the difference, as the test defines it; signed ones are positive when the
            window is larger. It may be known where there is no verdict; nan otherwise.
        n: Finite values of the window, whole numbers.
        n_reference: Finite values of the reference, whole numbers.
        n_effective: Independent values that the window's dependent ones are worth, in [0, n].
        n_effective_reference: The same for the reference.
    """

    statistic: Array
    p_value: Array
    effect: Array
    n: Array
    n_reference: Array
    n_effective: Array
    n_effective_reference: Array

    def __len__(self) -> int:
        return len(self.p_value)

    def reason(self, column: int) -> str:
        """Return why a column has no verdict: too few values, nothing varies; '' with one."""
        if not math.isnan(self.p_value[column]):
            return ""
        sizes = (self.n[column], self.n_reference[column])
        effective = (self.n_effective[column], self.n_effective_reference[column])
        side = int(effective[1] < effective[0])
        which = ("window", "reference")[side]
        if min(sizes) < MIN_VALUES:
            return f"{which} has {sizes[side]:.0f} values, fewer than {MIN_VALUES}"
        if effective[side] < min(MIN_EFFECTIVE, sizes[side]):
            few = f"{effective[side]:.1f} effective values"
            return f"{which} has {few}, fewer than {MIN_EFFECTIVE:.0f}"
        return "nothing varies, or the values are too large to compare"

    def column(self, column: int) -> TestResult:
        """Return one column's outcome."""
        return TestResult(
            statistic=float(self.statistic[column]),
            p_value=float(self.p_value[column]),
            effect=float(self.effect[column]),
            n=int(self.n[column]),
            n_reference=int(self.n_reference[column]),
            n_effective=float(self.n_effective[column]),
            n_effective_reference=float(self.n_effective_reference[column]),
            reason=self.reason(column),
        )
