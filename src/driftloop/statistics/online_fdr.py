"""Control of false retrains over a fleet: at one tick, and over all time.

A rejection is one stream's test; the false discovery rate (FDR) is the expected share of the false
among all rejections. That bounds the *share* of needless retrains; `levels.alpha_for_span` bounds
their *number*.

====================  =====================  =====================================================
procedure             over                   valid for
====================  =====================  =====================================================
`bh_rejections`       the tests of one tick  independent or positively dependent p-values
`e_bh`                the tests of one tick  e-values under any dependence
`LordPlusPlus`        all tests so far       independent p-values, superuniform given the past
`Saffron`             all tests so far       as LORD++; more power where many nulls are false
====================  =====================  =====================================================

Simulated FDR and power at alpha = .1 (100 sequences of 1,000 one-sided normal tests, true shifts
of 3 standard deviations at random places, π of them; Bonferroni at .1 / 1,000):

=====  ==========  ============  ==========  ==========
π      Bonferroni  BH (at once)  LORD++      SAFFRON
=====  ==========  ============  ==========  ==========
0      .13         .14           .03         .07
.01    .04, .24    .10, .39      .02, .13    .04, .11
.1     .00, .23    .09, .72      .02, .42    .10, .57
.3     .00, .24    .07, .87      .02, .66    .09, .86
.6     .00, .24    .04, .93      .01, .77    .09, .96
=====  ==========  ============  ==========  ==========

(At π = 0 the standard error is .03.)

Over an endless run without shifts the levels shrink to nothing: LORD++ spends `w0` in all, and
regains power with its next rejection. Tests of many streams that share a cause are not independent:
use `e_bh` there, or take out the fleet's own shift first (`fleet`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from driftloop.errors import Fault, SettingsError

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LORD_CONSTANT = 0.07720838
"""As published (Javanmard, Montanari 2018): the weights then sum to .976, just under 1."""

SAFFRON_POWER = 1.6
"""SAFFRON's weights fall as j to the minus this (Ramdas et al. 2018, section 4)."""


class Outcome(NamedTuple):
    """What an online procedure says of one test.

    Attributes:
        level: The level it was tested at, in [0, 1); nan for a test that was not spent.
        rejected: Whether p ≤ level.
    """

    level: float
    rejected: bool


def bh_rejections(p: npt.ArrayLike, alpha: float) -> Flags:
    """Return which tests Benjamini, Hochberg (1995) reject at the FDR alpha, (tests,).

    The k smallest p-values, k the largest with p₍ₖ₎ ≤ alpha k / m; m counts the verdicts. nan, no
    verdict, is not rejected.

    Raises:
        SettingsError: alpha is not in (0, 1).

    >>> bh_rejections([0.01, 0.02, float("nan"), 0.5], alpha=0.05).tolist()
    [True, True, False, False]
    """
    _check_alpha(alpha)
    values = np.asarray(p, np.float64).ravel()
    ordered = np.sort(values[~np.isnan(values)])
    passing = np.flatnonzero(ordered <= alpha * np.arange(1, len(ordered) + 1) / len(ordered))
    bound = ordered[passing[-1]] if len(passing) else -math.inf
    rejected: Flags = values <= bound  # nan compares false
    return rejected


def e_bh(e_values: npt.ArrayLike, alpha: float) -> Flags:
    """Return which tests e-BH (Wang, Ramdas 2022) rejects at the FDR alpha, (tests,).

    The k largest e-values, k the largest with e₍ₖ₎ ≥ m / (alpha k). Valid under any dependence. nan
    is no verdict: it is not rejected and does not count in m. +inf is a certain rejection.

    Args:
        e_values: (tests,), ≥ 0: of expectation at most 1 under H0, as `EProcess.e_value`.
        alpha: In (0, 1).

    Raises:
        SettingsError: alpha is not in (0, 1).

    >>> e_bh([100.0, 45.0, 2.0, float("nan")], alpha=0.05).tolist()
    [True, True, False, False]
    """
    _check_alpha(alpha)
    values = np.asarray(e_values, np.float64).ravel()
    ordered = np.sort(values[~np.isnan(values)])[::-1]
    m = len(ordered)
    passing = np.flatnonzero(ordered * np.arange(1, m + 1) * alpha >= m)
    bound = ordered[passing[-1]] if len(passing) else math.inf
    rejected: Flags = (values >= bound) & bool(len(passing))
    return rejected


class LordPlusPlus:
    """LORD++ (Ramdas, Yang, Wainwright, Jordan 2017): FDR ≤ alpha at every time.

    With the rejections at times τ₁ < τ₂ < …, the test at time t has the level

        w0 g(t) + (alpha - w0) g(t - τ₁) + alpha Σ_{j ≥ 2} g(t - τⱼ),

    over the τ before t; g(t) = .0772 ln(max(t, 2)) / (t e^√ln t). A test costs 8 µs when there were
    100 rejections. Deterministic; it pickles.

    Args:
        alpha: In (0, 1).
        w0: Wealth at the start, in (0, alpha); None is alpha / 2.

    Raises:
        SettingsError: alpha or w0 is out of its range.

    >>> fleet = LordPlusPlus(alpha=0.05)
    >>> fleet.test(1e-6).rejected, fleet.test(float("nan")).rejected
    (True, False)
    """

    __slots__ = ("_alpha", "_rejections", "_tests", "_w0")

    def __init__(self, alpha: float, w0: float | None = None) -> None:
        self._alpha = _check_alpha(alpha)
        self._w0 = _check_wealth(w0, alpha)
        self._tests = 0
        self._rejections: list[int] = []

    def test(self, p: float) -> Outcome:
        """Test a p-value in [0, 1]; nan, no verdict, is not spent and changes nothing."""
        if math.isnan(p):
            return Outcome(math.nan, rejected=False)
        self._tests += 1
        ages = self._tests - np.array(self._rejections, np.float64)
        level = self._w0 * float(lord_weights(self._tests))
        if len(ages):
            weights = lord_weights(ages)
            level += self._alpha * float(weights.sum()) - self._w0 * float(weights[0])
        rejected = p <= level
        if rejected:
            self._rejections.append(self._tests)
        return Outcome(level, rejected)


class Saffron:
    """SAFFRON (Ramdas, Zrnic, Wainwright, Jordan 2018): LORD++ that learns the share of nulls.

    A p ≤ λ is a *candidate*; only the others spend wealth. With t̃ⱼ = t - τⱼ less the candidates
    after τⱼ and before t (τ₀ = 0), the test at time t has the level

        min(λ, (1 - λ) (w0 g(t̃₀) + (alpha - w0) g(t̃₁) + alpha Σ_{j ≥ 2} g(t̃ⱼ))),

    g(j) = j^-1.6 / ζ(1.6). Deterministic; it pickles.

    Args:
        alpha: In (0, 1).
        w0: Wealth at the start, in (0, alpha), before the factor 1 - λ; None is alpha / 2.
        candidate: λ in (0, 1).

    Raises:
        SettingsError: An argument is out of its range.
    """

    __slots__ = ("_ages", "_alpha", "_candidate", "_w0")

    def __init__(self, alpha: float, w0: float | None = None, candidate: float = 0.5) -> None:
        if not 0.0 < candidate < 1.0:
            raise SettingsError([Fault("candidate", str(candidate), "must be in (0, 1)")])
        self._alpha = _check_alpha(alpha)
        self._w0 = _check_wealth(w0, alpha)
        self._candidate = candidate
        self._ages = [1]  # t̃₀, t̃₁, … of the next test

    def test(self, p: float) -> Outcome:
        """Test a p-value in [0, 1]; nan, no verdict, is not spent and changes nothing."""
        if math.isnan(p):
            return Outcome(math.nan, rejected=False)
        weights = saffron_weights(np.array(self._ages, np.float64))
        level = self._w0 * float(weights[0])
        if len(weights) > 1:
            level += self._alpha * float(weights[1:].sum()) - self._w0 * float(weights[1])
        level = min(self._candidate, (1.0 - self._candidate) * level)
        rejected = p <= level
        if p > self._candidate:
            self._ages = [age + 1 for age in self._ages]
        if rejected:
            self._ages.append(1)
        return Outcome(level, rejected)


def lord_weights(t: npt.ArrayLike) -> Array:
    """Return g of LORD++ at t ≥ 1, same shape; the sum over all t is .976."""
    times = np.asarray(t, np.float64)
    logs = np.log(times)
    weights: Array = (
        LORD_CONSTANT * np.log(np.maximum(times, 2.0)) / (times * np.exp(np.sqrt(logs)))
    )
    return weights


def saffron_weights(j: npt.ArrayLike) -> Array:
    """Return g of SAFFRON at j ≥ 1, same shape; the sum over all j is 1."""
    weights: Array = np.asarray(j, np.float64) ** -SAFFRON_POWER / special.zeta(SAFFRON_POWER)
    return weights


def _check_alpha(alpha: float) -> float:
    if not 0.0 < alpha < 1.0:
        raise SettingsError([Fault("alpha", str(alpha), "must be in (0, 1)")])
    return alpha


def _check_wealth(w0: float | None, alpha: float) -> float:
    wealth = alpha / 2.0 if w0 is None else w0
    if not 0.0 < wealth < alpha:
        raise SettingsError([Fault("w0", str(w0), f"must be in (0, alpha = {alpha})")])
    return wealth
