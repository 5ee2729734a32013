"""An anytime-valid test of two models on the same live records, by betting on paired losses.

Let d = loss(new) - loss(old), record by record, D the mean of d over a block of `BLOCK` records in
order, and y = min(max(D / (CLIP s), -1), 1), where s estimates the standard deviation of D from
*earlier* blocks alone. A bet of the share λ multiplies its capital by 1 + λ y ("the new one is
worse") or 1 - λ y ("it is better"), never negative, with mean at most 1 under

    H0 (not worse):  E[y | earlier blocks] ≤ 0,    H0 (not better):  E[y | earlier blocks] ≥ 0,

whatever the distribution of d and whatever s turned out to be. So the probability that the capital
ever reaches 1/alpha is at most alpha (Ville), and the test may be read after each block. Several λ
are played with equal shares. y is the mean difference, winsorised: where block means are symmetric
about their mean, or skewed away from the claim, H0 holds if E[D] ≤ 0 does. As a guard for the other
skew a claim also needs the plain mean of all d on its side. Blocks, not records, are bet on because
neighbouring losses depend on one another; blocks of 20 leave AR(1) of .6 a correlation of .05.

Share of trials in which "worse" was claimed, 4,000 runs each (`size`: d has mean 0; `power`: d has
mean .5 standard deviations), and records until then, median:

==========================================  ==========  ==========  =================
d                                           size, .01,  size, .05,  power, .01,
                                            500 rec.    300 rec.    500 rec. (median)
==========================================  ==========  ==========  =================
independent normal                          .001        .001        1.00  (220)
AR(1), φ = .6                               .004        .011        .96   (280)
AR(1), φ = .9 (blocks depend: breaks H0)    .013        .041        .44   (320)
difference of absolute errors, φ = .6       .001        .002        1.00  (220)
log-normal, skewed to the left              .008        .024        1.00  (200)
exp of AR(1) .6, skewed left (breaks H0)    .013        .036        .93   (260)
==========================================  ==========  ==========  =================

No claim can be had before 200 records at alpha = .01, or 160 at .05. The interval of .99 missed the
mean at any of its blocks in 0, 1.7 and 21 % of trials of 500 records with independent, AR(1) .6 and
AR(1) .9 differences (600 runs): it says .98 where losses depend as usual, and too much at .9.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BLOCK = 20
"""Records of a block."""

BETS = (0.1, 0.3, 0.6, 0.95)
"""The λ played."""

CLIP = 1.5
"""Standard deviations of a block's mean at which it is clipped."""

PRIOR = 3
"""Blocks' worth of trust in the first guess of s, which comes from within the blocks."""

INFLATION = 4.0
"""By which the variance of a block's mean may exceed that of independent records: AR(1) of .6."""


class Interval(NamedTuple):
    """A confidence interval; nan where there are too few blocks."""

    low: float
    high: float


class PairedBets:
    """Capital of both claims since the trial began.

    Deterministic; it pickles; its state is a few numbers.

    >>> bets = PairedBets()
    >>> for _ in range(12):
    ...     bets.update([0.9, 1.1] * 10)
    >>> bets.log_e_worse > math.log(100), bets.log_e_better < 0, bets.records, bets.mean
    (True, True, 240, 1.0)
    """

    __slots__ = ("_better", "_jumps", "_last", "_squares", "_sum", "_within", "_worse", "blocks",
                 "records")  # fmt: skip

    def __init__(self) -> None:
        self.blocks = 0
        self.records = 0
        self._worse = np.zeros(len(BETS))
        self._better = np.zeros(len(BETS))
        self._sum = 0.0
        self._squares = 0.0  # of the block means
        self._last = 0.0
        self._jumps = 0.0
        self._within = 0.0

    @property
    def mean(self) -> float:
        """Mean of the blocks' means, new minus old; nan before the first."""
        return self._sum / self.blocks if self.blocks else math.nan

    @property
    def log_e_worse(self) -> float:
        """Logarithm of the evidence that the new one is worse; -inf where the mean denies it."""
        return _log_mean(self._worse) if self._sum > 0.0 else -math.inf

    @property
    def log_e_better(self) -> float:
        """Logarithm of the evidence that the new one is better; -inf where the mean denies it."""
        return _log_mean(self._better) if self._sum < 0.0 else -math.inf

    def update(self, differences: npt.ArrayLike) -> None:
        """Take in one block.

        Args:
            differences: (records,) loss(new) - loss(old), in order; what is not finite is left out.
        """
        d = np.asarray(differences, np.float64)
        d = d[np.isfinite(d)]
        if not len(d):
            return
        mean = float(d.mean())
        if self.blocks:
            y = self._score(mean)
            with np.errstate(divide="ignore"):
                self._worse = self._worse + np.log1p(y * np.array(BETS))
                self._better = self._better + np.log1p(-y * np.array(BETS))
            self._jumps += (mean - self._last) ** 2 / 2.0
        self._within += float(d.var(ddof=1)) if len(d) > 1 else 0.0
        self._last = mean
        self._sum += mean
        self._squares += mean * mean
        self.blocks += 1
        self.records += len(d)

    def _score(self, mean: float) -> float:
        """A block's mean in [-1, 1], by a scale that earlier blocks give."""
        guess = INFLATION * self._within / self.blocks / BLOCK
        variance = (PRIOR * guess + self._jumps) / (PRIOR + self.blocks - 1)
        scale = CLIP * math.sqrt(variance)
        if scale <= 0.0:  # nothing differed so far
            return float(np.sign(mean))
        return min(max(mean / scale, -1.0), 1.0)

    def interval(self, alpha: float, planned: int) -> Interval:
        """Interval of the mean difference that holds at every block with confidence 1 - alpha.

        An asymptotic confidence sequence of the block means (Waudby-Smith, Arbour, Sinha, Kennedy,
        Ramdas 2024, Time-uniform central limit theory, theorem 2.2), narrowest at `planned`.

        Args:
            alpha: In (0, 1).
            planned: Blocks at which the trial is to end, ≥ 1.
        """
        k = self.blocks
        if k < 3:
            return Interval(math.nan, math.nan)
        centre = self.mean
        guess = INFLATION * self._within / k / BLOCK
        spread = max(self._squares - k * centre * centre, 0.0)
        variance = (PRIOR * guess + spread) / (PRIOR + k - 1)
        wide = -2.0 * math.log(alpha)
        rho2 = (wide + math.log(wide + 1.0) + 1.0) / planned
        t = k * rho2 + 1.0
        half = math.sqrt(variance * 2.0 * t / (k * k * rho2) * math.log(math.sqrt(t) / alpha))
        return Interval(centre - half, centre + half)


def _log_mean(log: Array) -> float:
    """Return ln of the mean of exp(log)."""
    return float(np.logaddexp.reduce(log)) - math.log(len(log))
