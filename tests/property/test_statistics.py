"""Properties of the statistics that hold for any input."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from driftloop.detection.detectors import DETECTORS, make_detector
from driftloop.statistics import effects
from driftloop.statistics.autocorrelation import effective_size, variance_inflation
from driftloop.statistics.categorical import chi_square, g_test, unseen_categories
from driftloop.statistics.classifier import classifier_test
from driftloop.statistics.correction import make_correction
from driftloop.statistics.loss_tests import loss_test, paired_mean_test
from driftloop.statistics.losses import LOSSES, compute
from driftloop.statistics.missing import missing_columns, missing_rate
from driftloop.statistics.multiplicity import benjamini_hochberg, bonferroni, holm
from driftloop.statistics.multivariate import energy_distance, mmd
from driftloop.statistics.results import ColumnTests, TestResult
from driftloop.statistics.scores import calibration_test, residual_test, score_test
from driftloop.statistics.two_sample import ks_features
from driftloop.statistics.univariate import TESTS, compare_columns

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
    f, h, b = benjamini_hochberg(p), holm(p), bonferroni(p)
    known = ~np.isnan(p)
    assert (np.isnan(h) == ~known).all()
    assert (np.isnan(b) == ~known).all()
    assert (p[known] <= f[known]).all()
    assert (f[known] <= h[known] * (1.0 + 1e-12)).all()
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


def sane_columns(tests: ColumnTests) -> bool:
    known = ~np.isnan(tests.p_value)
    inside = (tests.p_value[known] >= 0.0) & (tests.p_value[known] <= 1.0)
    reasons = [bool(tests.reason(j)) for j in range(len(tests))]
    return bool(inside.all()) and reasons == (~known).tolist()


@given(
    arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=30), elements=numbers),
    st.integers(0, 30),
)
def test_any_columns_give_p_values_or_reasons_and_finite_effects(
    window: np.ndarray, rows: int
) -> None:
    reference = np.resize(window[::-1], (rows, window.shape[1]))
    for dependence in ("none", "ar"):
        tests = compare_columns(window, reference, dependence=dependence)
        assert set(tests) == set(TESTS)
        for result in tests.values():
            assert sane_columns(result)
            assert not np.isinf(result.effect).any()
    assert sane_columns(missing_columns(window, reference))
    for name in ("psi", "jensen_shannon", "hellinger", "wasserstein"):
        values = getattr(effects, name)(window, reference)
        assert (np.isnan(values) | ((values >= -1e-9) & np.isfinite(values))).all()
    assert not np.isinf(effects.cohens_d(window, reference)).any()
    for result in (
        mmd(window, reference, n_permutations=3),
        energy_distance(window, reference, n_permutations=3, block=2),
        classifier_test(window, reference, dependence="ar"),
        score_test(window, reference, "anderson_darling"),
    ):
        assert sane(result)


@given(series, series)
def test_any_labels_and_predictions_give_a_p_value_or_a_reason(
    y: np.ndarray, y_pred: np.ndarray
) -> None:
    n = min(len(y), len(y_pred))
    for dependence in ("none", "ar"):
        assert sane(calibration_test(y[:n], y_pred[:n], dependence=dependence))
        assert sane(residual_test(y[:n], y_pred[:n], dependence=dependence))


categories = st.lists(
    st.none() | st.text(max_size=1) | st.integers(0, 3) | st.booleans() | numbers, max_size=40
)


@given(categories, categories)
def test_any_categories_give_a_p_value_or_a_reason(window: list, reference: list) -> None:
    for test in (chi_square, g_test, unseen_categories, missing_rate):
        assert sane(test(window, reference))
