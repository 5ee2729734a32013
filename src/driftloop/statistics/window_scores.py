"""A closed window's losses as one number in standard errors, for the bets of `eprocess`.

Both scores take their scale from records before the window, so that a bet on a score is fair
whenever its conditional mean is not above 0.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from driftloop.statistics.autocorrelation import finite, variance_inflation
from driftloop.statistics.phases import Phases, phase_inflation, remove_phases
from driftloop.statistics.results import MIN_EFFECTIVE


@np.errstate(over="ignore", invalid="ignore")  # absurd magnitudes end in nan
def window_score(
    batch: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    tolerance: float = 0.0,
    phases: Phases | None = None,
    guard: float = 2.0,
    inflation: float | None = None,
) -> float:
    """Return z of a closed window, for the bets: its cautious rise in standard errors.

    z = (mean(batch) - mean(reference) - tolerance - guard · se_reference) / se_batch, where
    se² = reference variance / n_eff of each, n_eff = n / k and k the reference's inflation, as in
    `loss_test`. `guard` makes the fixed reference's mean an upper bound (2: 97.7 %): without it, a
    reference that happens to be low is taken for drift as windows add up.

    Args:
        batch: (n,) losses in their order; non-finite ones are dropped.
        reference: (m,) losses in their order, the same for all windows of one detector.
        tolerance: Rise of the mean loss that is accepted, in units of the loss.
        phases: As in `loss_test`.
        guard: Standard errors of the reference's mean, ≥ 0.
        inflation: k, where the caller knows it already.

    Returns:
        z, without a unit; nan where a sample is empty, the reference has fewer than
        `MIN_EFFECTIVE` effective records, or it does not vary. It is no test of its own.

    Raises:
        SettingsError: Phases and losses differ in length.
    """
    new, old = np.asarray(batch, np.float64).ravel(), np.asarray(reference, np.float64).ravel()
    if phases is None:
        new, old = finite(new), finite(old)
        worth, groups = float(len(old)), 1
    else:
        new, old, worth, groups = remove_phases(new, old, phases)
    m = len(old)
    if len(new) == 0 or m <= groups or worth == 0.0:
        return math.nan
    k = inflation
    if k is None:
        k = variance_inflation(old) * (
            1.0 if phases is None else phase_inflation(reference, phases[1])
        )
    if worth / k < MIN_EFFECTIVE:
        return math.nan
    scale = math.sqrt(float(old.var()) * m / (m - groups) * k)
    if not 0.0 < scale < math.inf:
        return math.nan
    rise = float(new.mean()) - float(old.mean()) - tolerance
    score = (rise / scale - guard / math.sqrt(worth)) * math.sqrt(len(new))
    return score if math.isfinite(score) else math.nan


@np.errstate(over="ignore", invalid="ignore")  # absurd magnitudes end in nan
def paired_score(
    d: npt.ArrayLike,
    earlier: npt.ArrayLike,
    *,
    tolerance: float = 0.0,
    inflation: float | None = None,
) -> float:
    """Return z of a closed window of paired differences of losses, for the bets.

    z = (mean(d) - tolerance) / √(variance k / n), the variance and k those of earlier differences,
    so that the scale is known before the window (a wrong scale costs power, not validity).

    Args:
        d: (n,) differences in their order, as loss(champion) - loss(corrected); non-finite ones are
            dropped.
        earlier: (m,) differences before them, all or the last few windows.
        tolerance: Mean difference that is accepted, in units of the loss.
        inflation: k of `earlier`, where the caller knows it already.

    Returns:
        z, without a unit; nan as in `window_score`.
    """
    new, old = finite(d), finite(earlier)
    if len(new) == 0 or len(old) < 2:
        return math.nan
    k = variance_inflation(old) if inflation is None else inflation
    scale = math.sqrt(float(old.var(ddof=1)) * k)
    if len(old) / k < MIN_EFFECTIVE or not 0.0 < scale < math.inf:
        return math.nan
    score = (float(new.mean()) - tolerance) / scale * math.sqrt(len(new))
    return score if math.isfinite(score) else math.nan
