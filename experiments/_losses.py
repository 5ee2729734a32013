"""Undisturbed losses of mean 1, and what disturbs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Array = npt.NDArray[np.float64]

DAY = 96
"""Records of a day: one every 15 minutes."""

SPREAD = 0.5
"""Standard deviation of the losses, their mean being 1."""

CYCLE = 0.5
"""Amplitude of the daily cycle of the losses."""


@dataclass(frozen=True)
class Noise:
    """How undisturbed losses behave.

    Attributes:
        name: In words.
        phi: Correlation of neighbours: AR(1).
        law: ``normal``; ``t3``: Student's t with 3 degrees of freedom; ``lognormal``: skewed to the
            right as losses are, of the same mean and standard deviation (of an AR(1) too).
        days: Days that a window covers.
        cycle: Whether the losses have a daily cycle.
        phases: Whether the test is told the hour of each record.
    """

    name: str
    phi: float = 0.0
    law: Literal["normal", "t3", "lognormal"] = "normal"
    days: float = 1.0
    cycle: bool = False
    phases: bool = False

    @property
    def records(self) -> int:
        """Records of a window."""
        return round(self.days * DAY)

    def losses(self, rng: np.random.Generator, n: int) -> Array:
        """Losses, (n,), of mean 1 and standard deviation `SPREAD` about their cycle."""
        out = 1.0 + SPREAD * self.standard(rng, n)
        if self.cycle:
            out += CYCLE * np.sin(2.0 * np.pi * np.arange(n) / DAY)
        return out

    def standard(self, rng: np.random.Generator, n: int) -> Array:
        """The same without mean, cycle and scale: mean 0, variance 1, (n,)."""
        if self.law == "t3":
            return np.asarray(rng.standard_t(3, n) / np.sqrt(3.0))
        x = ar1(rng, n, self.phi)
        if self.law == "lognormal":
            s = np.sqrt(np.log1p(SPREAD**2))
            return np.asarray((np.exp(s * x - s * s / 2.0) - 1.0) / SPREAD)
        return x

    def hours(self, n: int) -> npt.NDArray[np.int64]:
        """Hour of the day of each record, (n,)."""
        return np.arange(n) % DAY // (DAY // 24)


NOISES = (
    Noise("normal, φ = 0"),
    Noise("normal, φ = .3", phi=0.3),
    Noise("normal, φ = .6", phi=0.6),
    Noise("normal, φ = .9", phi=0.9),
    Noise("normal, φ = .9, weeks", phi=0.9, days=7),
    Noise("t, 3 degrees of freedom", law="t3"),
    Noise("lognormal, φ = .6", phi=0.6, law="lognormal"),
    Noise("daily cycle, hours told, φ = .3", phi=0.3, cycle=True, phases=True),
    Noise("daily cycle, hours not told, φ = .3", phi=0.3, cycle=True),
    Noise("daily cycle, windows of 18 h, hours not told", phi=0.3, days=0.75, cycle=True),
    Noise("daily cycle, windows of 18 h, hours told", phi=0.3, days=0.75, cycle=True, phases=True),
)


def ar1(rng: np.random.Generator, n: int, phi: float) -> Array:
    """A stationary Gaussian AR(1) of variance 1, (n,)."""
    shocks = rng.standard_normal(n)
    if phi == 0.0:
        return shocks
    shocks[1:] *= np.sqrt(1.0 - phi * phi)
    return np.asarray(lfilter([1.0], [1.0, -phi], shocks))
