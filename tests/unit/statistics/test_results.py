"""What a test returns."""

from __future__ import annotations

import math
import pickle

from driftloop.statistics.results import TestResult, no_verdict


def test_no_verdict_has_nan_and_a_reason() -> None:
    result = no_verdict("too few", n=3)
    assert math.isnan(result.p_value)
    assert not result.has_verdict
    assert (result.reason, result.n) == ("too few", 3)


def test_results_pickle() -> None:
    result = TestResult(1.0, 0.2, 0.5, 10, 20, 8.0, 16.0)
    assert result.has_verdict
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301
