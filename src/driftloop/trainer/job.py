"""What is trained, as plain values: one job a model, jobs of one shape stacked together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftloop.models.artifact import Weights
from driftloop.models.encoding import Encoding
from driftloop.models.payload import Payload

Array = npt.NDArray[np.float64]
Check = Callable[[], None]

ALIGN = 16
"""Sizes are padded to multiples of this (64 bytes of float32), so that every model of a stack lies
at the same alignment: the same machine code then runs over each, and a model's bits do not depend
on its place."""


class CancelledTrainingError(Exception):
    """The training was given up on purpose: its results are not wanted any more."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that jobs must share to be trained in one stack, besides their padded shape.

    Attributes:
        kind: ``linear``, ``mlp_regressor``, ``mlp_classifier`` or ``forecaster_tcn``.
        task: ``regression``, ``binary`` or ``multiclass``.
        outputs: 1, or the number of classes of a multiclass task.
        loss: The profile's loss; an MLP regressor follows it, a linear model is least squares.
        hidden: Widths of the hidden layers; of a TCN, those after its convolutions.
        l2: Penalty on the sum of squared weights, beside a sum of losses over records.
        epochs: Most passes over the records.
        learning_rate: Adam's.
        batch_records: Records of a step.
        patience: Epochs without a better validation loss after which a model is finished.
        lags: How many of the first inputs a TCN convolves; 0 for the other kinds.
        channels: Of each convolution; 0 for the other kinds.
        precision: Of matrix products, but for linear models: ``float32``, ``tf32`` or ``bf16``.
    """

    kind: str
    task: str
    outputs: int = 1
    loss: str = "squared"
    hidden: tuple[int, ...] = ()
    l2: float = 1.0
    epochs: int = 200
    learning_rate: float = 0.01
    batch_records: int = 256
    patience: int = 20
    lags: int = 0
    channels: int = 0
    precision: str = "float32"


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One model to train.

    Attributes:
        spec: How.
        inputs: (records, width) encoded features, oldest record first; finite.
        labels: (records,) numbers, or class indices; finite.
        seed: Of its first weights and the order of its records.
        first: First weights of a perceptron, as in `driftloop.models.ModelArtifact`; None to draw
            them.
    """

    spec: Spec
    inputs: Array
    labels: Array
    seed: int
    first: Weights | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Padded records and width."""
        return bucket(len(self.inputs)), padded(self.inputs.shape[1] + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A trained model.

    Attributes:
        weights: As in `driftloop.models.ModelArtifact`.
        target: Mean and standard deviation of the labels that the outputs are scaled by.
        epochs: Passes after which its weights were taken; 0 for a linear model.
        seconds: Its share of the time that its stack took.
        encoding: That of a plug-in; None where the job was encoded before.
        payload: The model of a plug-in, which has no weights.
    """

    weights: Weights
    target: tuple[float, float]
    epochs: int
    seconds: float
    encoding: Encoding | None = None
    payload: Payload | None = None


def padded(size: int) -> int:
    """The next multiple of `ALIGN`.

    >>> padded(5), padded(16), padded(17)
    (16, 16, 32)
    """
    return -(-size // ALIGN) * ALIGN


def bucket(records: int) -> int:
    """The next power of two from 16 on: a function of a job's own records alone.

    >>> bucket(3), bucket(16), bucket(700)
    (16, 16, 1024)
    """
    return max(ALIGN, 1 << (max(records, 1) - 1).bit_length())


def validation_records(records: int) -> int:
    """How many of the newest records decide when to stop; at least one is left to fit."""
    return 0 if records < 2 else max(1, records * 15 // 100)


def seed_of(what: str, seed: int) -> int:
    """A model's seed, in [0, 2**63), from what it is trained on and the trainer's seed."""
    digest = hashlib.blake2b(f"{seed}:{what}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def target_of(spec: Spec, labels: Array) -> tuple[float, float]:
    """Mean and standard deviation that the labels are scaled by; (0, 1) for classes."""
    if spec.task != "regression":
        return 0.0, 1.0
    mean, deviation = float(labels.mean()), float(labels.std())
    return mean, deviation if deviation > 1e-12 * max(1.0, abs(mean)) else 1.0
