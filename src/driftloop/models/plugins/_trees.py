"""Inputs of trees, which take missing numbers as they are."""

from __future__ import annotations

import numpy as np

from driftloop.models.contract import Floats, Inputs
from driftloop.models.encoding import Encoding

_LARGEST = float(np.finfo(np.float32).max)


def tree_inputs(encoding: Encoding, inputs: Inputs) -> Floats:
    """Numbers as they are, nan where absent or beyond float32, then texts as one-hot columns.

    Args:
        encoding: Names, and the known categories.
        inputs: n records.

    Returns:
        (n, encoding.width)
    """
    out = inputs.encoded(encoding)
    with np.errstate(invalid="ignore"):
        out[:, : inputs.x.shape[1]] = np.where(np.abs(inputs.x) <= _LARGEST, inputs.x, np.nan)
    return out
