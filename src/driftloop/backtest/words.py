"""How many decimals the losses of a result have."""

from __future__ import annotations

from driftloop.backtest.result import Result
from driftloop.plots.figures import decimals


def losses_decimals(result: Result) -> int:
    """Decimals of all losses of a result."""
    return decimals(score.loss for score in result.policies)
