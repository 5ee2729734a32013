"""Predictions from an artifact: with NumPy in float64, or by the plug-in that trained it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftloop.models.artifact import ModelArtifact
from driftloop.models.contract import Inputs
from driftloop.models.encoding import Categories
from driftloop.models.payload import predict_with

Array = npt.NDArray[np.float64]


def predict(artifact: ModelArtifact, x: npt.ArrayLike, categories: Categories = ()) -> Array:
    """Predict each record.

    Args:
        artifact: The model.
        x: (records, numeric) features, nan where absent.
        categories: One sequence of (records,) for each categorical feature.

    Returns:
        (records,) numbers for regression, (records,) probabilities of class 1 for a binary task,
        (records, classes) probabilities for several classes.

    Raises:
        SettingsError: Another number of features than the model was trained on.
        PluginError: The model is a plug-in's that is not installed here, or cannot predict.
        ArtifactCorruptedError: The plug-in's model cannot be read.
    """
    values = np.asarray(x, np.float64)
    opened = artifact.open()
    if opened is not None:
        artifact.encoding.check(values, categories)
        classes = len(artifact.classes) if artifact.task == "multiclass" else 0
        return predict_with(*opened, Inputs(values, categories), classes)
    return finish(artifact, forward(artifact, artifact.encoding.encode(values, categories)))


def forward(artifact: ModelArtifact, inputs: Array) -> Array:
    """Raw outputs, (records, outputs), of encoded inputs, (records, width); ReLU between layers."""
    if len(inputs) == 1:  # BLAS rounds a lone row otherwise than one among others
        return forward(artifact, np.repeat(inputs, 2, axis=0))[:1]
    hidden = inputs
    for layer in range(artifact.layers):
        if layer:
            hidden = np.maximum(hidden, 0.0)
        weight = artifact.weights[f"weight.{layer}"].astype(np.float64, copy=False)
        hidden = hidden @ weight + artifact.weights[f"bias.{layer}"]  # (records, outputs)
    return hidden


def finish(artifact: ModelArtifact, outputs: Array) -> Array:
    """Raw outputs, (records, outputs), to predictions in the units of the label."""
    if artifact.task == "regression":
        mean, scale = artifact.target
        return outputs[:, 0] * scale + mean
    if artifact.task == "binary":
        return sigmoid(outputs[:, 0])
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    probabilities: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)) without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0, e) / (1.0 + e)
