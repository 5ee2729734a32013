"""Criteria beside the losses' own: their references, and where each of them stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec
import numpy as np

from driftloop.criteria import Criterion, Finding, Sample, chosen_criteria, describe
from driftloop.detection.outputs import FeatureWindow, LossWindow
from driftloop.messages import Ground
from driftloop.policy.grounds import ground, seed_of
from driftloop.settings import Policy, Profile
from driftloop.settings.policy import Criterion as Choice
from driftloop.statistics.multiplicity import benjamini_hochberg, bonferroni, holm

REFERENCE_ROWS = 1000
LEAST_ROWS, LEAST_WINDOWS = 300, 4
"""The reference of features and scores is the first `REFERENCE_ROWS` records of a model version, or
as few as `LEAST_ROWS` where these fill `LEAST_WINDOWS`: a slow stream must not wait for weeks."""

_CORRECTIONS = {"holm": holm, "bonferroni": bonferroni, "bh": benjamini_hochberg}


@dataclass(slots=True)
class Standing:
    """What a criterion said of the last window that it judged.

    Attributes:
        p_value: Corrected over its features; nan: no verdict yet, or it has no p-value.
        effect: The largest effect among them, nan if there is none.
        counts: Whether its effect is over its floor.
        grounds: Its results.
    """

    p_value: float = math.nan
    effect: float = math.nan
    counts: bool = True
    grounds: list[Ground] = field(default_factory=list)


class Panel:
    """The criteria of one stream's current model version, without the losses' own.

    Attributes:
        standing: By name, in the order of the policy.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._choices: dict[str, Choice] = {one.name: one for one in profile.policy.criteria}
        criteria = chosen_criteria(profile.policy)
        self._windowed = [one for one in criteria if one.family != "loss"]
        self._on_losses = [one for one in criteria if one.family == "loss" and one.name != "loss"]
        classes = max(len(profile.classes), 2)
        self._classes = 0 if profile.task == "regression" else classes
        self._features: Sample | None = None
        self._gathered = 0  # windows in it
        self._losses: Sample | None = None
        self._feature_ranges: list[str] = []
        self._loss_ranges: list[str] = []
        self.standing: dict[str, Standing] = {}

    def judge_features(self, window: FeatureWindow, level: float) -> list[Ground]:
        """Judge features and scores; the first windows become the reference."""
        if not self._windowed:
            return []
        features = self.profile.features
        sample = Sample(
            size=len(window.x),
            x=window.x,
            names=features.numeric,
            codes=window.codes,
            code_names=features.categorical,
            scores=window.scores,
            classes=self._classes,
        )
        reference = self._features
        if reference is None or not self._complete:
            self._gathered += 1
            self._features = (
                sample.head(REFERENCE_ROWS)
                if reference is None
                else reference.join(sample, REFERENCE_ROWS - reference.size)
            )
            self._feature_ranges = [*self._feature_ranges, *window.ranges]
            return []
        return self._judge(
            self._windowed, sample, reference, level, window.ranges, self._feature_ranges
        )

    @property
    def _complete(self) -> bool:
        rows = 0 if self._features is None else self._features.size
        enough = rows >= LEAST_ROWS and self._gathered >= LEAST_WINDOWS
        return enough or rows >= REFERENCE_ROWS

    def judge_losses(self, window: LossWindow, level: float) -> list[Ground]:
        """Judge losses, labels and corrected losses; the first window becomes the reference."""
        if not self._on_losses:
            return []
        sample = Sample(
            size=len(window.losses),
            losses=window.losses,
            corrected=window.corrected,
            labels=window.labels,
            scores=window.scores,
            classes=self._classes,
            phases=None if window.phases is None else window.phases.astype(np.int64),
        )
        if self._losses is None:
            self._losses = sample
            self._loss_ranges = window.ranges
            return []
        return self._judge(
            self._on_losses, sample, self._losses, level, window.ranges, self._loss_ranges
        )

    def _judge(
        self,
        criteria: list[Criterion],
        window: Sample,
        reference: Sample,
        level: float,
        ranges: list[str],
        reference_ranges: list[str],
    ) -> list[Ground]:
        out: list[Ground] = []
        for one in criteria:
            findings = one.evaluate(window, reference, seed_of(ranges, one.name))
            standing = self._stand(one, findings, level, ranges, reference_ranges)
            self.standing[one.name] = standing
            out += standing.grounds
        return out

    def _stand(
        self,
        criterion: Criterion,
        findings: list[Finding],
        level: float,
        ranges: list[str],
        reference_ranges: list[str],
    ) -> Standing:
        name = criterion.name
        policy: Policy = self.profile.policy
        raw = np.array([finding.result.p_value for finding in findings])
        adjusted = _CORRECTIONS[policy.correction](raw)
        floor, calibrated = self._floor(name)
        grounds = []
        for (result, what), p in zip(findings, adjusted.tolist(), strict=True):
            over = floor is None or abs(result.effect) >= floor
            hit = over and (p <= level if calibrated else not math.isnan(result.effect))
            shown = result if math.isnan(p) else msgspec.structs.replace(result, p_value=p)
            grounds.append(
                ground(
                    name,
                    criterion.family,
                    shown,
                    threshold=level if calibrated else floor,
                    rejected=bool(hit),
                    window=ranges,
                    reference=reference_ranges,
                    detail=what,
                )
            )
        # The features over the floor alone can speak; the correction is that for all of them.
        counted = [
            p
            for (result, _), p in zip(findings, adjusted.tolist(), strict=True)
            if not math.isnan(p) and (floor is None or abs(result.effect) >= floor)
        ]
        known = [abs(one.result.effect) for one in findings if not math.isnan(one.result.effect)]
        verdict = bool((~np.isnan(adjusted)).any())
        return Standing(
            p_value=min(counted) if counted else (1.0 if verdict else math.nan),
            effect=max(known) if known else math.nan,
            counts=any(one.rejected for one in grounds),
            grounds=grounds,
        )

    def _floor(self, name: str) -> tuple[float | None, bool]:
        """Smallest effect that counts, and whether the criterion has p-values."""
        choice, known = self._choices.get(name), describe(name)
        calibrated = known is None or known.calibrated
        floor = None if choice is None else choice.effect
        if floor is None and known is not None and not known.calibrated:
            floor = known.floor
        return floor, calibrated
