"""Known drifts and the retrains that answer them."""

from __future__ import annotations

import pytest

from driftloop.backtest.answers import Answers, answers

SPAN = (0, 1000)


@pytest.mark.parametrize(
    ("drifts", "retrains", "expected"),
    [
        ([], [], Answers([], 0, 0)),
        ([], [5, 6], Answers([], 0, 2)),
        ([100], [], Answers([], 1, 0)),
        ([100], [100], Answers([0], 0, 0)),
        ([100], [199], Answers([99], 0, 0)),
        ([100], [200], Answers([], 1, 1)),
        ([100], [99], Answers([], 1, 1)),
        ([100], [150, 120, 300], Answers([20], 0, 1)),
        ([100, 130], [150], Answers([20], 1, 0)),
        ([130, 100, 100], [110, 150], Answers([10, 20], 0, 0)),
        ([-50], [10], Answers([], 0, 0)),
        ([1200], [], Answers([], 0, 0)),
    ],
)
def test_the_rule(drifts: list[int], retrains: list[int], expected: Answers) -> None:
    """The first retrain in [t, t + 100) before the next drift answers; outside all is false."""
    assert answers(drifts, retrains, span=SPAN, horizon=100) == expected
