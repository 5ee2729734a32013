"""A sample of records, prepared once for many tests of its columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.autocorrelation import column_inflation

Array = npt.NDArray[np.float64]

SCALES = ("values", "ranks", "sides", "spread")
"""Transforms whose dependence `Sample.inflation` measures, each for the tests that average it."""


class Sample:
    """The columns of (n, d) records, sorted, with their moments. Treat it as read-only.

    A reference that many windows are tested against is prepared once. Non-finite values count as
    missing: they are dropped, column by column.

    Attributes:
        ordered: (d, n) values in the order of the records; nan where missing.
        sorted: (d, n) values in ascending order, nan last.
        counts: (d,) finite values, as floats.
        mean: (d,) means; nan for an empty column.
        variance: (d,) variances, divisor n; exactly 0 for a constant column.
        median: (d,) medians.
        spread_mean: (d,) mean absolute deviation from the median.
        spread_variance: (d,) variance of the absolute deviations, divisor n.

    Raises:
        SettingsError: Not two-dimensional.
    """

    __slots__ = (
        "_inflations",
        "counts",
        "mean",
        "median",
        "ordered",
        "sorted",
        "spread_mean",
        "spread_variance",
        "variance",
    )

    @np.errstate(all="ignore")  # absurd magnitudes become nan or inf: no verdict
    def __init__(self, records: npt.ArrayLike) -> None:
        values = np.asarray(records, dtype=np.float64)
        if values.ndim != 2:
            rule = "must be records by columns (n, d)"
            raise SettingsError([Fault("records", str(values.shape), rule)])
        self.ordered: Array = np.array(values.T, order="C")  # (d, n)
        finite = np.isfinite(self.ordered)
        whole = bool(finite.all())
        if not whole:
            self.ordered[~finite] = np.nan
        self.sorted: Array = np.sort(self.ordered, axis=1)
        n = self.ordered.shape[1]
        self.counts: Array = (
            np.full(len(finite), float(n)) if whole else finite.sum(axis=1).astype(np.float64)
        )
        self.median: Array = self._median()
        constant = self.counts > 0
        if n:
            last = np.maximum(self.counts.astype(np.intp) - 1, 0)
            constant &= self.sorted[:, 0] == self.sorted[np.arange(len(last)), last]
        self.mean, variance = self._moments(self.sorted, whole)
        self.variance: Array = np.where(constant, 0.0, variance)
        deviations = np.abs(self.sorted - self.median[:, None])
        self.spread_mean, self.spread_variance = self._moments(deviations, whole)
        self._inflations: dict[str, Array] = {}

    def __len__(self) -> int:
        """The number of columns, d."""
        return len(self.counts)

    def _median(self) -> Array:
        if not self.ordered.shape[1]:
            return np.full(len(self.counts), np.nan)
        rows, counts = np.arange(len(self.counts)), self.counts.astype(np.intp)
        low = self.sorted[rows, np.maximum((counts - 1) // 2, 0)]
        high = self.sorted[rows, np.minimum(counts // 2, self.ordered.shape[1] - 1)]
        median: Array = np.where(counts > 0, low + (high - low) / 2.0, np.nan)
        return median

    def _moments(self, values: Array, whole: bool) -> tuple[Array, Array]:  # noqa: FBT001
        """Return mean and variance of each row, nan left out."""
        counts = self.counts
        total = values.sum(axis=1) if whole else np.nansum(values, axis=1)
        mean = total / counts
        centred = values - mean[:, None]
        if not whole:
            centred[np.isnan(centred)] = 0.0
        return mean, np.einsum("ij,ij->i", centred, centred) / counts

    def inflation(self, scale: str) -> Array:
        """Return k ≥ 1, (d,): the factor by which dependence inflates the variance of a mean.

        See `autocorrelation.column_inflation`; computed once.

        Args:
            scale: ``values``; ``ranks``, each value's mid-rank in its column; ``sides``, its
                side of the median, -1, 0 or 1; ``spread``, its absolute deviation from the median.
        """
        if scale not in self._inflations:
            self._inflations[scale] = column_inflation(self._scaled(scale))
        return self._inflations[scale]

    def _scaled(self, scale: str) -> Array:
        if scale == "values":
            return self.ordered
        if scale == "spread":
            return np.abs(self.ordered - self.median[:, None])
        if scale == "sides":
            return np.sign(self.ordered - self.median[:, None])
        ranks = np.full(self.ordered.shape, np.nan)
        for j, count in enumerate(self.counts.astype(np.intp)):
            column, known = self.sorted[j, :count], np.isfinite(self.ordered[j])
            values = self.ordered[j, known]
            ranks[j, known] = column.searchsorted(values) + column.searchsorted(values, "right")
        return ranks
