"""Features to numbers: one implementation for the trainer and for every prediction.

A numeric feature is standardised with the training records' mean and standard deviation; a missing
value becomes 0, the mean. A categorical feature becomes one column a known category and a last one
for every other value, absent ones included. Each part of the calendar becomes a sine and a cosine
of the event time.

The lags of a sequence share one mean and one deviation, and a missing lag takes a neighbour's
value. A forecaster sees them less the newest, record by record, which is added to what it predicts:
a series that moved as a whole is predicted as before (NLinear in Zeng et al., *Are transformers
effective for time series forecasting?*, 2023). Less their mean instead, forecasts were worse where
values follow their last one, and better in white noise: ``docs/experiments.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError
from driftloop.models.context import calendar_columns, filled

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
        sequence: Those numeric features that are lags, oldest first; the inputs begin with them.
        calendar: Parts of the event time, as ``features.calendar`` names them.
        anchored: Whether the newest lag is taken from all and added to the prediction.
        level: What stands for it in a record without any lag: the mean of it.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    mean: Array
    scale: Array
    vocabulary: tuple[tuple[str, ...], ...]
    sequence: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()
    anchored: bool = False
    level: float = 0.0

    @property
    def order(self) -> list[int]:
        """Numeric features in the order of the inputs: the lags first, then all others."""
        places = self._places
        return [*places, *(i for i in range(len(self.numeric)) if i not in set(places))]

    @property
    def width(self) -> int:
        """Number of input columns."""
        categories = sum(len(known) + 1 for known in self.vocabulary)
        return len(self.numeric) + categories + 2 * len(self.calendar)

    @classmethod
    def fit(
        cls,
        x: Array,
        categories: Categories,
        *,
        numeric: Sequence[str],
        categorical: Sequence[str],
        max_categories: int,
        sequence: Sequence[str] = (),
        calendar: Sequence[str] = (),
        anchored: bool = False,
    ) -> Encoding:
        """Learn means, scales, vocabularies and the usual level.

        Args:
            x: (records, numeric) values, nan where absent.
            categories: One sequence of (records,) for each categorical feature.
            numeric: Names of the numeric features.
            categorical: Names of the categorical features.
            max_categories: The most frequent so many get a column; equals in order of their names.
            sequence: Those of `numeric` that are lags, oldest first.
            calendar: Parts of the event time.
            anchored: Whether predictions go with the newest lag.

        Raises:
            SettingsError: Names and columns differ in number.
        """
        _check(x, categories, len(numeric), len(categorical))
        mean, scale = _moments(x)
        level = 0.0
        places = [numeric.index(name) for name in sequence]
        if places:
            lags = filled(x[:, places])  # (records, lags)
            if anchored:
                levels = lags[:, -1]
                level = float(_moments(levels[:, None])[0][0])
                lags = lags - np.where(np.isfinite(levels), levels, level)[:, None]
            mean[places], scale[places] = _moments(lags.reshape(-1, 1))
        return cls(
            numeric=tuple(numeric),
            categorical=tuple(categorical),
            mean=mean,
            scale=scale,
            vocabulary=tuple(_vocabulary(values, max_categories) for values in categories),
            sequence=tuple(sequence),
            calendar=tuple(calendar),
            anchored=anchored,
            level=level,
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

    def encode(self, x: Array, categories: Categories, ts: Array | None = None) -> Array:
        """Return the model's inputs, (records, width); always finite.

        Their columns: the lags, the other numbers, the categories, the calendar.

        Args:
            x: (records, numeric) values, nan where absent.
            categories: One sequence of (records,) for each categorical feature.
            ts: (records,) event times, milliseconds since the epoch; needed with a calendar.

        Raises:
            SettingsError: Another number of features than the model was trained on, or no times.
        """
        self.check(x, categories)
        records = len(x)
        out = np.zeros((records, self.width))  # (records, width)
        column = len(self.numeric)
        out[:, :column] = self._scaled(x)
        rows = np.arange(records)
        for known, values in zip(self.vocabulary, categories, strict=True):
            index = {name: i for i, name in enumerate(known)}
            other = len(known)
            found = np.fromiter((index.get(v, other) for v in values), np.intp, records)  # type: ignore[arg-type]
            out[rows, column + found] = 1.0
            column += other + 1
        if self.calendar:
            if ts is None or ts.shape != (records,):
                rule = f"the event time of each record, ({records},), for features.calendar"
                raise SettingsError([Fault("ts", "none" if ts is None else repr(ts.shape), rule)])
            out[:, column:] = calendar_columns(self.calendar, ts)
        return out

    def levels(self, x: Array) -> Array:
        """What an anchored model adds to its prediction, (records,); 0 for one that is not.

        Args:
            x: (records, numeric) values, nan where absent.
        """
        if not self.anchored:
            return np.zeros(len(x))
        return self._levels(filled(x[:, self._places]))

    def _levels(self, lags: Array) -> Array:
        return np.where(np.isfinite(lags[:, -1]), lags[:, -1], self.level)

    @property
    def _places(self) -> list[int]:
        """Where the lags are among the numeric features."""
        return [self.numeric.index(name) for name in self.sequence]

    def _scaled(self, x: Array) -> Array:
        """Lags and other numbers, (records, numeric), standardised; 0 where missing."""
        mean, scale = self.mean, self.scale
        if self.sequence:
            places = self._places
            lags = filled(x[:, places])
            if self.anchored:
                with np.errstate(all="ignore"):
                    lags = lags - self._levels(lags)[:, None]
            order = self.order
            x = np.concatenate([lags, x[:, order[len(places) :]]], axis=1)
            mean, scale = mean[order], scale[order]
        with np.errstate(all="ignore"):
            scaled = (x - mean) / scale
        return np.where(np.isfinite(scaled), scaled, 0.0)


def _moments(x: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column's finite values, (columns,)."""
    finite = np.isfinite(x)
    counts = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, x, 0.0).sum(axis=0) / counts
    scale = np.sqrt(np.where(finite, x - mean, 0.0).__pow__(2).sum(axis=0) / counts)
    # A constant column has a scale of rounding errors at most: it must not be blown up.
    varies = np.isfinite(scale) & (scale > 1e-12 * np.maximum(1.0, np.abs(mean)))
    return np.where(np.isfinite(mean), mean, 0.0), np.where(varies, scale, 1.0)


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
