"""Criteria of a window of losses that a policy decides by: reducible loss, and MLMA's test."""

from __future__ import annotations

import math

import numpy as np

from driftloop.detection.history import newest
from driftloop.detection.outputs import LossWindow
from driftloop.detection.reference import LossReference
from driftloop.detection.windows import Part, to_ranges
from driftloop.messages import Ground, OffsetRange
from driftloop.policy.cost import RetrainCost
from driftloop.policy.grounds import ground, number, seed_of
from driftloop.policy.tested import Tested
from driftloop.records.columns import Floats
from driftloop.settings import CycleWindow, Profile
from driftloop.settings.policy import VOTING, Criterion
from driftloop.statistics.correction import accumulate
from driftloop.statistics.loss_tests import paired_mean_test

REFERENCE_WINDOWS = 4
"""Windows that a reference holds at most; for windows by cycles: `REFERENCE_RECORDS`."""

REFERENCE_RECORDS = 2000

CONFIRMING_RECORDS = 5000
"""Newest savings that mode ``both`` tests at most."""


class LossJudge:
    """References and accumulated evidence of the losses of one model version.

    Args:
        profile: Of the stream.
        price: What its retrains cost, which outlives the version.

    Attributes:
        mean: Mean loss of the version's first window, or None.
        accumulated: Loss that a newer model would have saved.
    """

    def __init__(self, profile: Profile, price: RetrainCost | None = None) -> None:
        window = profile.window
        bound = (
            REFERENCE_RECORDS
            if isinstance(window, CycleWindow)
            else REFERENCE_WINDOWS * window.records
        )
        self.policy = profile.policy
        self._least_records = profile.training.min_records
        self._price = price or RetrainCost(profile.policy)
        own = next((one for one in self._voters() if one.name == "loss"), None)
        params = {} if own is None else own.params
        self._floor = None if own is None else own.effect
        self.mean: float | None = None
        self.accumulated = 0.0
        self._since = 0  # labelled records since the accumulated saving was nil
        self._savings = np.empty(0)  # of these, the newest; for mode "both"
        self.reference = LossReference(
            bound,
            anchor_records=1,
            tolerance=params.get("tolerance", profile.policy.effective_tolerance),
            test=params.get("test", profile.policy.loss_test).replace("-", "_"),
        )
        self.reference_ranges: list[str] = []

    def _voters(self) -> list[Criterion]:
        return self.policy.criteria if self.policy.kind in VOTING else []

    def forget_saving(self) -> None:
        """A new model was tried and would not have saved what was accumulated."""
        self.accumulated = 0.0
        self._since = 0
        self._savings = np.empty(0)

    def reducible(self, window: LossWindow, tested: Tested, level: float) -> None:
        """Loss that an online correction of the champion saves: see `statistics.correction`."""
        policy = self.policy
        both = np.isfinite(window.losses) & np.isfinite(window.corrected)
        if not both.any():
            self._count(window)
            return
        corrected = window.corrected[both]
        d = window.losses[both] - corrected
        self.accumulated = accumulate(self.accumulated, float(d.sum()))
        self._count(window)
        threshold = self.cost
        by_test, enough = policy.mode == "test", self.accumulated > threshold
        judged = self._confirming(d) if policy.mode == "both" else d
        result = paired_mean_test(judged, tolerance=policy.effective_tolerance)
        significant = bool(result.has_verdict and result.p_value <= level)
        rejected = {"test": significant, "accumulate": enough}.get(
            policy.mode, significant and enough
        )
        detail = result.reason or f"{policy.mode}: mean loss saved a record is the effect"
        began = self._cut(window, tested)
        rests = "" if by_test else self._price.words
        tested.results.append(
            Ground(
                criterion="reducible",
                family="loss",
                statistic=number(result.statistic) if by_test else self.accumulated,
                p_value=number(result.p_value),
                effect=float(judged.mean()),
                threshold=level if by_test else threshold,
                rejected=rejected,
                n=len(judged),
                n_effective=number(result.n_effective),
                window=window.ranges,
                detail="; ".join(part for part in (detail, began, rests) if part),
            )
        )
        tested.metrics["corrected_loss"] = float(corrected.mean())
        tested.metrics["accumulated"] = self.accumulated
        tested.metrics["threshold"] = threshold
        tested.retrain = rejected
        tested.saving = max(0.0, float(d.sum()))
        if by_test:
            tested.p_value = number(result.p_value)
        elif policy.mode == "both":  # the fleet's levels must not pass what costs too little
            tested.p_value = number(result.p_value)
            if tested.p_value is not None and not enough:
                tested.p_value = 1.0

    def _count(self, window: LossWindow) -> None:
        """Take the window's records for changed ones, if what was accumulated is not nil."""
        self._since = self._since + len(window.losses) if self.accumulated > 0.0 else 0

    def _cut(self, window: LossWindow, tested: Tested) -> str:
        """Train on what has changed alone; in words, or empty where that is the whole window."""
        changed = self._changed(window)
        if changed is None:
            return ""
        tested.training = to_ranges(OffsetRange.parse(window.training[0]).topic, changed.spans)
        return (
            f"the saving began {self._since:,} labelled records ago: trained on the newest "
            f"{changed.rows:,} of {window.labelled:,}"
        )

    def _changed(self, window: LossWindow) -> Part | None:
        """The newest records that hold all of the change, or what a model needs at least.

        The last time that a cumulative sum was nil is the usual estimate of where a change began:
        E. S. Page (1954), Continuous inspection schemes, Biometrika 41. None: the whole window.
        """
        share = math.ceil(self.policy.min_window * window.labelled)
        wanted = max(self._since, self._least_records, share)
        if not window.parts or wanted >= window.labelled:
            return None
        found = newest(window.parts, wanted)
        return found if found.rows < window.labelled else None

    def _confirming(self, d: Floats) -> Floats:
        """Savings since the accumulated one was nil, this window's included, (n,)."""
        if not self.accumulated > 0.0:
            self._savings = np.empty(0)
            return d
        self._savings = np.concatenate([self._savings, d])[-CONFIRMING_RECORDS:]
        return self._savings

    @property
    def cost(self) -> float:
        """Cost of a retrain in units of loss."""
        fixed = self._price.in_loss
        return self.policy.cost * (self.mean or 0.0) if fixed is None else fixed

    def mlma(self, window: LossWindow, tested: Tested, level: float, *, decides: bool) -> None:
        """The window's losses against the adaptive and the anchored reference.

        Two tests share the level, and the adaptive reference learns from the verdict. Where
        something else decides, the anchored one alone is tested, for the evidence. Where the policy
        names a floor of the criterion ``loss``, a rise below it counts with p = 1.
        """
        losses, phases = _finite(window)
        if not len(self.reference.adaptive):
            self.reference.start(losses, phases)
            self.reference_ranges = window.ranges
            return
        names = ("adaptive", "anchored") if decides else ("anchored",)
        results = self.reference.evaluate(
            losses, phases, names, seed=seed_of(window.ranges, "loss")
        )
        rejected = False
        smallest: float | None = None
        for name, result in results.items():
            share = level / len(results)
            over = self._floor is None or result.effect >= self._floor
            hit = bool(result.has_verdict and over and result.p_value <= share)
            rejected = rejected or hit
            if result.has_verdict:
                p = min(result.p_value * len(results), 1.0) if over else 1.0
                smallest = p if smallest is None else min(p, smallest)
            tested.results.append(
                ground(
                    f"mlma-{name}",
                    "loss",
                    result,
                    threshold=share,
                    rejected=hit,
                    window=window.ranges,
                    reference=self.reference_ranges,
                )
            )
        if decides:
            self.reference.settle(losses, rejected=rejected, level=level, phases=phases)
            tested.retrain = rejected
            rise = float(losses.mean()) - float(self.reference.anchored.mean())
            tested.saving = max(0.0, rise * len(losses))
            tested.p_value = smallest


def _finite(window: LossWindow) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int64]] | None]:
    finite = np.isfinite(window.losses)
    phases = None if window.phases is None else window.phases.astype(np.int64)[finite]
    return window.losses[finite], phases
