"""What a model plug-in is given, what it returns, and what it must keep to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from driftloop.models.encoding import Categories, Encoding

Floats = npt.NDArray[np.float64]
Progress = Callable[[float], None]
"""Told now and then which share of the work is done, in [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Features of n records, as the profile names them.

    Attributes:
        x: Numeric features, (n, numeric) float64; nan where absent; may be infinite.
        categories: One sequence of (n,) texts for each categorical feature; None where absent.
        ts: Event times, (n,) float64 milliseconds since the epoch; None where nobody told them.
    """

    x: Floats
    categories: Categories = ()
    ts: Floats | None = None

    def __len__(self) -> int:
        """Number of records, n."""
        return len(self.x)

    def encoded(self, encoding: Encoding) -> Floats:
        """Scaled numbers, one-hot texts and calendar, (n, encoding.width); always finite."""
        return encoding.encode(self.x, self.categories, self.ts)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainingJob:
    """One model to train.

    Attributes:
        inputs: Features of n records, oldest first.
        labels: (n,) numbers, or class indices; finite.
        numeric: Names of the columns of ``inputs.x``.
        categorical: Names of ``inputs.categories``.
        max_categories: Most categories of a feature that the profile wants a model to know.
        calendar: Parts of the event time that the profile wants a model to see.
        task: ``regression``, ``binary`` or ``multiclass``.
        classes: Class labels in the order of the outputs; may be empty unless multiclass.
        loss: The loss by which the model is judged.
        params: ``model.params`` of the profile.
        seed: In [0, 2**63): everything random is drawn from it.
        device: ``cpu``, or as torch names it, ``cuda`` or ``cuda:1``.
    """

    inputs: Inputs
    labels: Floats
    numeric: tuple[str, ...]
    categorical: tuple[str, ...] = ()
    max_categories: int = 16
    calendar: tuple[str, ...] = ()
    task: str = "regression"
    classes: tuple[str, ...] = ()
    loss: str = "squared"
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"

    def encoding(self) -> Encoding:
        """Driftloop's own encoding, learned from these records: scaled numbers, one-hot texts."""
        return Encoding.fit(
            self.inputs.x,
            self.inputs.categories,
            numeric=self.numeric,
            categorical=self.categorical,
            max_categories=self.max_categories,
            calendar=self.calendar,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FittedModel:
    """A trained model, as ``fit`` returns it and ``predict`` gets it back.

    Attributes:
        model: What the plug-in's format holds: a dictionary of arrays (``safetensors``), an
            estimator (``skops``), a booster (``ubj``), a graph (``onnx``; a session when loaded).
        encoding: How the plug-in encodes features, where it uses Driftloop's encoding.
        task: Of its job; need not be set by ``fit``.
        classes: Likewise.
        facts: What else it must know to predict, as plain JSON; ``model.json`` shows it.
    """

    model: Any
    encoding: Encoding | None = None
    task: str = ""
    classes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class ModelPlugin(Protocol):
    """A model kind of another package.

    What all plug-ins keep to: the same job gives the same model; the same model and record give the
    same prediction whatever other records are asked for; features may be nan, infinite, constant,
    and texts may be new. A plug-in that raises, hangs, dies or takes too much memory fails the
    request that it was given, and no other.
    """

    @property
    def name(self) -> str:
        """As registered."""

    @property
    def tasks(self) -> frozenset[str]:
        """Tasks that it fits."""

    @property
    def format(self) -> str:
        """How its models are stored; one of `driftloop.models.formats.FORMATS`."""

    def check(self, params: Mapping[str, Any]) -> list[str]:
        """What is wrong with ``model.params``, one text a fault; empty when all is well."""

    def fit(self, jobs: Sequence[TrainingJob], progress: Progress) -> list[FittedModel]:
        """Train every job; the trainer hands over one at a time, in a process of its own."""

    def predict(self, model: FittedModel, inputs: Inputs) -> npt.ArrayLike:
        """Predict each record.

        Returns:
            (n,) numbers for regression, (n,) probabilities of class 1 for a binary task, (n,
            classes) probabilities for several classes.
        """

    def describe(self, model: FittedModel) -> dict[str, Any]:
        """What a person would want to know of a model, as plain JSON."""
