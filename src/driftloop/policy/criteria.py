"""The criteria of a stream: each closed window against the references of its model version."""

from __future__ import annotations

import numpy as np

from driftloop.detection.outputs import (
    Alarm,
    FeatureWindow,
    LossWindow,
    Ordered,
    Output,
    VersionChanged,
)
from driftloop.messages import Ground, TrainingFinished
from driftloop.policy.cost import RetrainCost
from driftloop.policy.grounds import family_of_signal
from driftloop.policy.losses import LossJudge
from driftloop.policy.standing import Panel, Standing
from driftloop.policy.tested import Tested
from driftloop.policy.vote import vote
from driftloop.records.columns import Floats
from driftloop.settings import Profile
from driftloop.settings.policy import VOTING
from driftloop.statistics.levels import alpha_for_span


class StreamTester:
    """References and accumulated evidence of one stream's current model version.

    What its retrains cost is kept over versions, and whatever begins references anew.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._price = RetrainCost(profile.policy)
        self._restart()

    def _restart(self) -> None:
        self._losses = LossJudge(self.profile, self._price)
        self._panel = Panel(self.profile)
        self._alarms: list[Alarm] = []
        self._labelled = False

    def test(self, output: Output) -> Tested | Output:
        """Test a closed window; everything else is passed on."""
        if isinstance(output, VersionChanged) or (isinstance(output, Ordered) and output.resets):
            self._restart()
            return output
        if isinstance(output, TrainingFinished):
            self._price.take(output)
            if output.outcome == "rejected":
                self._losses.forget_saving()
        if isinstance(output, Alarm) and self.profile.policy.kind == "detector":
            if output.detector == self.profile.policy.detector.name:
                self._alarms.append(output)
            return output
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
        policy, judge = self.profile.policy, self._losses
        losses = window.losses[np.isfinite(window.losses)]
        mean = float(losses.mean()) if len(losses) else None
        tested = Tested(window, "loss", [])
        tested.metrics = {
            "loss": mean,
            "corrected_loss": None,
            "reference_loss": judge.mean,
            "baseline_loss": _mean(window.baseline),
            "accumulated": None,
            "threshold": None,
        }
        if mean is None:
            return tested
        self._labelled = True
        if not judge.mean:  # a window without any error prices nothing
            judge.mean = tested.metrics["reference_loss"] = mean
        level = alpha_for_span(policy.alpha_per_year, window.span_ms / 1000)
        if policy.kind == "reducible":
            judge.reducible(window, tested, level)
            # Records that carry nothing but their loss have no predictions to correct.
            judge.mlma(window, tested, level, decides=bool(np.isnan(window.corrected).all()))
        elif policy.kind == "mlma":
            judge.mlma(window, tested, level, decides=True)
        elif policy.kind == "detector":
            self._by_detector(tested)
        elif policy.kind in VOTING:
            self._by_vote(window, tested, level)
        return tested

    def _by_vote(self, window: LossWindow, tested: Tested, level: float) -> None:
        policy = self.profile.policy
        tested.results += self._panel.judge_losses(window, level)
        standing = dict(self._panel.standing)
        if any(one.name == "loss" for one in policy.criteria):
            self._losses.mlma(window, tested, level, decides=True)
            if tested.p_value is not None:
                own = [one for one in tested.results if one.criterion.startswith("mlma-")]
                standing["loss"] = Standing(
                    p_value=tested.p_value, counts=tested.retrain, grounds=own
                )
        # What features and scores said of their last window counts as it stands.
        present = {id(one) for one in tested.results}
        for one in standing.values():
            tested.results += [found for found in one.grounds if id(found) not in present]
        self._decide(tested, standing, level, window.ranges, labels=True)

    def _decide(
        self,
        tested: Tested,
        standing: dict[str, Standing],
        level: float,
        ranges: list[str],
        *,
        labels: bool,
    ) -> None:
        outcome = vote(self.profile.policy, standing, level, ranges, labels=labels)
        tested.results.append(outcome.ground)
        tested.retrain = outcome.passed
        tested.p_value = outcome.p_value

    def _by_detector(self, tested: Tested) -> None:
        """Alarms since the last window decide when it closes: then there is what to train on."""
        alarms, self._alarms = self._alarms, []
        for alarm in alarms:
            tested.results.append(
                Ground(
                    criterion=alarm.detector,
                    family=family_of_signal(alarm.on),
                    statistic=alarm.value,
                    rejected=True,
                    n=1,
                    window=[alarm.range],
                    detail=f"signalled at this record; the statistic is its {alarm.on}",
                )
            )
        tested.retrain = bool(alarms)

    # Features

    def _test_features(self, window: FeatureWindow) -> Tested:
        policy = self.profile.policy
        tested = Tested(window, "features", [])
        missing = float(np.isnan(window.x).mean()) if window.x.size else 0.0
        tested.metrics = {"missing_rate": missing}
        level = alpha_for_span(policy.alpha_per_year, window.span_ms / 1000)
        tested.results = self._panel.judge_features(window, level)
        tested.shifted = any(one.rejected for one in tested.results)
        if policy.kind in VOTING and tested.results and not self._labelled:
            self._decide(tested, self._panel.standing, level, window.ranges, labels=False)
        return tested


def _mean(values: Floats | None) -> float | None:
    """Mean of those that are finite, or None."""
    known = () if values is None else values[np.isfinite(values)]
    return float(np.mean(known)) if len(known) else None
