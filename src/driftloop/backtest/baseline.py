"""The trivial prediction that every policy is shown beside."""

from __future__ import annotations

import numpy as np

from driftloop.records.columns import Floats
from driftloop.settings import Profile


def baseline_name(profile: Profile, season: int) -> str:
    """Name of the trivial prediction."""
    if profile.task != "regression":
        return "last class"
    return "last value" if season == 1 else f"seasonal naive ({season} records)"


def naive_predictions(profile: Profile, y: Floats, season: int = 1) -> Floats:
    """Predict each record by an earlier label alone.

    Regression: the label `season` records before. Classification: the last class. For log loss,
    which needs a probability, that the class stays is given the share of earlier records in which
    it did, (stayed + 1) / (seen + classes), and the other classes share the rest.

    Args:
        profile: Task, loss, classes.
        y: Labels in their order, (n,), numbers or class indices.
        season: Records of a season, ≥ 1.

    Returns:
        (n,) numbers, class indices or probabilities of class 1, or (n, classes) probabilities; nan
        for the first `season` records.

    >>> naive_predictions(Profile(), np.array([1.0, 2.0, 3.0])).tolist()
    [nan, 1.0, 2.0]
    """
    lag = season if profile.task == "regression" else 1
    last: Floats = np.full(len(y), np.nan)
    last[lag:] = y[:-lag] if lag < len(y) else last[lag:]
    if profile.task == "regression" or profile.loss == "zero_one":
        return _one_hot(last, len(profile.classes)) if profile.task == "multiclass" else last
    classes = max(len(profile.classes), 2)
    stayed = np.concatenate([[0.0], np.cumsum((y == last)[:-1])])
    seen = np.maximum(np.arange(len(y)) - 1.0, 0.0)
    stays = (stayed + 1.0) / (seen + classes)  # (n,)
    if profile.task == "binary":
        probability: Floats = np.where(last == 1.0, stays, 1.0 - stays) + 0.0 * last
        return probability
    hot = _one_hot(last, classes)
    spread: Floats = hot * stays[:, None] + (1.0 - hot) * ((1.0 - stays) / (classes - 1))[:, None]
    return spread


def _one_hot(codes: Floats, classes: int) -> Floats:
    hot: Floats = (codes[:, None] == np.arange(classes)).astype(np.float64)  # (n, classes)
    hot[np.isnan(codes)] = np.nan
    return hot
