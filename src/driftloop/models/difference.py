"""What differs between two artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from driftloop.models.artifact import ModelArtifact


class Change(NamedTuple):
    """One thing that differs.

    Attributes:
        what: As ``loss on the hold-out`` or ``mean of a``.
        old: Its old value; None where there was none.
        new: Its new value; None where there is none.
    """

    what: str
    old: Any
    new: Any


class WeightChange(NamedTuple):
    """How far an array of weights moved.

    Attributes:
        name: As ``weight.0``.
        old_shape: Its old shape; None where there was none.
        new_shape: Its new shape; None where there is none.
        distance: Euclidean length of new - old; None where the shapes differ.
        relative: The same over the length of old; None where that is 0 or the shapes differ.
    """

    name: str
    old_shape: tuple[int, ...] | None
    new_shape: tuple[int, ...] | None
    distance: float | None
    relative: float | None


class Difference(NamedTuple):
    """What differs between two artifacts; empty lists where nothing does.

    Attributes:
        features: Of names, order, categories, means and scales.
        settings: Of kind, task, loss, classes, seed, layers.
        metrics: Of losses on the hold-out, and numbers of records.
        data: Offset ranges.
        weights: Of each array, moved or not.
    """

    features: list[Change]
    settings: list[Change]
    metrics: list[Change]
    data: list[Change]
    weights: list[WeightChange]


def difference(old: ModelArtifact, new: ModelArtifact) -> Difference:
    """Compare two artifacts."""
    settings = [
        Change(name, getattr(old, name), getattr(new, name))
        for name in ("kind", "task", "loss", "classes", "seed", "layers", "target")
    ]
    names = sorted({*old.challenger, *new.challenger})
    metrics = [Change("records trained on", old.records, new.records)]
    metrics += [
        Change(f"{name} on the hold-out", old.challenger.get(name), new.challenger.get(name))
        for name in names
    ]
    return Difference(
        features=list(_features(old, new)),
        settings=_changed(settings),
        metrics=_changed(metrics),
        data=_changed([Change("records", old.data, new.data)]),
        weights=[_weights(name, old, new) for name in sorted({*old.weights, *new.weights})],
    )


def _changed(changes: Sequence[Change]) -> list[Change]:
    return [change for change in changes if change.old != change.new]


def _features(old: ModelArtifact, new: ModelArtifact) -> Iterator[Change]:
    before, after = old.encoding, new.encoding
    for what in ("numeric", "categorical"):
        yield from _changed([Change(what, getattr(before, what), getattr(after, what))])
    for i, name in enumerate(before.numeric):
        if name not in after.numeric:
            continue
        j = after.numeric.index(name)
        pairs = [
            Change(f"mean of {name}", float(before.mean[i]), float(after.mean[j])),
            Change(f"scale of {name}", float(before.scale[i]), float(after.scale[j])),
        ]
        yield from _changed(pairs)
    known = dict(zip(after.categorical, after.vocabulary, strict=True))
    for name, was in zip(before.categorical, before.vocabulary, strict=True):
        now = known.get(name)
        if now is None or now == was:
            continue
        gone, come = sorted(set(was) - set(now)), sorted(set(now) - set(was))
        yield Change(f"categories of {name}", gone or None, come or None)


def _weights(name: str, old: ModelArtifact, new: ModelArtifact) -> WeightChange:
    before, after = old.weights.get(name), new.weights.get(name)
    shapes = (
        None if before is None else before.shape,
        None if after is None else after.shape,
    )
    if before is None or after is None or before.shape != after.shape:
        return WeightChange(name, *shapes, None, None)
    distance = float(np.linalg.norm(after - before))
    length = float(np.linalg.norm(before))
    return WeightChange(name, *shapes, distance, distance / length if length else None)
