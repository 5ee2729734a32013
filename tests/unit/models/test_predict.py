"""Predictions against the formulas written out, one record at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from driftloop.errors import SettingsError
from driftloop.models import Encoding, ModelArtifact, predict
from driftloop.models.predict import finish, forward, sigmoid

PLAIN = Encoding(("a", "b"), (), np.zeros(2), np.ones(2), ())


def model(task: str, weights: dict[str, Any], **more: Any) -> ModelArtifact:
    return ModelArtifact(
        kind="linear",
        task=task,
        stream="s",
        version="v1",
        request_id="r",
        encoding=more.pop("encoding", PLAIN),
        weights={name: np.asarray(value, np.float64) for name, value in weights.items()},
        **more,
    )


def test_a_linear_regression_is_scaled_back_to_the_units_of_the_label() -> None:
    linear = model(
        "regression", {"weight.0": [[2.0], [-1.0]], "bias.0": [0.5]}, target=(100.0, 10.0)
    )
    assert predict(linear, [[3.0, 1.0]]).tolist() == [100.0 + 10.0 * (2 * 3 - 1 + 0.5)]


def test_features_are_standardised_and_missing_ones_count_as_the_mean() -> None:
    encoding = Encoding(("a",), ("c",), np.array([4.0]), np.array([2.0]), (("x", "y"),))
    linear = model(
        "regression",
        {"weight.0": [[1.0], [10.0], [20.0], [30.0]], "bias.0": [0.0]},
        encoding=encoding,
    )
    got = predict(linear, [[8.0], [math.nan], [4.0], [4.0]], [["x", "y", "z", None]])
    assert got.tolist() == [12.0, 20.0, 30.0, 30.0]


def test_hidden_layers_are_rectified_and_the_last_one_is_not() -> None:
    deep = model(
        "regression",
        {
            "weight.0": [[1.0, -1.0], [0.0, 0.0]],
            "bias.0": [0.0, 0.0],
            "weight.1": [[1.0], [-5.0]],
            "bias.1": [0.0],
        },
    )
    assert deep.layers == 2
    assert predict(deep, [[2.0, 0.0], [-2.0, 0.0]]).tolist() == [2.0, -10.0]


def test_classes_get_the_probabilities_of_scipy() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(20, 2))
    weights = {"weight.0": generator.normal(size=(2, 3)), "bias.0": generator.normal(size=3)}
    many = model("multiclass", weights, classes=("p", "q", "r"))
    expected = softmax(x @ weights["weight.0"] + weights["bias.0"], axis=1)
    assert predict(many, x) == pytest.approx(expected)
    one = {"weight.0": weights["weight.0"][:, :1], "bias.0": weights["bias.0"][:1]}
    assert predict(model("binary", one), x) == pytest.approx(
        expit(x @ one["weight.0"] + one["bias.0"])[:, 0]
    )


def test_outputs_far_out_neither_overflow_nor_warn() -> None:
    far = np.array([-1e6, -800.0, 0.0, 800.0, 1e6])
    assert sigmoid(far).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    many = model("multiclass", {"weight.0": np.zeros((2, 2)), "bias.0": np.zeros(2)})
    assert finish(many, np.array([[1e6, -1e6]])).tolist() == [[1.0, 0.0]]


def test_weights_in_single_precision_are_computed_with_in_double() -> None:
    single = model("regression", {"weight.0": np.zeros((2, 1)), "bias.0": [0.0]})
    single.weights["weight.0"] = np.array([[1.0], [1.0]], np.float32)
    inputs = np.array([[1e9, 1.0]])
    assert forward(single, inputs).dtype == np.float64
    assert forward(single, inputs)[0, 0] == 1e9 + 1.0


def test_no_records_give_no_predictions_and_another_width_is_refused() -> None:
    linear = model("regression", {"weight.0": [[1.0], [1.0]], "bias.0": [0.0]})
    assert predict(linear, np.empty((0, 2))).shape == (0,)
    with pytest.raises(SettingsError):
        predict(linear, [[1.0, 2.0, 3.0]])


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_prediction_has_the_same_bits_alone_and_among_others(outputs: int) -> None:
    generator = np.random.default_rng(2)
    deep = model(
        "multiclass",
        {
            "weight.0": generator.normal(size=(60, 33)),
            "bias.0": generator.normal(size=33),
            "weight.1": generator.normal(size=(33, outputs)),
            "bias.1": generator.normal(size=outputs),
        },
    )
    inputs = generator.normal(size=(203, 60))
    together = forward(deep, inputs)
    for size in (1, 2, 3, 5, 16, 17, 100):
        for first in range(0, 203 - size, 11):
            part = forward(deep, inputs[first : first + size])
            assert part.tobytes() == together[first : first + size].tobytes()
