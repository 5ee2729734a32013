"""The criteria of a stream: each closed window against the references of its model version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from driftloop.detection.outputs import Closed, FeatureWindow, LossWindow, Output, VersionChanged
from driftloop.detection.reference import FeatureReference, LossReference
from driftloop.messages import Ground, TrainingFinished
from driftloop.records.columns import Floats
from driftloop.settings import CycleWindow, Policy, Profile
from driftloop.statistics.correction import accumulate
from driftloop.statistics.levels import alpha_for_span
from driftloop.statistics.loss_tests import paired_mean_test
from driftloop.statistics.multiplicity import holm
from driftloop.statistics.results import TestResult

REFERENCE_WINDOWS = 4
"""Windows that a reference holds at most; for windows by cycles: `REFERENCE_RECORDS`."""

REFERENCE_RECORDS = 2000
FEATURE_ROWS = 1000


@dataclass(slots=True)
class Tested:
    """What the criteria say of a closed window.

    Attributes:
        window: The window.
        kind: ``loss`` or ``features``.
        results: Every criterion that was computed.
        metrics: Means and rates for evidence and status.
        retrain: Whether the policy's own criterion asks for a new model.
        shifted: Whether features have shifted.
        saving: Loss that a newer model would save on a window's worth of records, ≥ 0.
    """

    __test__: ClassVar[bool] = False  # pytest collects classes by the prefix Test

    window: Closed
    kind: str
    results: list[Ground]
    metrics: dict[str, float | None] = field(default_factory=dict)
    retrain: bool = False
    shifted: bool = False
    saving: float = 0.0


class StreamTester:
    """References and accumulated evidence of one stream's current model version."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._restart()

    def _restart(self) -> None:
        profile = self.profile
        window = profile.window
        bound = (
            REFERENCE_RECORDS
            if isinstance(window, CycleWindow)
            else REFERENCE_WINDOWS * window.records
        )
        self._losses = LossReference(bound, anchor_records=1, tolerance=profile.policy.tolerance)
        self._loss_ranges: list[str] = []
        self._reference_mean: float | None = None
        self._accumulated = 0.0
        self._features = FeatureReference(len(profile.features.numeric), FEATURE_ROWS)
        self._feature_ranges: list[str] = []

    def test(self, output: Output) -> Tested | Output:
        """Test a closed window; everything else is passed on."""
        if isinstance(output, VersionChanged):
            self._restart()
            return output
        if isinstance(output, TrainingFinished) and output.outcome == "rejected":
            self._accumulated = 0.0  # a new model was tried and would not have saved it
        if isinstance(output, LossWindow):
            return self._test_losses(output)
        if isinstance(output, FeatureWindow):
            return self._test_features(output)
        return output

    def reset(self) -> None:
        """Begin all references anew."""
        self._restart()

    # Losses

    def _test_losses(self, window: LossWindow) -> Tested:
        policy = self.profile.policy
        losses = window.losses[~np.isnan(window.losses)]
        mean = float(losses.mean()) if len(losses) else None
        tested = Tested(window, "loss", [])
        tested.metrics = {
            "loss": mean,
            "corrected_loss": None,
            "reference_loss": self._reference_mean,
            "accumulated": None,
            "threshold": None,
        }
        if mean is None:
            return tested
        if not self._reference_mean:  # a window without any error prices nothing
            self._reference_mean = tested.metrics["reference_loss"] = mean
        level = alpha_for_span(policy.alpha_per_year, window.span_ms / 1000)
        if policy.kind == "reducible":
            self._reducible(window, tested, level)
        self._mlma(window, tested, level)
        return tested

    def _reducible(self, window: LossWindow, tested: Tested, level: float) -> None:
        """Loss that an online correction of the champion saves: see `statistics.correction`."""
        policy = self.profile.policy
        d = window.losses - window.corrected
        d = d[~np.isnan(d)]
        if not len(d):
            return
        corrected = window.corrected[~np.isnan(window.corrected)]
        self._accumulated = accumulate(self._accumulated, float(d.sum()))
        threshold = self._cost(policy)
        result = paired_mean_test(d, tolerance=policy.tolerance)
        by_test = policy.mode == "test"
        rejected = (
            bool(result.has_verdict and result.p_value <= level)
            if by_test
            else self._accumulated > threshold
        )
        tested.results.append(
            Ground(
                criterion="reducible",
                family="loss",
                statistic=_number(result.statistic) if by_test else self._accumulated,
                p_value=_number(result.p_value),
                effect=float(d.mean()),
                threshold=level if by_test else threshold,
                rejected=rejected,
                n=len(d),
                n_effective=_number(result.n_effective),
                window=window.ranges,
                detail=result.reason or f"{policy.mode}: mean loss saved a record is the effect",
            )
        )
        tested.metrics["corrected_loss"] = float(corrected.mean())
        tested.metrics["accumulated"] = self._accumulated
        tested.metrics["threshold"] = threshold
        tested.retrain = rejected
        tested.saving = max(0.0, float(d.sum()))

    def _cost(self, policy: Policy) -> float:
        """Cost of a retrain in units of loss."""
        if policy.cost_loss is not None:
            return policy.cost_loss
        return policy.cost * (self._reference_mean or 0.0)

    def _mlma(self, window: LossWindow, tested: Tested, level: float) -> None:
        """The window's losses against the adaptive and the anchored reference.

        Two tests share the level, and the adaptive reference learns from the verdict. Under policy
        ``reducible`` the anchored one alone is tested, for the evidence; unless there are no
        predictions to correct (records that carry nothing but their loss): then this decides.
        """
        policy = self.profile.policy
        if policy.kind not in {"mlma", "reducible"}:
            return
        phases = None if window.phases is None else window.phases.astype(np.int64)
        finite = ~np.isnan(window.losses)
        losses = window.losses[finite]
        phases = None if phases is None else phases[finite]
        if not len(self._losses.adaptive):
            self._losses.start(losses, phases)
            self._loss_ranges = window.ranges
            return
        decides = policy.kind == "mlma" or bool(np.isnan(window.corrected).all())
        names = ("adaptive", "anchored") if decides else ("anchored",)
        results = self._losses.evaluate(losses, phases, names)
        rejected = False
        for name, result in results.items():
            hit = bool(result.has_verdict and result.p_value <= level / len(results))
            rejected = rejected or hit
            tested.results.append(
                _ground(f"mlma-{name}", result, level / len(results), hit, window, self)
            )
        if decides:
            self._losses.settle(losses, rejected=rejected, level=level, phases=phases)
            tested.retrain = rejected
            rise = float(losses.mean()) - float(self._losses.anchored.mean())
            tested.saving = max(0.0, rise * len(losses))

    @property
    def loss_ranges(self) -> list[str]:
        """Offset ranges of the first reference window."""
        return self._loss_ranges

    # Features

    def _test_features(self, window: FeatureWindow) -> Tested:
        tested = Tested(window, "features", [])
        missing = float(np.isnan(window.x).mean()) if window.x.size else 0.0
        tested.metrics = {"missing_rate": missing}
        if not self._features.full:
            self._features.add(window.x)
            self._feature_ranges = [*self._feature_ranges, *window.ranges]
            return tested
        statistics, p_values = self._features.evaluate(window.x)
        adjusted = holm(p_values)
        level = alpha_for_span(self.profile.policy.alpha_per_year, window.span_ms / 1000)
        counts = (~np.isnan(window.x)).sum(axis=0)
        for name, statistic, p, n in zip(
            self.profile.features.numeric, statistics, adjusted, counts, strict=True
        ):
            hit = bool(p <= level)
            tested.shifted = tested.shifted or hit
            tested.results.append(
                Ground(
                    criterion="ks",
                    family="features",
                    statistic=_number(statistic),
                    p_value=_number(p),
                    effect=_number(statistic),
                    threshold=level,
                    rejected=hit,
                    n=int(n),
                    window=window.ranges,
                    reference=self._feature_ranges,
                    detail=name,
                )
            )
        return tested


def _ground(
    name: str,
    result: TestResult,
    threshold: float,
    hit: bool,  # noqa: FBT001  # a private helper, called in one place
    window: LossWindow,
    tester: StreamTester,
) -> Ground:
    return Ground(
        criterion=name,
        family="loss",
        statistic=_number(result.statistic),
        p_value=_number(result.p_value),
        effect=_number(result.effect),
        threshold=threshold,
        rejected=hit,
        n=result.n,
        n_effective=_number(result.n_effective),
        window=window.ranges,
        reference=tester.loss_ranges,
        detail=result.reason,
    )


def _number(value: float | Floats) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
