"""Tests of a model's outputs: their distribution without labels, their calibration with labels.

Sizes as measured, and what a window costs: ``docs/criteria.md``.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import special

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.autocorrelation import variance_inflation
from driftloop.statistics.multiplicity import holm
from driftloop.statistics.results import MIN_EFFECTIVE, MIN_VALUES, TestResult, no_verdict
from driftloop.statistics.univariate import DEPENDENCES, compare_columns

Array = npt.NDArray[np.float64]

ECE_BINS = 10
"""Bins of equal width for the expected calibration error."""


def score_test(
    window: npt.ArrayLike,
    reference: npt.ArrayLike,
    test: str = "ks",
    *,
    dependence: str = "none",
) -> TestResult:
    """Test that a model's scores or class probabilities have kept their distribution; no labels.

    One test for scores, one a class for probabilities, adjusted by Holm; of two classes only the
    second, as the first is its complement. The result is that of the class with the smallest
    p-value, with its adjusted p-value.

    Args:
        window: (n,) scores, or (n, classes) probabilities; non-finite ones are dropped.
        reference: (m,) or (m, classes).
        test: A name that `univariate.compare_columns` knows.
        dependence: As there.

    Returns:
        `statistic`, `effect` and sizes of the class with the smallest p-value.

    Raises:
        SettingsError: Classes differ, or an unknown name.
    """
    new, old = np.asarray(window, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if new.ndim not in {1, 2} or new.shape[1:] != old.shape[1:]:
        rule = "window and reference must both be (records,) or (records, classes)"
        raise SettingsError([Fault("window", f"{new.shape} and {old.shape}", rule)])
    if new.ndim == 1:
        new, old = new[:, None], old[:, None]
    elif new.shape[1] == 2:
        new, old = new[:, 1:], old[:, 1:]
    tests = compare_columns(new, old, [test], dependence=dependence)[test]
    if not len(tests):
        return no_verdict("no classes", n=len(new), n_reference=len(old))
    adjusted = holm(tests.p_value)
    if np.isnan(adjusted).all():
        return tests.column(0)
    column = int(np.nanargmin(adjusted))
    result = tests.column(column)
    return TestResult(
        statistic=result.statistic,
        p_value=float(adjusted[column]),
        effect=result.effect,
        n=result.n,
        n_reference=result.n_reference,
        n_effective=result.n_effective,
        n_effective_reference=result.n_effective_reference,
    )


@np.errstate(all="ignore")  # absurd magnitudes end in "no verdict"
def calibration_test(
    y: npt.ArrayLike, y_pred: npt.ArrayLike, *, dependence: str = "none"
) -> TestResult:
    """Test that probabilities are calibrated: Spiegelhalter's z (1986), two-sided.

    The Brier score B = Σᵢ Σ_c (y_ic - p_ic)² has, if labels follow the probabilities, the mean
    Σᵢ (1 - Σ_c p²) and the variance 4 Σᵢ (Σ_c p³ - (Σ_c p²)²); z = (B - mean) / deviation. For two
    classes that is Spiegelhalter's Σ (y - p)(1 - 2p) / √(Σ (1 - 2p)² p (1 - p)). z > 0: the
    predictions are worse than they claim, as over-confident ones are.

    Args:
        y: (n,) class indices 0, 1, ….
        y_pred: (n,) probabilities of class 1, or (n, classes). Records whose label or probabilities
            are not finite or out of range are dropped; rows are normalised.
        dependence: ``ar`` divides z by √k, k of the records' terms (`variance_inflation`).

    Returns:
        `effect` is the expected calibration error, in [0, 1]: Σ over ten bins of equal width of
        (records / n) |share of the class - mean probability|; of class 1 for (n,), of the most
        probable class for (n, classes). It is above 0 for calibrated predictions too, by about
        .1 to .2 √(bins / n). No verdict with fewer than `MIN_VALUES` records, or when the variance
        is 0 (all probabilities 0, 1, or all classes alike).

    Raises:
        SettingsError: Shapes do not fit.
    """
    p, index = _labelled(y, y_pred, dependence)
    n = len(index)
    if n < MIN_VALUES:
        return no_verdict(f"fewer than {MIN_VALUES} labelled records", n=n)
    square = (p**2).sum(axis=1)
    own = p[np.arange(n), index]
    terms = 1.0 - 2.0 * own + square - (1.0 - square)
    variance = 4.0 * np.maximum((p**3).sum(axis=1) - square**2, 0.0)
    effect = _calibration_error(p, index, binary=np.ndim(y_pred) == 1)
    return _z_result(terms.sum(), variance.sum(), terms, effect, dependence)


def _labelled(
    y: npt.ArrayLike, y_pred: npt.ArrayLike, dependence: str
) -> tuple[Array, npt.NDArray[np.intp]]:
    """Return probabilities (n, classes) and labels (n,) of the usable records."""
    labels, p = np.asarray(y, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    _check(labels, p, dependence, {1, 2})
    if p.ndim == 1:
        p = np.stack([1.0 - p, p], axis=1)
    usable = (labels >= 0) & (labels < p.shape[1]) & (labels == np.floor(labels))
    usable &= ((p >= 0.0) & (p <= 1.0)).all(axis=1)
    total = p.sum(axis=1)
    usable &= total > 0.0
    return p[usable] / total[usable, None], labels[usable].astype(np.intp)


def _check(labels: Array, p: Array, dependence: str, dimensions: set[int]) -> None:
    faults = []
    if labels.ndim != 1 or p.ndim not in dimensions or p.shape[:1] != labels.shape:
        rule = "y must be (n,) and y_pred have as many records"
        faults.append(Fault("y_pred", f"{labels.shape} and {p.shape}", rule))
    if dependence not in DEPENDENCES:
        rule = f"must be one of {', '.join(DEPENDENCES)}"
        faults.append(Fault("dependence", repr(dependence), rule))
    if faults:
        raise SettingsError(faults)


def _calibration_error(p: Array, index: npt.NDArray[np.intp], *, binary: bool) -> float:
    if binary:
        confidence, hit = p[:, 1], index == 1
    else:
        top = p.argmax(axis=1)
        confidence, hit = p[np.arange(len(p)), top], index == top
    bins = np.minimum((confidence * ECE_BINS).astype(np.intp), ECE_BINS - 1)
    gaps = np.bincount(bins, weights=hit - confidence, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(p))


def _z_result(
    total: float, variance: float, terms: Array, effect: float, dependence: str
) -> TestResult:
    n = len(terms)
    k = variance_inflation(terms) if dependence == "ar" else 1.0
    silent = partial(no_verdict, effect=effect, n=n, n_effective=n / k)
    if k > 1.0 and n / k < MIN_EFFECTIVE:
        return silent(f"fewer than {MIN_EFFECTIVE:.0f} effective records")
    if variance <= 1e-12 * n:
        return silent("the predictions leave nothing to chance")
    z = float(total / math.sqrt(variance * k))
    return TestResult(
        statistic=z,
        p_value=min(2.0 * float(special.ndtr(-abs(z))), 1.0),
        effect=effect,
        n=n,
        n_reference=0,
        n_effective=n / k,
        n_effective_reference=0.0,
    )


@np.errstate(all="ignore")  # absurd magnitudes end in "no verdict"
def residual_test(
    y: npt.ArrayLike, y_pred: npt.ArrayLike, *, dependence: str = "none"
) -> TestResult:
    """Test that a regression's residuals y - y_pred have the mean 0: one-sample t, two-sided.

    With ``dependence="ar"``, n counts as n / k records, k = `variance_inflation` of the residuals,
    as in `loss_tests.paired_mean_test`.

    Args:
        y: (n,) labels; records with a non-finite residual are dropped.
        y_pred: (n,) predictions.
        dependence: ``none`` or ``ar``.

    Returns:
        `effect` is the mean residual over the residuals' standard deviation: positive when the
        labels lie above the predictions.

    Raises:
        SettingsError: Shapes do not fit.
    """
    labels, p = np.asarray(y, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    _check(labels, p, dependence, {1})
    residuals = labels - p
    residuals = residuals[np.isfinite(residuals)]
    n = len(residuals)
    if n < MIN_VALUES:
        return no_verdict(f"fewer than {MIN_VALUES} labelled records", n=n)
    k = variance_inflation(residuals) if dependence == "ar" else 1.0
    deviation = float(residuals.std()) if np.ptp(residuals) > 0.0 else 0.0
    mean = float(residuals.mean())
    effect = mean / deviation if deviation > 0.0 else math.nan
    if not math.isfinite(effect):
        return no_verdict("residuals do not vary, or are too large", n=n, n_effective=n / k)
    if k > 1.0 and n / k < MIN_EFFECTIVE:
        reason = f"fewer than {MIN_EFFECTIVE:.0f} effective records"
        return no_verdict(reason, effect=effect, n=n, n_effective=n / k)
    freedom = n / k - 1.0
    t = effect * math.sqrt(freedom)
    return TestResult(
        statistic=t,
        p_value=min(2.0 * float(special.stdtr(freedom, -abs(t))), 1.0),
        effect=effect,
        n=n,
        n_reference=0,
        n_effective=n / k,
        n_effective_reference=0.0,
    )
