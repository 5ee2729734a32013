"""Features to numbers: one implementation for the trainer and for every prediction.

A numeric feature is standardised with the training records' mean and standard deviation; a missing
value becomes 0, the mean. A categorical feature becomes one column a known category and a last one
for every other value, absent ones included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError

Array = npt.NDArray[np.float64]
Categories = Sequence[Sequence[str | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How the features of a model become its inputs.

    Attributes:
        numeric: Names of the numeric features, in the order of the columns of `x`.
        categorical: Names of the categorical features, in the order of `categories`.
        mean: (numeric,) means of the finite training values; 0 where there were none.
        scale: (numeric,) their standard deviations; 1 where they did not vary.
        vocabulary: The known categories of each categorical feature, sorted.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    mean: Array
    scale: Array
    vocabulary: tuple[tuple[str, ...], ...]

    @property
    def width(self) -> int:
        """Number of input columns."""
        return len(self.numeric) + sum(len(known) + 1 for known in self.vocabulary)

    @classmethod
    def fit(
        cls,
        x: Array,
        categories: Categories,
        *,
        numeric: Sequence[str],
        categorical: Sequence[str],
        max_categories: int,
    ) -> Encoding:
        """Learn means, scales and vocabularies.

        Args:
            x: (records, numeric) values, nan where absent.
            categories: One sequence of (records,) for each categorical feature.
            numeric: Names of the numeric features.
            categorical: Names of the categorical features.
            max_categories: The most frequent so many get a column; equals in order of their names.

        Raises:
            SettingsError: Names and columns differ in number.
        """
        _check(x, categories, len(numeric), len(categorical))
        finite = np.isfinite(x)
        counts = np.maximum(finite.sum(axis=0), 1)
        mean = np.where(finite, x, 0.0).sum(axis=0) / counts
        scale = np.sqrt(np.where(finite, x - mean, 0.0).__pow__(2).sum(axis=0) / counts)
        # A constant column has a scale of rounding errors at most: it must not be blown up.
        varies = np.isfinite(scale) & (scale > 1e-12 * np.maximum(1.0, np.abs(mean)))
        return cls(
            numeric=tuple(numeric),
            categorical=tuple(categorical),
            mean=np.where(np.isfinite(mean), mean, 0.0),
            scale=np.where(varies, scale, 1.0),
            vocabulary=tuple(_vocabulary(values, max_categories) for values in categories),
        )

    @classmethod
    def names_only(cls, numeric: Sequence[str], categorical: Sequence[str]) -> Encoding:
        """The encoding of a model that reads the features as they are."""
        width = len(numeric)
        no_texts: tuple[tuple[str, ...], ...] = ((),) * len(categorical)
        return cls(tuple(numeric), tuple(categorical), np.zeros(width), np.ones(width), no_texts)

    def check(self, x: Array, categories: Categories) -> None:
        """Refuse features of another number.

        Raises:
            SettingsError: Another number of features than the model was trained on.
        """
        _check(x, categories, len(self.numeric), len(self.categorical))

    def encode(self, x: Array, categories: Categories) -> Array:
        """Return the model's inputs, (records, width); always finite.

        Args:
            x: (records, numeric) values, nan where absent.
            categories: One sequence of (records,) for each categorical feature.

        Raises:
            SettingsError: Another number of features than the model was trained on.
        """
        self.check(x, categories)
        records = len(x)
        out = np.zeros((records, self.width))  # (records, width)
        column = len(self.numeric)
        with np.errstate(all="ignore"):
            scaled = (x - self.mean) / self.scale
        out[:, :column] = np.where(np.isfinite(scaled), scaled, 0.0)
        rows = np.arange(records)
        for known, values in zip(self.vocabulary, categories, strict=True):
            index = {name: i for i, name in enumerate(known)}
            other = len(known)
            found = np.fromiter((index.get(v, other) for v in values), np.intp, records)  # type: ignore[arg-type]
            out[rows, column + found] = 1.0
            column += other + 1
        return out


def _check(x: Array, categories: Categories, numeric: int, categorical: int) -> None:
    if x.ndim != 2 or x.shape[1] != numeric or len(categories) != categorical:
        shape = f"x {x.shape} and {len(categories)} categorical"
        rule = f"x (records, {numeric}) and {categorical} categorical features"
        raise SettingsError([Fault("features", shape, rule)])
    if any(len(values) != len(x) for values in categories):
        lengths = f"{len(x)} and {[len(values) for values in categories]}"
        raise SettingsError([Fault("features", lengths, "one category a record")])


def _vocabulary(values: Sequence[str | None], most: int) -> tuple[str, ...]:
    counts = Counter(value for value in values if value is not None)
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return tuple(sorted(ordered[:most]))
