"""Predictions from an artifact: with NumPy in float64, or by the plug-in that trained it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftloop.models.artifact import ModelArtifact
from driftloop.models.context import span
from driftloop.models.contract import Inputs
from driftloop.models.encoding import Categories
from driftloop.models.payload import predict_with

Array = npt.NDArray[np.float64]

_BLOCK = 16
"""Records of one matrix product, always: BLAS rounds otherwise by how many rows there are."""


def predict(
    artifact: ModelArtifact,
    x: npt.ArrayLike,
    categories: Categories = (),
    ts: npt.ArrayLike | None = None,
) -> Array:
    """Predict each record.

    Args:
        artifact: The model.
        x: (records, numeric) features, nan where absent.
        categories: One sequence of (records,) for each categorical feature.
        ts: (records,) event times, milliseconds since the epoch; a model that was trained with
            ``features.calendar`` needs them.

    Returns:
        (records,) numbers for regression, (records,) probabilities of class 1 for a binary task,
        (records, classes) probabilities for several classes.

    Raises:
        SettingsError: Another number of features than the model was trained on, or no event times.
        PluginError: The model is a plug-in's that is not installed here, or cannot predict.
        ArtifactCorruptedError: The plug-in's model cannot be read.
    """
    values, encoding = np.asarray(x, np.float64), artifact.encoding
    times = None if ts is None else np.asarray(ts, np.float64)
    opened = artifact.open()
    if opened is not None:
        encoding.check(values, categories)
        classes = len(artifact.classes) if artifact.task == "multiclass" else 0
        return predict_with(*opened, Inputs(values, categories, times), classes)
    found = finish(artifact, forward(artifact, encoding.encode(values, categories, times)))
    return found + encoding.levels(values) if encoding.anchored else found


def forward(artifact: ModelArtifact, inputs: Array) -> Array:
    """Raw outputs, (records, outputs), of encoded inputs, (records, width).

    Affine layers with ReLU between them, over the convolved lags where there are convolutions. A
    record's bits do not depend on the records beside it: see `_BLOCK`.
    """
    records, width = inputs.shape
    blocks = -(-records // _BLOCK)
    padded = np.zeros((blocks * _BLOCK, width))
    padded[:records] = inputs
    hidden = padded.reshape(blocks, _BLOCK, width)  # (blocks, records of a block, inputs)
    if artifact.convolutions:
        hidden = _convolved(artifact, hidden)
    for layer in range(artifact.layers):
        if layer:
            hidden = np.maximum(hidden, 0.0)
        hidden = _affine(artifact, hidden, f"weight.{layer}", f"bias.{layer}")
    return hidden.reshape(blocks * _BLOCK, hidden.shape[2])[:records]


def _affine(artifact: ModelArtifact, hidden: Array, weight: str, bias: str) -> Array:
    weights = artifact.weights
    out: Array = hidden @ weights[weight].astype(np.float64, copy=False) + weights[bias]
    return out


def _convolved(artifact: ModelArtifact, inputs: Array) -> Array:
    """Channels of the newest lag, and the inputs that are no lags, (blocks, records, inputs)."""
    lags = len(artifact.encoding.sequence)
    blocks, records, _ = inputs.shape
    hidden = np.zeros((blocks, records, span(lags)))
    hidden[:, :, hidden.shape[2] - lags :] = inputs[:, :, :lags]  # zeros before the oldest lag
    for layer in range(artifact.convolutions):
        weight = f"conv.weight.{layer}"
        taps = len(artifact.weights[weight])  # times channels
        rows = hidden.shape[1] * hidden.shape[2] // taps  # records x places, which get fewer
        hidden = hidden.reshape(blocks, rows, taps)
        hidden = np.maximum(_affine(artifact, hidden, weight, f"conv.bias.{layer}"), 0.0)
    return np.concatenate([hidden, inputs[:, :, lags:]], axis=2)


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
