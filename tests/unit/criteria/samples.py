"""Windows and references for the tests of criteria."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driftloop.criteria import Sample

PARTS = ("x", "codes", "scores", "labels", "losses", "corrected")
NEW = 9
"""Code of a category that no sample without a shift has."""


def sample(n: int, seed: int, *, shifted: bool = False, phi: float = 0.0) -> Sample:
    """Records of three numbers, two texts, a regression's predictions, labels and losses.

    Args:
        n: Records.
        seed: Same seed, same records.
        shifted: Everything that a criterion looks at is otherwise.
        phi: Numbers and losses are AR(1) with this coefficient.
    """
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, 6))
    for t in range(1, n if phi else 0):
        noise[t] = phi * noise[t - 1] + np.sqrt(1 - phi**2) * noise[t]
    x, scores, losses = noise[:, :3].copy(), noise[:, 3].copy(), np.exp(0.3 * noise[:, 4])
    labels = scores + noise[:, 5]
    corrected = losses + 0.1 * rng.normal(size=n)
    shares = [0.1, 0.1, 0.2, 0.6] if shifted else [0.4, 0.3, 0.2, 0.1]
    codes = rng.choice(4, size=(n, 2), p=shares).astype(np.int64)
    if shifted:
        x = 2.0 * x + 1.5
        x[rng.random(n) < 0.3, 0] = np.nan
        codes[rng.random(n) < 0.3, 0] = NEW
        scores, losses = scores + 1.0, losses + 1.0
        corrected = losses - 0.5 - 0.1 * rng.random(n)
    return Sample(
        size=n,
        x=x,
        names=("a", "b", "c"),
        codes=codes,
        code_names=("k", "l"),
        scores=scores,
        labels=labels,
        losses=losses,
        corrected=corrected,
    )


def filled(n: int, value: float | list[float], code: int) -> Sample:
    """Records of nothing but one value, or of some values in turn, and of one category."""
    values = np.resize(np.asarray(value, np.float64), n)
    whole = sample(n, 0)
    wide = np.repeat(values[:, None], 3, axis=1)
    lone = dict.fromkeys(("scores", "labels", "losses", "corrected"), values)
    return replace(whole, x=wide, codes=np.full((n, 2), code, np.int64), **lone)


def without(whole: Sample, part: str) -> Sample:
    """The sample without one of its parts."""
    return replace(whole, prepared={}, **{part: None})
