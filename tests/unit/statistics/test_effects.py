"""Effect sizes against scipy and closed forms, and what empty bins do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from driftloop.errors import SettingsError
from driftloop.statistics.effects import (
    PSEUDO_COUNT,
    bin_counts,
    cohens_d,
    hellinger,
    hellinger_of_counts,
    jensen_shannon,
    jensen_shannon_of_counts,
    psi,
    psi_of_counts,
    wasserstein,
)
from driftloop.statistics.samples import Sample

ALL = (psi, jensen_shannon, hellinger, wasserstein, cohens_d)


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    new, old = rng.normal(size=(300, 6)) + np.linspace(0.0, 2.0, 6), rng.normal(size=(1000, 6))
    new[:5, 1], old[3:9, 2] = np.nan, np.inf
    return new, old


def test_bins_hold_a_tenth_of_the_reference_each() -> None:
    new, old = draw()
    counts, reference = bin_counts(new, old)
    assert counts.shape == reference.shape == (6, 10)
    assert counts.sum(axis=1).tolist() == [300, 295, 300, 300, 300, 300]
    assert (np.abs(reference - reference.sum(axis=1, keepdims=True) / 10) <= 1).all()
    edges = np.quantile(old[:, 0], np.arange(1, 10) / 10, method="inverted_cdf")
    expected = np.bincount(np.searchsorted(edges, new[:, 0], "left"), minlength=10)
    assert counts[0].tolist() == expected.tolist()


def test_shares_agree_with_scipy_after_smoothing() -> None:
    a, b = np.array([5.0, 0.0, 20.0, 0.0]), np.array([0.0, 12.0, 40.0, 0.0])
    p, q = ((c[:3] + PSEUDO_COUNT) / (c.sum() + 3 * PSEUDO_COUNT) for c in (a, b))
    assert jensen_shannon_of_counts(a, b) == pytest.approx(jensenshannon(p, q, base=2))
    assert psi_of_counts(a, b) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))
    bhattacharyya = np.sqrt(p * q).sum()
    assert hellinger_of_counts(a, b) == pytest.approx(np.sqrt(1.0 - bhattacharyya))


def test_an_empty_bin_costs_a_finite_amount() -> None:
    """Ten records away from a reference of 1,000 do not make an index of 100."""
    assert psi_of_counts([10, 0], [1000, 0]) == 0.0
    assert 0.0 < psi_of_counts([10, 0], [500, 500]) < 2.0
    assert psi_of_counts([0, 300], [1000, 0]) == pytest.approx(14.0, abs=1.0)


def test_two_samples_of_one_distribution_have_the_index_that_the_docstring_says() -> None:
    rng = np.random.default_rng(1)
    values = psi(rng.normal(size=(300, 400)), rng.normal(size=(1000, 400)))
    assert values.mean() == pytest.approx(9.0 * (1.0 / 300 + 1.0 / 1000), rel=0.1)


def test_wasserstein_agrees_with_scipy() -> None:
    new, old = draw()
    values = wasserstein(new, old)
    for j in range(6):
        a, b = (x[np.isfinite(x)] for x in (new[:, j], old[:, j]))
        assert values[j] == pytest.approx(stats.wasserstein_distance(a, b) / b.std(), rel=1e-9)


def test_cohens_d_is_the_distance_of_the_means_in_deviations() -> None:
    new, old = draw()
    a, b = new[:, 0], old[:, 0]
    pooled = np.sqrt((299 * a.var(ddof=1) + 999 * b.var(ddof=1)) / 1298)
    assert cohens_d(new, old)[0] == pytest.approx((a.mean() - b.mean()) / pooled)
    assert (np.diff(cohens_d(new, old)) > 0.0).all()


@pytest.mark.parametrize("effect", ALL)
def test_effects_grow_with_the_shift_and_know_their_bounds(effect) -> None:  # noqa: ANN001
    new, old = draw()
    values = effect(new, old)
    assert (np.diff(values[[0, 3, 4, 5]]) > 0.0).all()
    np.testing.assert_array_equal(effect(Sample(new), Sample(old)), values)
    same = effect(old[:, [0]], old[:, [0]])
    assert same[0] == pytest.approx(0.0, abs=1e-9)
    if effect in {jensen_shannon, hellinger}:
        assert (values <= 1.0).all()
        assert 0.75 < effect(old[:, [0]] + 99.0, old[:, [0]])[0] < 0.9  # one bin of ten is shared


@pytest.mark.parametrize("effect", ALL)
def test_constant_empty_and_absurd_columns_give_nan_or_a_number(effect) -> None:  # noqa: ANN001
    old = np.random.default_rng(2).normal(size=(50, 5))
    new = old[:20].copy()
    new[:, 0], old[:, 1], old[:, 2], new[:, 2] = np.nan, np.nan, 3.0, 3.0
    old[:, 3] *= 1e307
    values = effect(new, old)
    assert np.isnan(values[:2]).all()
    if effect in {wasserstein, cohens_d}:
        assert np.isnan(values[2])
    else:
        assert values[2] == 0.0
    assert np.isfinite(values[4])
    assert not np.isinf(values).any()
    assert np.isnan(effect(np.zeros((0, 5)), old)).all()
    assert effect(np.zeros((9, 0)), np.zeros((9, 0))).shape == (0,)


def test_other_columns_and_bins_are_refused() -> None:
    with pytest.raises(SettingsError, match="same columns"):
        psi(np.zeros((3, 2)), np.zeros((3, 3)))
    with pytest.raises(SettingsError, match="at least 2"):
        psi(np.zeros((3, 2)), np.zeros((3, 2)), bins=1)
    with pytest.raises(SettingsError, match="same bins"):
        psi_of_counts([1, 2], [1, 2, 3])
