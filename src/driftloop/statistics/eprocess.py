"""Anytime-valid tests of a rise of the mean loss: a betting e-process and an e-detector.

Both bet on *window scores* z, one number for each closed window of whole cycles
(`window_scores`: the rise of the mean loss over a cautious reference, in standard errors). A bet of
the share λ in (0, 1] of the capital multiplies it by

    1 + λ (y - slack) / (LOWER + slack),    y = min(max(z, -LOWER), UPPER),

which is never negative. Its mean is at most 1 under

    H0: E[y | earlier windows] ≤ slack,    slack = E[(-LOWER - N)⁺] = .0085, N standard normal.

So z need not be normal, nor its variance right: its conditional mean must not be above 0, and its
lower tail beyond -LOWER = -2 no heavier than the normal's. Means of losses, bounded below and long
to the right, fit that; capping z at UPPER = 6 only lowers y. What breaks it: a reference whose mean
is too low, hence the `guard` of `window_scores.window_score`; a heavier lower tail; and window
means that depend, so windows should be long against the losses' memory (the table bears a
correlation of .1, not .2).

Several λ are played at once with equal shares (a mixture), so none must be chosen.

- `EProcess`: capital from one start. P(it ever reaches 1/alpha) ≤ alpha (Ville).
- `EDetector`: a new start at every window, their capitals summed (Shiryaev-Roberts form of Shin,
  Ramdas, Rinaldo, arXiv 2203.03532) or the best of them (CUSUM form). M_t - t is a
  supermartingale under H0, so the alarm M ≥ c has an average run length of at least c windows, and
  a probability of at most T/c within T windows: c = T/alpha keeps alpha over T windows.

Average run length under H0, its least promise 100 (c = 100), and mean delay after a shift, in
windows (400 runs of at most 3,000 windows):

===========================================  ====  =====
scores z                                     sr    cusum
===========================================  ====  =====
independent normal                           104   2,410
exponential less its mean                    117   2,631
normal AR(1), correlation .1                 104   1,880
normal AR(1), correlation .2 (breaks H0)     86    1,301
t, 3 degrees of freedom (breaks H0)          84    1,159
delay, normal shifted by .5                  28    51
delay, normal shifted by 1                   16    22
delay, normal shifted by 2                   9.6   12
delay, normal shifted by 3                   7.5   8.4
===========================================  ====  =====

With `window_score` and its guard of 2 on Gaussian AR(1) losses (120 references, at most 600 windows
of 100 records, or 500 at the last): average run lengths of 581, 570, 558 and 581 for φ = 0, .6, .9
(reference 600) and .9 (1,500). Without guard 242 to 270, half of them under 100 windows.
The guard costs delay: a rise of two standard errors of a window is found in 30 windows, not in 10.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError

Array = npt.NDArray[np.float64]

LOWER = 2.0
"""A window's score counts as at least -LOWER: it bounds what a bet can lose."""

UPPER = 6.0
"""A window's score counts as at most this, so no single one decides alone."""

SLACK = math.exp(-(LOWER**2) / 2.0) / math.sqrt(2.0 * math.pi) - LOWER * 0.5 * math.erfc(
    LOWER / math.sqrt(2.0)
)
"""How much raising z to -LOWER adds to the mean of a standard normal, .0085."""

BETS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""The λ played: best against a lasting rise of about λ / 2 standard errors of a window."""


class EProcess:
    """Evidence since one start that window scores are above 0; valid whenever it is read.

    Deterministic; it pickles; a score at a time or many at once give the same.

    Args:
        bets: The shares λ of the mixture, each in (0, 1].

    Raises:
        SettingsError: No bets, or one outside (0, 1].

    >>> evidence = EProcess()
    >>> round(evidence.update([1.0, 2.0, 3.0]), 3)
    0.903
    >>> evidence.update(float("nan")) == evidence.log_e
    True
    """

    __slots__ = ("_bets", "_log", "_peak")

    def __init__(self, bets: tuple[float, ...] = BETS) -> None:
        self._bets = _checked(bets)
        self._log = np.zeros(len(bets))
        self._peak = 0.0

    @property
    def log_e(self) -> float:
        """The natural logarithm of the e-value; 0 at the start."""
        return _log_mean(self._log)

    @property
    def e_value(self) -> float:
        """The e-value, for `online_fdr.e_bh`; +inf where it is beyond 1e304."""
        return math.exp(self.log_e) if self.log_e < 700.0 else math.inf

    @property
    def p_value(self) -> float:
        """The anytime-valid p-value 1 / (largest e-value so far), in [0, 1]."""
        return math.exp(-self._peak)

    def update(self, scores: npt.ArrayLike) -> float:
        """Take in window scores, (n,) or one, in their order; return `log_e`.

        Non-finite scores are windows without a verdict: they change nothing.
        """
        for step in _steps(scores, self._bets):
            self._log = self._log + step
            self._peak = max(self._peak, self.log_e)
        return self.log_e


class EDetector:
    """An e-detector of a rise that may begin at any window.

    Deterministic; it pickles; a score at a time or many at once give the same.

    Args:
        form: ``sr`` sums the evidence of all starts, M_t = (1 + M_{t-1}) · factor; ``cusum`` keeps
            the best start, M_t = max(1, M_{t-1}) · factor, never above ``sr``. Both for each λ
            apart, then averaged.
        bets: The shares λ of the mixture, each in (0, 1].

    Raises:
        SettingsError: The form is unknown, no bets, or one outside (0, 1].

    >>> detector = EDetector()
    >>> detector.update([0.1, -0.4, 0.2]) < threshold(1000)
    True
    >>> detector.update([3.0] * 12) >= threshold(1000)
    True
    """

    __slots__ = ("_bets", "_form", "_log")

    def __init__(self, form: Literal["sr", "cusum"] = "sr", bets: tuple[float, ...] = BETS) -> None:
        if form not in {"sr", "cusum"}:
            raise SettingsError([Fault("form", repr(form), "must be sr or cusum")])
        self._form = form
        self._bets = _checked(bets)
        self._log = np.full(len(bets), -math.inf)

    @property
    def log_e(self) -> float:
        """The natural logarithm of M; -inf before the first window."""
        return _log_mean(self._log)

    def update(self, scores: npt.ArrayLike) -> float:
        """Take in window scores, (n,) or one, in their order; return `log_e`.

        Non-finite scores are windows without a verdict: they change nothing. Windows after an alarm
        still add up; begin a new detector with a new model version. To see an alarm *within* many
        scores, give them one at a time.
        """
        combine = np.logaddexp if self._form == "sr" else np.maximum
        for step in _steps(scores, self._bets):
            self._log = combine(0.0, self._log) + step
        return self.log_e


def threshold(average_run_length: float) -> float:
    """Return the `log_e` at which to alarm, ln c.

    Args:
        average_run_length: c, windows without drift until a false alarm, on average at least; or
            T/alpha, for a false alarm with probability at most alpha within T windows. ≥ 1.

    Raises:
        SettingsError: It is below 1 or nan.

    >>> threshold(20 / 0.05) == math.log(400)
    True
    """
    if not average_run_length >= 1.0:
        value = str(average_run_length)
        raise SettingsError([Fault("average_run_length", value, "must be at least 1")])
    return math.log(average_run_length)


def _checked(bets: tuple[float, ...]) -> Array:
    """Return the shares, (bets,)."""
    if not bets or not all(0.0 < bet <= 1.0 for bet in bets):
        raise SettingsError([Fault("bets", str(bets), "must be shares in (0, 1], at least one")])
    return np.array(bets, np.float64)


def _steps(scores: npt.ArrayLike, bets: Array) -> Array:
    """Return the logarithm of each finite score's factors, (n, bets); -inf where all is lost."""
    z = np.asarray(scores, np.float64).ravel()
    y = np.clip(z[np.isfinite(z)], -LOWER, UPPER)
    with np.errstate(divide="ignore"):
        steps: Array = np.log1p(np.outer((y - SLACK) / (LOWER + SLACK), bets))
    return steps


def _log_mean(log: Array) -> float:
    """Return ln of the mean of exp(log)."""
    return float(np.logaddexp.reduce(log)) - math.log(len(log))
