"""The gate: a challenger meets the champion on records that neither was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftloop.models.artifact import Metrics
from driftloop.settings import Profile
from driftloop.statistics.loss_tests import paired_mean_test
from driftloop.statistics.losses import compute

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found.

    Attributes:
        accepted: Whether the challenger may be published.
        reason: ``worse``, ``not-better`` or ``not-finite``; empty when accepted.
        detail: The reason in words.
        champion: Its metrics on the hold-out; None without a champion.
        challenger: Its metrics on the hold-out.
    """

    accepted: bool
    reason: str
    detail: str
    champion: Metrics | None
    challenger: Metrics


def judge(profile: Profile, challenger: Array, champion: Array | None, trivial: Array) -> Verdict:
    """Compare losses on the hold-out.

    Let d = loss(challenger) - loss(champion), record by record, where both are finite. The
    challenger is accepted if and only if mean(d) ≤ ``training.margin``. The paired one-sided test
    of H0: mean(d) ≤ margin, with autocorrelation-corrected n, says how sure a rejection is: at
    p < ``training.alpha`` its reason is ``worse``, else ``not-better``. An accepted challenger is
    never significantly worse, for mean(d) ≤ margin gives p ≥ ½. Without a champion a challenger
    is accepted when its losses are finite.

    Args:
        profile: Margin, level and the loss's name.
        challenger: (records,) losses on the hold-out, in order.
        champion: (records,) losses likewise, or None.
        trivial: (records,) losses of predicting the training labels' centre, likewise; only
            reported.
    """
    own = metrics(challenger)
    own["baseline"] = metrics(trivial)["loss"]
    if own["loss"] is None:
        return Verdict(
            accepted=False,
            reason="not-finite",
            detail=f"no {profile.loss} loss on the hold-out is finite: look for extreme labels",
            champion=None if champion is None else metrics(champion),
            challenger=own,
        )
    if champion is None:
        return Verdict(accepted=True, reason="", detail="", champion=None, challenger=own)
    theirs = metrics(champion)
    difference = challenger - champion
    difference = difference[np.isfinite(difference)]
    margin = profile.training.margin
    test = paired_mean_test(difference, tolerance=margin)
    own["p_worse"] = test.p_value if test.has_verdict else None
    mean = float(difference.mean()) if len(difference) else 0.0
    if mean <= margin:
        return Verdict(accepted=True, reason="", detail="", champion=theirs, challenger=own)
    sure = test.has_verdict and test.p_value < profile.training.alpha
    return Verdict(
        accepted=False,
        reason="worse" if sure else "not-better",
        detail=f"on the newest {len(difference)} records the challenger's mean {profile.loss} loss "
        f"is {mean:.4g} above the champion's, training.margin is {margin:g} "
        + (f"(p {test.p_value:.2g})" if test.has_verdict else f"({test.reason})"),
        champion=theirs,
        challenger=own,
    )


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
