"""What every test of this package returns."""

from __future__ import annotations

import math
from typing import ClassVar

import msgspec


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
