"""What differs between two artifacts."""

from __future__ import annotations

import numpy as np
import pytest

from driftloop.models import Encoding
from driftloop.models.difference import Change, difference
from tests.artifacts import artifact


def test_an_artifact_does_not_differ_from_itself() -> None:
    found = difference(artifact(), artifact())
    assert not any((found.features, found.settings, found.metrics, found.data))
    assert all(one.distance == 0.0 for one in found.weights)


def test_all_that_differs_is_told() -> None:
    old = artifact()
    encoding = Encoding(
        numeric=("a", "d"),
        categorical=("c",),
        mean=np.array([0.5, 0.0]),
        scale=np.array([2.0, 1.0]),
        vocabulary=(("x", "z"),),
    )
    weights = {**old.weights, "bias.0": old.weights["bias.0"] + 2.0, "bias.1": np.zeros(2)}
    new = artifact(
        encoding=encoding,
        weights=weights,
        seed=7,
        data=("streams.a:0:0:19",),
        challenger={"loss": 0.25, "records": 10.0},
        records=20,
    )
    found = difference(old, new)
    assert Change("numeric", ("a", "b"), ("a", "d")) in found.features
    assert Change("mean of a", 0.1, 0.5) in found.features
    assert Change("categories of c", ["ÿ"], ["z"]) in found.features
    assert not [one for one in found.features if one.what == "scale of a"]
    assert [one.what for one in found.settings] == ["seed"]
    assert {one.what for one in found.metrics} == {"records trained on", "loss on the hold-out"}
    assert found.data == [Change("records", old.data, new.data)]
    moved = {one.name: one for one in found.weights}
    assert moved["bias.0"].distance == pytest.approx(np.sqrt(3) * 2)
    assert moved["bias.0"].relative == pytest.approx(2.0)
    assert (moved["bias.1"].distance, moved["bias.1"].new_shape) == (None, (2,))
    assert moved["weight.0"].distance == 0.0
