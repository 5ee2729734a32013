"""Criteria on losses: the monitoring test, reducible loss, and an anytime-valid test."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from driftloop.criteria.contract import Family, Finding, Part, Sample
from driftloop.criteria.describe import Description
from driftloop.statistics.eprocess import EDetector
from driftloop.statistics.loss_registry import LOSS_TESTS
from driftloop.statistics.loss_tests import paired_mean_test
from driftloop.statistics.results import MIN_VALUES, TestResult, no_verdict
from driftloop.statistics.window_scores import window_score

_LARGEST_LOG = 700.0  # its exponential is still finite


class LossRise:
    """Whether the mean loss is above the reference's, by one of `LOSS_TESTS`.

    Args:
        test: ``welch``, ``phase-relative``, ``newey-west``, ``block-permutation`` or
            ``sieve-bootstrap``.
        tolerance: Rise that is accepted, in units of the loss.
    """

    name = "loss"
    family: ClassVar[Family] = "loss"
    needs: ClassVar[frozenset[Part]] = frozenset({"losses"})

    def __init__(self, *, test: str = "welch", tolerance: float = 0.0) -> None:
        known = {name.replace("_", "-"): function for name, function in LOSS_TESTS.items()}
        if test not in known:
            raise ValueError(f"test must be one of {', '.join(sorted(known))}, got {test!r}")
        self._test = known[test]
        self._tolerance = tolerance

    def evaluate(self, window: Sample, reference: Sample, seed: int) -> list[Finding]:
        """One finding; the effect is standardised."""
        if window.losses is None or reference.losses is None:
            return []
        phases = None
        if window.phases is not None and reference.phases is not None:
            phases = (window.phases, reference.phases)
        result = self._test(
            window.losses, reference.losses, tolerance=self._tolerance, phases=phases, seed=seed
        )
        return [Finding(result)]


class Reducible:
    """Whether an online correction of the champion saves loss on the window's own records.

    Args:
        tolerance: Mean saving that is no ground yet, in units of the loss.
    """

    name = "reducible"
    family: ClassVar[Family] = "loss"
    needs: ClassVar[frozenset[Part]] = frozenset({"losses", "corrected"})

    def __init__(self, *, tolerance: float = 0.0) -> None:
        self._tolerance = tolerance

    def evaluate(
        self,
        window: Sample,
        reference: Sample,  # noqa: ARG002  # the corrected predictions are the reference
        seed: int,  # noqa: ARG002  # nothing is drawn
    ) -> list[Finding]:
        """One finding; the effect is the mean loss saved a record."""
        if window.losses is None or window.corrected is None:
            return []
        with np.errstate(invalid="ignore"):  # inf - inf is nan, and dropped
            saved = window.losses - window.corrected
        return [Finding(paired_mean_test(saved, tolerance=self._tolerance))]


class EValue:
    """An anytime-valid test: bets on the windows' mean losses, from the version's start on.

    The p-value is min(1, 1 / e) of the e-detector: a level a has an average run length of at least
    1 / a windows.
    """

    name = "e-process"
    family: ClassVar[Family] = "loss"
    needs: ClassVar[frozenset[Part]] = frozenset({"losses"})

    def __init__(self) -> None:
        self._detector = EDetector()

    def evaluate(self, window: Sample, reference: Sample, seed: int) -> list[Finding]:  # noqa: ARG002
        """One finding; the statistic is the e-value, the effect the window's score."""
        if window.losses is None or reference.losses is None:
            return []
        n = int(np.isfinite(window.losses).sum())
        phases = None
        if window.phases is not None and reference.phases is not None:
            phases = (window.phases, reference.phases)
        score = math.nan
        if n >= MIN_VALUES:
            score = window_score(window.losses, reference.losses, phases=phases)
        if math.isnan(score):
            reason = "too few effective records for a score"
            return [Finding(no_verdict(reason, n=window.size, n_reference=reference.size))]
        log_e = self._detector.update([score])
        result = TestResult(
            statistic=math.exp(min(log_e, _LARGEST_LOG)),
            p_value=min(1.0, math.exp(-log_e)) if log_e < _LARGEST_LOG else 0.0,
            effect=score,
            n=window.size,
            n_reference=reference.size,
            n_effective=float(window.size),
            n_effective_reference=float(reference.size),
        )
        return [Finding(result)]


DESCRIPTIONS = {
    "loss": Description(
        LossRise,
        "loss",
        "mean loss of the window above that of the adaptive and the anchored reference",
        "Welch's t with AR-effective sizes; effect: standardised rise",
        "our reconstruction of Hu, Rombouts, Wilms (arXiv 2504.16789); Welch (1947)",
    ),
    "reducible": Description(
        Reducible,
        "loss",
        "loss that an online correction of the champion saves on the same records",
        "paired t with AR-effective size; effect: mean loss saved a record",
        "our own",
    ),
    "e-process": Description(
        EValue,
        "loss",
        "a rise of the windows' mean losses at any time since the version began",
        "p = 1/e, e: mixture of bets on window scores; effect: the window's score",
        "Shin, Ramdas, Rinaldo (arXiv 2203.03532)",
    ),
}
