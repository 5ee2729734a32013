"""Properties of the statistics that hold for any input."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from driftloop.detection.detectors import DETECTORS, make_detector
from driftloop.statistics.autocorrelation import effective_size, variance_inflation
from driftloop.statistics.correction import make_correction
from driftloop.statistics.loss_tests import loss_test, paired_mean_test
from driftloop.statistics.losses import LOSSES, compute
from driftloop.statistics.multiplicity import bonferroni, holm
from driftloop.statistics.results import TestResult
from driftloop.statistics.two_sample import ks_features

numbers = st.floats(width=64) | st.sampled_from([0.0, 1.0, 2.0, 0.5])
series = arrays(np.float64, st.integers(0, 80), elements=numbers)
probabilities = st.floats(0.0, 1.0) | st.just(float("nan"))


def sane(result: TestResult) -> bool:
    return bool(result.reason) != (0.0 <= result.p_value <= 1.0)


@given(series, series)
def test_any_losses_give_a_p_value_or_a_reason(batch: np.ndarray, reference: np.ndarray) -> None:
    assert sane(loss_test(batch, reference))
    assert sane(paired_mean_test(batch))
    phases = (np.arange(len(batch)) % 3, np.arange(len(reference)) % 3)
    assert sane(loss_test(batch, reference, phases=phases))


@given(series)
def test_effective_size_never_exceeds_the_finite_size(x: np.ndarray) -> None:
    assert variance_inflation(x) >= 1.0
    assert 0.0 <= effective_size(x) <= np.isfinite(x).sum()


@given(arrays(np.float64, st.integers(0, 30), elements=probabilities))
def test_adjusted_p_values_are_ordered_and_at_least_the_raw_ones(p: np.ndarray) -> None:
    h, b = holm(p), bonferroni(p)
    known = ~np.isnan(p)
    assert (np.isnan(h) == ~known).all()
    assert (np.isnan(b) == ~known).all()
    assert (p[known] <= h[known]).all()
    assert (h[known] <= b[known]).all()
    assert (b[known] <= 1.0).all()
    order = np.argsort(p[known], kind="stable")
    assert (np.diff(h[known][order]) >= 0.0).all()


@given(st.sampled_from(LOSSES), st.integers(0, 20), st.data())
def test_any_predictions_give_losses_or_nan(loss: str, n: int, data: st.DataObject) -> None:
    y = data.draw(arrays(np.float64, n, elements=numbers))
    shape = n if loss in {"absolute", "squared"} else st.sampled_from([(n,), (n, 3)])
    values = compute(loss, y, data.draw(arrays(np.float64, shape, elements=numbers)))
    assert values.shape == (n,)
    assert not np.isinf(values).any()
    assert (values[~np.isnan(values)] >= 0.0).all()


@given(
    arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=30), elements=numbers),
    st.integers(0, 30),
)
def test_ks_gives_a_statistic_and_a_p_value_or_neither(window: np.ndarray, rows: int) -> None:
    reference = np.resize(window[::-1], (rows, window.shape[1]))
    statistics, p_values = ks_features(window, reference)
    assert (np.isnan(statistics) == np.isnan(p_values)).all()
    known = ~np.isnan(p_values)
    for values in (statistics[known], p_values[known]):
        assert ((values >= 0.0) & (values <= 1.0)).all()
    again = ks_features(reference, window)[0]
    np.testing.assert_allclose(again, statistics, rtol=1e-12, atol=1e-12)


@settings(max_examples=60)
@given(st.sampled_from(["regression", "binary", "multiclass"]), st.integers(0, 4), st.data())
def test_any_blocks_leave_the_correction_finite(task: str, d: int, data: st.DataObject) -> None:
    correction = make_correction(task, d, classes=3)
    for _ in range(data.draw(st.integers(1, 4))):
        n = data.draw(st.integers(0, 6))
        shape = (n, 3) if task == "multiclass" else (n,)
        x = data.draw(arrays(np.float64, (n, d), elements=numbers))
        y = data.draw(arrays(np.float64, n, elements=numbers))
        y_pred = data.draw(arrays(np.float64, shape, elements=numbers))
        assert correction.block(x, y, y_pred).shape == shape
    out = correction.block(np.zeros((1, d)), np.zeros(1), np.full((1, *shape[1:]), 0.5))
    assert np.isfinite(out).all()
    assert 0.0 <= correction.gain <= 1.0


@given(
    st.sampled_from(DETECTORS),
    arrays(np.float64, st.integers(0, 200), elements=numbers),
    st.lists(st.integers(0, 200), max_size=5),
)
def test_detectors_do_not_see_batch_boundaries(
    name: str, values: np.ndarray, cuts: list[int]
) -> None:
    whole = make_detector(name).update_many(values)
    split, found, at = make_detector(name), [], 0
    for part in np.split(values, sorted(min(cut, len(values)) for cut in cuts)):
        found += [at + index for index in split.update_many(part)]
        at += len(part)
    assert found == whole
