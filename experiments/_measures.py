"""Figures of a classifier of anomalies."""

from __future__ import annotations

import numpy as np
from scipy import stats

from experiments._data import Floats

MEASURES = ("accuracy", "balanced", "auc", "f1")


def measures(y: Floats, losses: Floats) -> dict[str, float]:
    """Accuracy, balanced accuracy, AUC and F1 of the anomalies.

    Args:
        y: Classes, (n,).
        losses: Log loss of each record, (n,): exp(-loss) is the probability of the class that came.
    """
    right = np.exp(-losses)
    p = np.where(y == 1, right, 1.0 - right)
    told, there = p >= 0.5, y == 1
    hits = float((told & there).sum())
    recall, specificity = hits / max(there.sum(), 1), float((~told & ~there).sum())
    specificity /= max((~there).sum(), 1)
    positives, negatives = float(there.sum()), float((~there).sum())
    ranks = float(stats.rankdata(p)[there].sum())
    auc = (ranks - positives * (positives + 1) / 2) / max(positives * negatives, 1)
    return {
        "accuracy": float((told == there).mean()),
        "balanced": (recall + specificity) / 2,
        "auc": auc,
        "f1": 2 * hits / max(float(told.sum()) + positives, 1.0),
    }
