"""A loss test in which every hour counts alike: losses relative to what is usual in their phase.

Rejections at .05 and .01 by simulation (3,000 runs): losses |z| or exp(.6 z), z Gaussian AR(1),
times 10^sin(hour), a day against the days before, without a rise and with one of 30 %:

====================  ===========  ============  ===========  ============
records an hour,      plain test,  relative,     plain test,  relative,
days, φ               no rise      no rise       rise         rise
====================  ===========  ============  ===========  ============
4, 4, 0               .016, .000   .020, .001    .49, .15     .80, .49
4, 4, .6              .030, .005   .034, .005    .24, .06     .43, .16
1, 4, 0               .013, .000   .017, .001    .11, .01     .20, .03
1, 8, .3              .016, .001   .022, .002    .12, .01     .18, .04
4, 8, .6              .028, .003   .034, .002    .24, .06     .49, .19
1, 20, .6             .008, .000   .009, .000    .04, .002    .07, .009
====================  ===========  ============  ===========  ============
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.loss_tests import loss_test
from driftloop.statistics.phases import Phases
from driftloop.statistics.results import TestResult

Array = npt.NDArray[np.float64]

PRIOR_RECORDS = 4.0
"""Records of the overall mean that each phase's scale is drawn to it by."""


@np.errstate(all="ignore")  # absurd magnitudes end in "no verdict", not in a warning
def phase_relative_test(
    batch: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    tolerance: float = 0.0,
    phases: Phases | None = None,
) -> TestResult:
    """Test H0: the batch's losses, each relative to its phase's scale, are not above the reference.

    Where a stream is ten times busier by day, so are its errors, and a mean of losses is one of
    the rush hours alone: their noise hides what rises at other hours. Here each loss is divided by
    the scale of its phase before `loss_test` compares them, which weights phases by the inverse of
    their usual loss, as weighted least squares does where the deviation is in proportion to the
    mean. The scale of phase p,

        s_p = (Σ |loss| of p + λ m) / (n_p + λ),   m the mean of all |loss|, λ = `PRIOR_RECORDS`,

    is that of batch and reference together: were it of the reference alone, a phase whose mean is
    low there by chance would weigh more, and the batch would seem to have risen. With the pooled
    one, batch and reference are exchangeable within each phase under H0.

    A rise at busy hours that is made good at quiet ones is read by percentages, not by its sum.

    Args:
        batch: (n,) losses in their order; non-finite ones are dropped.
        reference: (m,) losses in their order, likewise.
        tolerance: Rise of the mean loss that is accepted, in units of the loss.
        phases: Phase index of each batch record, (n,), and each reference record, (m,). Without
            phases this is `loss_test`.

    Returns:
        As `loss_test`; `effect` is of the relative losses.

    Raises:
        SettingsError: Phases and losses differ in length.
    """
    if phases is None:
        return loss_test(batch, reference, tolerance=tolerance)
    new, old = np.asarray(batch, np.float64).ravel(), np.asarray(reference, np.float64).ravel()
    marks = [np.asarray(part).ravel() for part in phases]
    if marks[0].shape != new.shape or marks[1].shape != old.shape:
        rule = "must give one phase for each batch record and each reference record"
        value = f"{marks[0].shape}, {marks[1].shape} for {new.shape}, {old.shape}"
        raise SettingsError([Fault("phases", value, rule)])
    scale = _scales(np.concatenate([new, old]), np.concatenate(marks))
    n = len(new)
    return loss_test((new - tolerance) / scale[:n], old / scale[n:], phases=phases)


def _scales(losses: Array, marks: npt.NDArray[np.generic]) -> Array:
    """Scale of each record's phase, (records,); 1 where all losses are 0."""
    size = np.where(np.isfinite(losses), np.abs(losses), 0.0)
    known, index = np.unique(marks, return_inverse=True)
    counts = np.bincount(index, weights=np.isfinite(losses), minlength=len(known))
    total = float(counts.sum())
    overall = float(size.sum()) / total if total else 0.0
    if not 0.0 < overall < np.inf:
        return np.ones(len(losses))
    sums = np.bincount(index, weights=size, minlength=len(known))
    scale: Array = (sums + PRIOR_RECORDS * overall) / (counts + PRIOR_RECORDS)
    return scale[index]
