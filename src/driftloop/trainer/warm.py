"""Warm start: the champion's weights, as first weights of a challenger with another encoding.

Two versions of a stream scale their features and labels by their own records, and know their own
categories. The first layer takes up the difference between the encodings, the last one that
between the labels' scales, so that before its first step the challenger predicts what the champion
predicts: exactly, but for rounding, for records whose features are all there and whose categories
both know, or neither. A missing number stands for the mean of the version's own records.
A category that is new has no weight yet, one that was dropped shares those of all others.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np

from driftloop.models import Encoding, ModelArtifact
from driftloop.models.artifact import Weights
from driftloop.trainer.dataset import FITTED_AS
from driftloop.trainer.job import Job, Spec, target_of

KINDS = ("mlp_regressor", "mlp_classifier")
"""Kinds that begin from weights; a linear model is solved anew, whatever came before."""


def begin(job: Job, champion: ModelArtifact, encoding: Encoding) -> Job:
    """The job with the champion's weights to begin from, where it has any that fit."""
    target = target_of(job.spec, job.labels)
    return dataclasses.replace(job, first=first_weights(champion, encoding, target, job.spec))


def first_weights(
    champion: ModelArtifact, encoding: Encoding, target: tuple[float, float], spec: Spec
) -> Weights | None:
    """The champion's weights for another encoding and another scale of the label.

    Args:
        champion: The version in use; of the same features, task and classes.
        encoding: The challenger's.
        target: Mean and standard deviation that the challenger's labels are scaled by.
        spec: How the challenger is trained.

    Returns:
        Weights as in `ModelArtifact`, float64; None where the champion has another kind or other
        layers, or its encoding has columns of other sorts.
    """
    if spec.kind not in KINDS or FITTED_AS.get(champion.kind, champion.kind) != spec.kind:
        return None
    old = champion.encoding
    sizes = [old.width, *spec.hidden, spec.outputs]
    shapes = [champion.weights[f"weight.{i}"].shape for i in range(champion.layers)]
    if shapes != list(pairwise(sizes)) or _features(old) != _features(encoding):
        return None
    weights: Weights = {name: value.astype(np.float64) for name, value in champion.weights.items()}
    _to_inputs(weights, old, encoding)
    _to_labels(weights, f"{champion.layers - 1}", champion.target, target)
    return weights


def _features(encoding: Encoding) -> tuple[object, ...]:
    """What two encodings must share for their columns to mean the same, but for the scale."""
    names = (encoding.numeric, encoding.categorical, encoding.sequence, encoding.calendar)
    return (*names, encoding.anchored)


def _to_inputs(weights: Weights, old: Encoding, new: Encoding) -> None:
    first = weights["weight.0"]  # (old width, units)
    mapped = np.zeros((new.width, first.shape[1]))
    numeric = len(old.numeric)
    order = new.order  # of the numeric features among the inputs
    mapped[:numeric] = first[:numeric] * (new.scale / old.scale)[order, None]
    shift = ((new.mean - old.mean) / old.scale)[order]  # (numeric,)
    weights["bias.0"] = weights["bias.0"] + shift @ first[:numeric]
    before = after = numeric
    for was, now in zip(old.vocabulary, new.vocabulary, strict=True):
        place = {name: before + i for i, name in enumerate(was)}
        for i, name in enumerate(now):
            if name in place:
                mapped[after + i] = first[place[name]]
        mapped[after + len(now)] = first[before + len(was)]  # all other categories
        before, after = before + len(was) + 1, after + len(now) + 1
    mapped[after:] = first[before:]  # the calendar, which has no scale
    weights["weight.0"] = mapped


def _to_labels(
    weights: Weights, last: str, old: tuple[float, float], new: tuple[float, float]
) -> None:
    (old_mean, old_scale), (new_mean, new_scale) = old, new
    ratio = old_scale / new_scale
    weights[f"weight.{last}"] = weights[f"weight.{last}"] * ratio
    weights[f"bias.{last}"] = weights[f"bias.{last}"] * ratio + (old_mean - new_mean) / new_scale
