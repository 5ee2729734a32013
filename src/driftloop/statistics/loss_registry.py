"""The loss tests by name, behind one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from driftloop.statistics.hac import newey_west_test
from driftloop.statistics.loss_tests import loss_test
from driftloop.statistics.phases import Phases
from driftloop.statistics.relative import phase_relative_test
from driftloop.statistics.resampling import block_permutation_test, sieve_bootstrap_test
from driftloop.statistics.results import TestResult

Seed = int | np.random.Generator


class LossTest(Protocol):
    """H0: mean loss(batch) - mean loss(reference) ≤ tolerance, one-sided."""

    def __call__(
        self,
        batch: npt.ArrayLike,
        reference: npt.ArrayLike,
        *,
        tolerance: float = 0.0,
        phases: Phases | None = None,
        seed: Seed = 0,
    ) -> TestResult:
        """Test a batch of losses, (n,), against a reference, (m,); see `loss_test`.

        `seed` decides what a test draws at random; tests that draw nothing ignore it.
        """


class _Drawless:
    """A test that draws nothing, behind the call of all; a criterion that holds it pickles."""

    def __init__(self, test: Callable[..., TestResult]) -> None:
        self._test = test

    def __call__(
        self,
        batch: npt.ArrayLike,
        reference: npt.ArrayLike,
        *,
        tolerance: float = 0.0,
        phases: Phases | None = None,
        seed: Seed = 0,  # noqa: ARG002  # one call for all tests
    ) -> TestResult:
        return self._test(batch, reference, tolerance=tolerance, phases=phases)


LOSS_TESTS: dict[str, LossTest] = {
    "welch": _Drawless(loss_test),
    "phase_relative": _Drawless(phase_relative_test),
    "newey_west": _Drawless(newey_west_test),
    "block_permutation": block_permutation_test,
    "sieve_bootstrap": sieve_bootstrap_test,
}
"""welch: `loss_test`, AR-effective sizes; phase_relative: the same on losses relative to the usual
ones of their phase; newey_west: with the automatic bandwidth of Andrews."""
