"""The order in which a model visits its records: another regular walk through them each epoch.

Their places were drawn once. They are visited in runs, each copied as one row: so an epoch's order
costs a fraction of what one of single records would, and models learn as well by it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

RUN = 4
"""Records of a run: always the same ones are visited together."""


def orders(
    generator: np.random.Generator, count: int, epochs: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Strides and starts of the next epochs: run (stride j + start) mod count comes j-th.

    Args:
        generator: The model's.
        count: Its runs.
        epochs: How many are drawn.

    Returns:
        Strides without a common divisor with the count, and starts; (epochs,) each.
    """
    strides = generator.integers(1, max(count, 2), epochs)
    strides = np.where(np.gcd(strides, count) == 1, strides, 1)
    return strides, generator.integers(0, count, epochs)


def walk(strides: Tensor, starts: Tensor, counts: Tensor, ramp: Tensor) -> Tensor:
    """(stride j + start) mod count for each j of `ramp`, int64 (models, ramp).

    Vector instructions divide doubles, but no integers. With a half added no rounding crosses a
    whole number, as long as there are less than 2²⁵ counts, and j is less than twice as much.

    Args:
        strides: (models, 1) int64, less than the counts.
        starts: (models, 1) int64, likewise.
        counts: (models, 1) int64.
        ramp: (bucket,) whole float64.
    """
    counts = counts.double()
    places = torch.addcmul(starts.double() + 0.5, strides.double(), ramp)
    return places.addcmul_((places / counts).floor_(), counts, value=-1.0).long()
