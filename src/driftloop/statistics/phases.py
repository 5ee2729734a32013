"""Cycles: the phases' means of a reference, removed from losses before they are compared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError

Array = npt.NDArray[np.float64]
Phases = tuple[npt.ArrayLike, npt.ArrayLike]
"""Phase index (hour of the day, day of the week) of each batch record and each reference record."""


def remove_phases(new: Array, old: Array, phases: Phases) -> tuple[Array, Array, float, int]:
    """Return batch and reference less their phase's mean, 1 / Σ(w²/n) and the number of phases.

    Each reference phase has its mean moved to 0; the batch's difference of means is then exactly
    its mean minus the mean of the reference standardised to the batch's phases.

    Args:
        new: (n,) losses of the batch; non-finite ones, and those of a phase that the reference
            lacks, are left out.
        old: (m,) losses of the reference; non-finite ones are left out.
        phases: Phase index of each batch record, (n,), and each reference record, (m,).

    Returns:
        The batch and the reference without their phases' means; the number of independent records
        that the standardised reference mean is worth, (0, m], 0 where there is nothing to compare
        (w_p: the batch's share of phase p, n_p: the reference's records of it); and the number of
        phases of the reference.

    Raises:
        SettingsError: Phases and losses differ in length.
    """
    new_phases, old_phases = (np.asarray(part).ravel() for part in phases)
    if new_phases.shape != new.shape or old_phases.shape != old.shape:
        rule = "must give one phase for each batch record and each reference record"
        value = f"{new_phases.shape}, {old_phases.shape} for {new.shape}, {old.shape}"
        raise SettingsError([Fault("phases", value, rule)])
    keep = np.isfinite(old)
    old, old_phases = old[keep], old_phases[keep]
    known, index = np.unique(old_phases, return_inverse=True)
    keep = np.isfinite(new) & np.isin(new_phases, known)
    new, new_index = new[keep], np.searchsorted(known, new_phases[keep])
    if not len(old):
        return new, old, 0.0, len(known)
    counts = np.bincount(index, minlength=len(known))
    means = np.bincount(index, weights=old, minlength=len(known)) / counts
    shares = np.bincount(new_index, minlength=len(known)) / max(len(new), 1)
    size = 1.0 / float((shares**2 / counts).sum()) if len(new) else 0.0
    return new - means[new_index], old - means[index], size, len(known)


def cycles(phases: npt.ArrayLike) -> float:
    """Return how many cycles a series of phases covers: its runs of one phase, by its phases.

    >>> cycles([0, 0, 1, 1, 0, 0, 1, 1, 0, 0])
    2.5
    """
    marks = np.asarray(phases).ravel()
    return _runs(marks) / len(np.unique(marks)) if len(marks) else 0.0


def phase_inflation(reference: npt.ArrayLike, phases: npt.ArrayLike) -> float:
    """Return by how much more a reference depends than it shows once its phases are removed.

    Records of a phase that follow each other (four of an hour) share the slow part of the noise,
    and the phase's mean takes that part along: of one cycle nothing of it is left, so neighbours
    seem independent. With r runs of one phase, g phases and m records,

        r / (r - g + 1) : m / (m - g + 1),

    the degrees of freedom of the slow part over those of the records. About r / g cycles, so 2 of
    two cycles and 1.3 of four; 1 where each record is a run of its own (24 records a day), or
    phases come in no order. It multiplies the long-run variance of the centred reference.

    Args:
        reference: (m,) losses in their order; non-finite ones are left out.
        phases: Phase index of each, (m,).
    """
    finite = np.isfinite(np.asarray(reference, np.float64).ravel())
    marks = np.asarray(phases).ravel()[finite]
    m = len(marks)
    if not m:
        return 1.0
    runs, lost = _runs(marks), len(np.unique(marks)) - 1
    return (runs / (runs - lost)) / (m / (m - lost))


def _runs(marks: npt.NDArray[np.generic]) -> int:
    return 1 + int(np.count_nonzero(marks[1:] != marks[:-1]))
