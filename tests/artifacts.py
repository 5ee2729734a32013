"""Artifacts for tests of the store."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from driftloop.models import Encoding, ModelArtifact


def artifact(**changes: Any) -> ModelArtifact:
    """A small model of two numbers and a category; `changes` replace its attributes."""
    encoding = Encoding(
        numeric=("a", "b"),
        categorical=("c",),
        mean=np.array([0.1, 1 / 3]),
        scale=np.array([2.0, 1e-7]),
        vocabulary=(("x", "ÿ"),),
    )
    made = ModelArtifact(
        kind="mlp_regressor",
        task="regression",
        stream="streams.a",
        version="v1",
        request_id="0123456789abcdef",
        encoding=encoding,
        weights={
            "weight.0": np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3),
            "bias.0": np.ones(3, np.float32),
            "weight.1": np.ones((3, 1), np.float32),
            "bias.1": np.zeros(1, np.float32),
        },
        target=(3.0, 0.1),
        champion=None,
        challenger={"loss": 0.5, "records": 10.0, "p_worse": None},
        seed=2**62 + 1,
        data=("streams.a:0:0:9",),
    )
    return dataclasses.replace(made, **changes)
