"""Tests of whether a model's loss has risen, for dependent records.

`loss_test` is our reconstruction of the monitoring test of Hu, Rombouts and Wilms (*MLOps
Monitoring at Scale for Digital Platforms*, arXiv 2504.16789) from its abstract: the incoming loss
batch against a reference loss batch. The statistic is our choice, no replication.

Sizes by simulation (4,000 runs of Gaussian AR(1) losses; no verdict counts as no rejection):

=====================================  =====  ======  ======  ======
test, records                          level  φ = 0   φ = .6  φ = .9
=====================================  =====  ======  ======  ======
loss_test, 300 against a batch of 100  .05    .054    .056    .005
loss_test, 300 against a batch of 100  .001   .0005   .0020   .0008
loss_test, 100 against a batch of 300  .05    .054    .062    .026
loss_test, 100 against a batch of 300  .001   .0015   .0045   .0055
loss_test, 1500 against 500            .05    .048    .051    .046
loss_test, 1500 against 500            .001   .0015   .0013   .0008
paired_mean_test, 300                  .05    .050    .052    .051
paired_mean_test, 300                  .001   .0013   .0027   .0020
=====================================  =====  ======  ======  ======

So very small levels need a reference of several hundred records, several times the batch, when
losses depend strongly. At φ = .9 a batch of 100 is worth 5 records and mostly gives no verdict.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import special

from driftloop.statistics.autocorrelation import finite, variance_inflation
from driftloop.statistics.phases import Phases, phase_inflation, remove_phases
from driftloop.statistics.results import MIN_EFFECTIVE, TestResult, no_verdict


@np.errstate(all="ignore")  # absurd magnitudes end in "no verdict", not in a warning
def loss_test(
    batch: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    tolerance: float = 0.0,
    phases: Phases | None = None,
    inflation: float | None = None,
) -> TestResult:
    """Test H0: mean loss(batch) - mean loss(reference) ≤ tolerance, one-sided.

    Welch's t with effective sample sizes. With k = `variance_inflation(reference)`, a sample of n
    records counts as n_eff = n / k, its mean has the variance S / (n (n_eff - 1)), S its sum of
    squares about the mean (a dependent sample underestimates its own variance, by the factor
    1 - 1/n_eff), and the degrees of freedom are Welch's, from n_eff - 1 each. No verdict when an
    n_eff is below `MIN_EFFECTIVE`, or when neither sample varies.

    With `phases` (hour of the day, day of the week) the batch is compared with the reference
    *standardised to the batch's phases*, Σ_p w_p mean_p(reference), w_p the batch's share of phase
    p. The phases' means, estimated on the reference, are removed from both samples first, and the
    uncertainty of the standardised mean (Σ w_p² / n_p) replaces 1/n, so a batch that is not whole
    cycles is right too, if its phases occur in the reference. Batch records of a phase that the
    reference lacks are left out. k grows by `phase_inflation`: a reference of one cycle cannot tell
    how its phases vary from one cycle to the next, and mostly gives no verdict.

    Args:
        batch: (n,) losses in their order; non-finite ones are dropped.
        reference: (m,) losses in their order, likewise.
        tolerance: Rise of the mean loss that is accepted, in units of the loss.
        phases: Phase index of each batch record, (n,), and each reference record, (m,).
        inflation: k, ≥ 1, where the caller knows it already (see `reference_inflation`).

    Returns:
        `effect` is standardised: (difference of means - tolerance) over the root of the mean of
        both variances.

    Raises:
        SettingsError: Phases and losses differ in length.
    """
    new, old = np.asarray(batch, np.float64).ravel(), np.asarray(reference, np.float64).ravel()
    if phases is None:
        new, old = finite(new), finite(old)
        weight_of_reference = float(len(old))
        groups = 1
    else:
        new, old, weight_of_reference, groups = remove_phases(new, old, phases)
    n, m = len(new), len(old)
    if n == 0 or m <= groups:
        return no_verdict("no records to compare", n=n, n_reference=m)

    k = inflation
    if k is None:
        k = variance_inflation(old) * (
            1.0 if phases is None else phase_inflation(reference, phases[1])
        )
    sizes = (n / k, weight_of_reference / k)
    silent = partial(
        no_verdict, n=n, n_reference=m, n_effective=sizes[0], n_effective_reference=sizes[1]
    )
    # The phases' means cost the reference `groups` degrees of freedom in all, one of them its own.
    variances = (float(new.var()), float(old.var()) * m / (m - groups + 1))
    difference = float(new.mean()) - float(old.mean()) - tolerance
    spread = math.sqrt((variances[0] + variances[1]) / 2.0)
    if not math.isfinite(difference) or not math.isfinite(spread):
        return silent("losses too large to compare")
    effect = difference / spread if spread > 0.0 else math.nan
    if min(sizes) < MIN_EFFECTIVE:
        which = "batch" if sizes[0] <= sizes[1] else "reference"
        reason = f"{which} has {min(sizes):.1f} effective records, fewer than {MIN_EFFECTIVE:.0f}"
        return silent(reason, effect=effect)
    parts = (variances[0] / (sizes[0] - 1.0), variances[1] / (sizes[1] - 1.0))
    if parts[0] + parts[1] == 0.0:
        return silent("neither batch nor reference varies")
    statistic, p_value = welch(difference, parts, (sizes[0] - 1.0, sizes[1] - 1.0))
    return TestResult(
        statistic=statistic,
        p_value=p_value,
        effect=effect,
        n=n,
        n_reference=m,
        n_effective=sizes[0],
        n_effective_reference=sizes[1],
    )


def welch(
    difference: float, parts: tuple[float, float], freedoms: tuple[float, float]
) -> tuple[float, float]:
    """Return Welch's t of a difference and its one-sided p-value.

    Args:
        difference: Of the two means.
        parts: Variance of each mean; their sum is above 0.
        freedoms: Degrees of freedom of each variance.
    """
    statistic = difference / math.sqrt(parts[0] + parts[1])
    share = parts[0] / (parts[0] + parts[1])
    freedom = 1.0 / (share**2 / freedoms[0] + (1.0 - share) ** 2 / freedoms[1])
    return statistic, float(special.stdtr(freedom, -statistic))


def reference_inflation(reference: npt.ArrayLike, phases: npt.ArrayLike | None = None) -> float:
    """Return the k that `loss_test` takes from a reference, to compute it once for many batches.

    Args:
        reference: (m,) losses in their order; non-finite ones are dropped.
        phases: Phase index of each of them, (m,), whose means are removed.
    """
    if phases is None:
        return variance_inflation(reference)
    old = np.asarray(reference, np.float64).ravel()
    _, centred, _, _ = remove_phases(np.empty(0), old, (np.empty(0), phases))
    return variance_inflation(centred) * phase_inflation(old, phases)


@np.errstate(all="ignore")  # absurd magnitudes end in "no verdict", not in a warning
def paired_mean_test(
    d: npt.ArrayLike, *, tolerance: float = 0.0, least: float = MIN_EFFECTIVE
) -> TestResult:
    """Test H0: mean(d) ≤ tolerance, one-sided, for paired differences of losses.

    Student's t with n_eff = n / k, k = `variance_inflation(d)`: the mean has the variance
    S / (n (n_eff - 1)), and there are n_eff - 1 degrees of freedom. No verdict when n_eff is below
    `least`, or when d does not vary.

    Args:
        d: (n,) differences in their order, as loss(champion) - loss(corrected); non-finite ones
            are dropped.
        tolerance: Mean difference that is accepted, in units of the loss.
        least: Smallest n_eff that gives a verdict, > 1. At the level .05 the size is right from 3
            on (.06 for 60 records with φ = .9, .05 for 300); far smaller levels need more.

    Returns:
        `effect` is mean(d) - tolerance, in units of the loss. Sizes of the reference are 0.
    """
    values = finite(d)
    n = len(values)
    if n == 0:
        return no_verdict("no records to compare")
    n_effective = n / variance_inflation(values)
    difference = float(values.mean()) - tolerance
    variance = float(values.var())
    if not math.isfinite(difference) or not math.isfinite(variance):
        return no_verdict("differences too large to compare", n=n, n_effective=n_effective)
    if n_effective < least:
        reason = f"{n_effective:.1f} effective records, fewer than {least:g}"
        return no_verdict(reason, effect=difference, n=n, n_effective=n_effective)
    error = math.sqrt(variance / (n_effective - 1.0))
    if error == 0.0:
        return no_verdict(
            "differences do not vary", effect=difference, n=n, n_effective=n_effective
        )
    statistic = difference / error
    return TestResult(
        statistic=statistic,
        p_value=float(special.stdtr(n_effective - 1.0, -statistic)),
        effect=difference,
        n=n,
        n_reference=0,
        n_effective=n_effective,
        n_effective_reference=0.0,
    )
