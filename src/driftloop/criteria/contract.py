"""What a criterion is given, what it returns, and what it must keep to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from driftloop.statistics.results import TestResult

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Family = Literal["features", "score", "loss"]
Part = Literal["x", "codes", "scores", "losses", "corrected", "labels"]

MISSING = -1
"""Code of a category that is absent."""

_ARRAYS = ("x", "codes", "scores", "labels", "losses", "corrected", "phases")


@dataclass(slots=True)
class Sample:
    """Records of a window or of a reference. A part that was not gathered is None.

    Attributes:
        size: Number of records, n.
        x: Numeric features, (n, d); nan = missing.
        names: Their names, d.
        codes: Categories as small whole numbers, int64 (n, c); `MISSING` = absent. A category has
            the same code in window and reference.
        code_names: Names of the categorical features, c.
        scores: Predictions, (n,) numbers or probabilities of class 1, or (n, classes)
            probabilities; nan = absent.
        labels: Labels, (n,) numbers or class indices; nan = absent.
        losses: Loss a record, (n,); nan = none.
        corrected: Loss of the corrected prediction, (n,); nan = none.
        phases: Phase within the cycle, int64 (n,).
        classes: Classes of a classification; 0 for regression.
        prepared: What criteria keep of a reference between windows, as sorted columns; not part
            of the state, and lost when it is stored.
    """

    size: int
    x: Floats | None = None
    names: Sequence[str] = ()
    codes: Integers | None = None
    code_names: Sequence[str] = ()
    scores: Floats | None = None
    labels: Floats | None = None
    losses: Floats | None = None
    corrected: Floats | None = None
    phases: Integers | None = None
    classes: int = 0
    prepared: dict[str, Any] = field(default_factory=dict, compare=False)

    def __getstate__(self) -> tuple[Any, ...]:
        """Everything but what is prepared."""
        return tuple({} if name == "prepared" else getattr(self, name) for name in self.__slots__)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take what `__getstate__` gave."""
        for name, value in zip(self.__slots__, state, strict=True):
            setattr(self, name, value)

    def join(self, other: Sample, room: int) -> Sample:
        """These records and the first `room` of another's, which has the same parts."""
        taken = min(room, other.size)
        parts: dict[str, Any] = {
            name: np.concatenate([mine, getattr(other, name)[:taken]])
            for name in _ARRAYS
            if (mine := getattr(self, name)) is not None and getattr(other, name) is not None
        }
        return replace(self, size=self.size + taken, prepared={}, **parts)

    def head(self, room: int) -> Sample:
        """The first `room` records."""
        parts: dict[str, Any] = {
            name: mine[:room].copy()
            for name in _ARRAYS
            if (mine := getattr(self, name)) is not None
        }
        return replace(self, size=min(room, self.size), prepared={}, **parts)


class Finding(NamedTuple):
    """One result of a criterion.

    Attributes:
        result: Statistic, p-value (nan: no verdict, or the criterion has none), effect, sizes.
        what: The feature, class or reference that it is about; empty for the whole window.
    """

    result: TestResult
    what: str = ""


class Criterion(Protocol):
    """Judges a window against a reference.

    What all criteria keep to: the same input and seed give the same bits; input that is empty,
    tiny, constant or not finite gives no verdict, with a reason, never an exception or a warning;
    a criterion and what it remembers pickle.
    """

    @property
    def name(self) -> str:
        """As registered."""

    @property
    def family(self) -> Family:
        """What it judges."""

    @property
    def needs(self) -> frozenset[Part]:
        """The parts of a sample that it reads."""

    def evaluate(self, window: Sample, reference: Sample, seed: int) -> list[Finding]:
        """Judge a window: one finding, or one a feature; none where a part is not there.

        A criterion that remembers (as an e-process) is given each window of a model version once,
        in order, and is made anew with each version.

        Args:
            window: The window.
            reference: What it is compared with.
            seed: For criteria that draw; made from the window's place.
        """
