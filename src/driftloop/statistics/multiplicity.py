"""Adjusted p-values for several tests of one hypothesis family."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def bonferroni(p: npt.ArrayLike) -> Array:
    """Return min(1, m p), (tests,); m counts the p-values that are not nan; nan stays nan."""
    values = np.asarray(p, dtype=np.float64)
    return np.minimum(values * np.count_nonzero(~np.isnan(values)), 1.0)


def holm(p: npt.ArrayLike) -> Array:
    """Return Holm's step-down adjusted p-values, (tests,); valid under any dependence.

    p̃₍ᵢ₎ = max over j ≤ i of min(1, (m - j + 1) p₍ⱼ₎) (Holm 1979). nan, a test without a verdict,
    stays nan and does not count in m.

    >>> holm([0.01, 0.04, float("nan"), 0.03]).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")  # nan sorts last
    m = int(np.count_nonzero(~np.isnan(values)))
    order = order[:m]
    adjusted = np.full(values.shape, np.nan)
    steps = values[order] * np.arange(m, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p: npt.ArrayLike) -> Array:
    """Return p-values adjusted for the false discovery rate, (tests,).

    p̃₍ᵢ₎ = min over j ≥ i of min(1, m p₍ⱼ₎ / j) (Benjamini, Hochberg 1995). Rejecting p̃ ≤ q keeps
    the expected share of false rejections at most q, if the tests are independent or positively
    dependent. nan, a test without a verdict, stays nan and does not count in m.

    >>> benjamini_hochberg([0.01, 0.04, float("nan"), 0.03]).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")  # nan sorts last
    m = int(np.count_nonzero(~np.isnan(values)))
    order = order[:m]
    adjusted = np.full(values.shape, np.nan)
    steps = values[order] * (m / np.arange(1.0, m + 1.0))
    adjusted[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return adjusted
