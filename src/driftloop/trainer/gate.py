"""The gate: a challenger meets the champion on records that neither was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from driftloop.models.artifact import Metrics
from driftloop.settings import Profile
from driftloop.statistics.loss_tests import paired_mean_test
from driftloop.statistics.losses import compute
from driftloop.trainer.slices import LEAST_EFFECTIVE, worse_slices

Array = npt.NDArray[np.float64]
Categories = Sequence[Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found.

    Attributes:
        accepted: Whether the challenger may be published.
        reason: ``worse``, ``not-better``, ``older-worse``, ``slice-worse`` or ``not-finite``;
            empty when accepted.
        detail: The reason in words.
        champion: Its metrics on the hold-out; None without a champion.
        challenger: Its metrics on the hold-out.
    """

    accepted: bool
    reason: str
    detail: str
    champion: Metrics | None
    challenger: Metrics


class Pair(NamedTuple):
    """Losses of both models on the same records, in order, and what the champion knew of them.

    Attributes:
        challenger: (records,).
        champion: (records,), or None without one.
        seen: How many of them the champion was trained on.
    """

    challenger: Array
    champion: Array | None
    seen: int = 0


def judge(
    profile: Profile,
    newest: Pair,
    trivial: Array,
    *,
    older: Pair | None = None,
    categories: Categories = (),
) -> Verdict:
    """Compare losses on the hold-out.

    Let d = loss(challenger) - loss(champion), record by record, where both are finite. The paired
    one-sided test of H0: mean(d) ≤ ``training.margin``, with autocorrelation-corrected n, refuses
    the challenger at p < ``training.alpha``, for the reason ``worse``. One that is equal is refused
    with that probability at most. Where ``training.refuse`` is ``worse``, and where the test has no
    verdict, mean(d) > margin is enough, for the reason ``not-better``; an equal challenger is then
    refused half the time.

    A challenger that passes meets the champion on the oldest records (``older-worse``, tested with
    ``training.forgetting_margin``) and in each category of ``training.slices`` (``slice-worse``,
    see `driftloop.trainer.slices`), where these are set.

    Without a champion a challenger is accepted when its losses are finite.

    Args:
        profile: Margins, level, slices and the loss's name.
        newest: Losses on the newest records.
        trivial: (records,) losses on them of predicting the training labels' centre; only reported.
        older: Losses on the oldest records, or None.
        categories: Categorical features of the newest records, in the profile's order; one list of
            (records,) texts each.
    """
    own = metrics(newest.challenger)
    own["baseline"] = metrics(trivial)["loss"]
    theirs = None if newest.champion is None else metrics(newest.champion)
    lost = 0
    if newest.champion is not None:
        lost = int((np.isfinite(newest.champion) & ~np.isfinite(newest.challenger)).sum())
    if own["loss"] is None or lost:
        which = f"of {lost} records that the champion can predict" if lost else "at all"
        detail = f"no {profile.loss} loss on the hold-out is finite {which}: look for extreme "
        return Verdict(
            accepted=False,
            reason="not-finite",
            detail=detail + "labels and features",
            champion=theirs,
            challenger=own,
        )
    if theirs is None:
        return Verdict(accepted=True, reason="", detail="", champion=None, challenger=own)
    reason, detail = _newest(profile, newest, own, theirs)
    if not reason and older is not None:
        reason, detail = _older(profile, older, own, theirs)
    if not reason and profile.training.slices:
        reason, detail = _slices(profile, newest, categories, own)
    return Verdict(
        accepted=not reason, reason=reason, detail=detail, champion=theirs, challenger=own
    )


def _newest(profile: Profile, pair: Pair, own: Metrics, theirs: Metrics) -> tuple[str, str]:
    """Reason and words of a refusal, or two empty texts."""
    training = profile.training
    theirs["trained_on"] = float(pair.seen)
    found = _compare(pair, training.margin)
    own["p_worse"] = found.p_value
    if not found.refused(training.alpha, by_mean=training.refuse == "worse"):
        return "", ""
    sure = found.p_value is not None and found.p_value < training.alpha
    return "worse" if sure else "not-better", found.words(profile, "newest", "margin")


def _older(profile: Profile, pair: Pair, own: Metrics, theirs: Metrics) -> tuple[str, str]:
    training = profile.training
    found = _compare(pair, training.forgetting_margin)
    own["older_loss"] = metrics(pair.challenger)["loss"]
    own["older_p_worse"] = found.p_value
    theirs["older_loss"] = None if pair.champion is None else metrics(pair.champion)["loss"]
    theirs["older_trained_on"] = float(pair.seen)
    if not found.refused(training.alpha, by_mean=False):
        return "", ""
    return "older-worse", found.words(profile, "oldest", "forgetting_margin")


def _slices(profile: Profile, pair: Pair, categories: Categories, own: Metrics) -> tuple[str, str]:
    training = profile.training
    if pair.champion is None:
        return "", ""
    named = {name: categories[profile.features.categorical.index(name)] for name in training.slices}
    found = worse_slices(
        pair.challenger - pair.champion,
        named,
        margin=training.slice_margin,
        alpha=training.alpha,
        least=training.slice_records,
    )
    own["slices"] = float(found.tested)
    own["slice_p_worse"] = found.p_value
    if not found.worse:
        return "", ""
    shown = "; ".join(
        f"{one.feature} {one.category!r}: {one.mean:.4g} on {one.records} records "
        f"(p {one.p_value:.2g})"
        for one in found.worse[:3]
    )
    more = f" and {len(found.worse) - 3} more" if len(found.worse) > 3 else ""
    return "slice-worse", (
        f"the challenger's mean {profile.loss} loss is above the champion's by more than "
        f"training.slice_margin, {training.slice_margin:g}, in {len(found.worse)} of "
        f"{found.tested} slices: {shown}{more}"
    )


class _Compared(NamedTuple):
    """Mean of d, its test against a margin; `p_value` is None without a verdict."""

    mean: float
    margin: float
    records: int
    p_value: float | None
    silent: str

    def refused(self, alpha: float, *, by_mean: bool) -> bool:
        if by_mean or self.p_value is None:
            return self.mean > self.margin
        return self.p_value < alpha

    def words(self, profile: Profile, which: str, key: str) -> str:
        return (
            f"on the {which} {self.records} records the challenger's mean {profile.loss} loss is "
            f"{self.mean:.4g} above the champion's, training.{key} is {self.margin:g} "
            + (f"({self.silent})" if self.p_value is None else f"(p {self.p_value:.2g})")
        )


def _compare(pair: Pair, margin: float) -> _Compared:
    if pair.champion is None:
        return _Compared(0.0, margin, 0, None, "no champion")
    difference = pair.challenger - pair.champion
    difference = difference[np.isfinite(difference)]
    test = paired_mean_test(difference, tolerance=margin, least=LEAST_EFFECTIVE)
    mean = float(difference.mean()) if len(difference) else 0.0
    p_value = test.p_value if test.has_verdict else None
    return _Compared(mean, margin, len(difference), p_value, test.reason)


def is_lower(losses: Array, others: Array) -> bool:
    """Whether the mean of losses, (records,), is lower, over the records where both are finite."""
    both = np.isfinite(losses) & np.isfinite(others)
    return bool(both.any() and losses[both].mean() < others[both].mean())


def metrics(losses: Array) -> Metrics:
    """Mean, standard deviation and number of the finite losses; null where there are none."""
    finite = losses[np.isfinite(losses)]
    with np.errstate(all="ignore"):
        mean, deviation = (finite.mean(), finite.std()) if len(finite) else (np.nan, np.nan)
    return {
        "loss": float(mean) if np.isfinite(mean) else None,
        "deviation": float(deviation) if np.isfinite(deviation) else None,
        "records": float(len(finite)),
    }


def trivial_losses(profile: Profile, fitted: Array, held: Array) -> Array:
    """Losses of a model that knows no features.

    It predicts the mean of the training labels (their median for an absolute loss), or the
    frequencies of the classes.

    Args:
        profile: Task and loss.
        fitted: Labels trained on.
        held: (records,) labels of the hold-out.
    """
    if profile.task == "multiclass":
        counts = np.bincount(fitted.astype(np.intp), minlength=len(profile.classes))
        prediction = np.tile(counts / counts.sum(), (len(held), 1))
    else:
        centre = np.median(fitted) if profile.loss == "absolute" else fitted.mean()
        prediction = np.full(len(held), float(centre))
    return compute(profile.loss, held, prediction)
