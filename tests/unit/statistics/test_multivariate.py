"""MMD and energy distance against sums by hand and scipy; size, power, seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from driftloop.errors import SettingsError
from driftloop.statistics.classifier import classifier_test
from driftloop.statistics.multivariate import block_length, energy_distance, mmd, prepare

ALL = (mmd, energy_distance, classifier_test)


def test_mmd_is_gretons_unbiased_estimate() -> None:
    rng = np.random.default_rng(0)
    pair = prepare(rng.normal(size=(12, 3)), rng.normal(0.5, 1.0, (17, 3)), 300)
    a, b = pair.window, pair.reference
    pooled = np.concatenate([a, b])
    squares = ((pooled[:, None] - pooled[None]) ** 2).sum(axis=2)
    width = np.median(squares[np.triu_indices(29, 1)])
    kernel = np.exp(-squares / (2.0 * width))
    xx, yy, xy = kernel[:12, :12], kernel[12:, 12:], kernel[:12, 12:]
    expected = (xx.sum() - 12) / (12 * 11) + (yy.sum() - 17) / (17 * 16) - 2.0 * xy.mean()
    assert mmd(a, b).statistic == pytest.approx(expected, rel=1e-9)


def test_energy_distance_agrees_with_scipy_on_one_column() -> None:
    rng = np.random.default_rng(1)
    pair = prepare(rng.normal(size=(40, 1)), rng.normal(0.5, 2.0, (90, 1)), 300)
    expected = stats.energy_distance(pair.window[:, 0], pair.reference[:, 0]) ** 2
    result = energy_distance(pair.window, pair.reference)
    assert result.statistic == pytest.approx(expected * 40 * 90 / 130, rel=1e-9)


@pytest.mark.parametrize("test", ALL)
def test_size_is_nominal_for_independent_records(test) -> None:  # noqa: ANN001
    rng = np.random.default_rng(2)
    options = {} if test is classifier_test else {"n_permutations": 39}
    p = [
        test(rng.normal(size=(60, 3)), rng.normal(size=(80, 3)), **options).p_value
        for _ in range(500)
    ]
    assert 0.025 < np.mean(np.array(p) <= 0.05) < 0.08


@pytest.mark.parametrize("test", [mmd, energy_distance])
def test_blocks_keep_the_level_where_single_records_lose_it(test) -> None:  # noqa: ANN001
    rng = np.random.default_rng(3)
    single, blocks = [], []
    for _ in range(120):
        z = lfilter([1.0], [1.0, -0.6], rng.normal(size=(460, 3)), axis=0)[100:]
        single.append(test(z[240:], z[:240], n_permutations=39).p_value)
        blocks.append(test(z[240:], z[:240], n_permutations=39, block=20).p_value)
    assert np.mean(np.array(single) <= 0.05) > 0.25
    assert np.mean(np.array(blocks) <= 0.05) < 0.12


def test_the_classifier_keeps_its_level_better_with_effective_sizes() -> None:
    rng = np.random.default_rng(4)
    plain, effective = [], []
    for _ in range(400):
        z = lfilter([1.0], [1.0, -0.6], rng.normal(size=(700, 3)), axis=0)[100:]
        plain.append(classifier_test(z[300:], z[:300]).p_value)
        effective.append(classifier_test(z[300:], z[:300], dependence="ar").p_value)
    assert np.mean(np.array(plain) <= 0.05) > 0.12
    assert np.mean(np.array(effective) <= 0.05) < 0.1


@pytest.mark.parametrize("test", ALL)
def test_power_on_a_shift_and_on_a_change_that_no_column_shows(test) -> None:  # noqa: ANN001
    rng = np.random.default_rng(5)
    moved, turned = [], []
    for _ in range(20):
        old = rng.normal(size=(300, 3))
        moved.append(test(rng.normal(0.5, 1.0, (300, 3)), old).p_value)
        new = rng.normal(size=(300, 3))
        new[:, 1] = 0.9 * new[:, 0] + np.sqrt(1.0 - 0.81) * new[:, 1]
        turned.append(test(new, old).p_value)
    assert np.mean(np.array(moved) <= 0.01) > 0.9
    if test is not classifier_test:  # its terms are columns and squares: it sees no correlation
        assert np.mean(np.array(turned) <= 0.05) > 0.9


@pytest.mark.parametrize("test", ALL)
def test_effects_grow_with_the_shift(test) -> None:  # noqa: ANN001
    rng = np.random.default_rng(6)
    old, new = rng.normal(size=(250, 2)), rng.normal(size=(250, 2))
    effects = [test(new + shift, old).effect for shift in (0.0, 0.7, 2.0, 9.0)]
    assert (np.diff(effects) > 0.0).all()
    assert effects[0] < 0.2
    assert effects[3] > 0.8


@pytest.mark.parametrize("test", [mmd, energy_distance])
def test_the_seed_decides(test) -> None:  # noqa: ANN001
    rng = np.random.default_rng(7)
    new, old = rng.normal(size=(40, 2)), rng.normal(size=(60, 2))
    assert test(new, old, seed=1) == test(new, old, seed=1)
    assert len({test(new, old, seed=seed).p_value for seed in range(6)}) > 1
    assert len({test(new, old, seed=seed).statistic for seed in range(6)}) == 1


@pytest.mark.parametrize("test", ALL)
def test_scale_and_gaps_do_not_matter_much(test) -> None:  # noqa: ANN001
    rng = np.random.default_rng(8)
    new, old = rng.normal(size=(60, 3)), rng.normal(size=(80, 3))
    result = test(new, old)
    scaled = test(new * [1e9, 1.0, 1e-9] + 5.0, old * [1e9, 1.0, 1e-9] + 5.0)
    assert scaled.statistic == pytest.approx(result.statistic, rel=1e-5)
    new[::9, 0], old[3, 1], new[4, 2] = np.nan, np.inf, -np.inf
    assert test(new, old).has_verdict


@pytest.mark.parametrize("test", ALL)
def test_tiny_constant_and_absurd_samples_give_no_verdict_or_a_p_value(test) -> None:  # noqa: ANN001
    old = np.random.default_rng(9).normal(size=(40, 2))
    for new, reference in (
        (old[:0], old),
        (old[:4], old),
        (old, old[:3]),
        (old[:, :0], old[:, :0]),
        (np.full((20, 2), 0.1), np.full((30, 2), 0.1)),
        (np.full((20, 2), np.nan), np.full((30, 2), np.nan)),
    ):
        result = test(new, reference)
        assert np.isnan(result.p_value)
        assert result.reason
    for new, reference in ((old * 1e307, old), (old[::-1] // 1.0, old // 1.0), (old > 9, old > 1)):
        result = test(new, reference)
        assert bool(result.reason) != (0.0 <= result.p_value <= 1.0)


def test_samples_are_thinned_evenly() -> None:
    rows = np.arange(1000.0)[:, None]
    pair = prepare(rows, rows[:10], 100)
    assert (len(pair.window), len(pair.reference)) == (100, 10)
    assert np.ptp(np.diff(pair.window[:, 0])) < 2.0 * np.diff(pair.window[:, 0]).min()
    assert mmd(rows, rows, max_records=50).n == 50
    alike = prepare(rows[:300], rows, 250, alike=True)
    assert (len(alike.window), len(alike.reference)) == (75, 250)
    assert energy_distance(rows[:300], rows, block=5, n_permutations=3).n == 75


def test_bad_numbers_are_refused() -> None:
    a = np.zeros((9, 2))
    with pytest.raises(SettingsError, match=r"(?s)same columns.*max_records"):
        mmd(a, np.zeros((9, 1)), max_records=2)
    with pytest.raises(SettingsError, match=r"(?s)folds.*ridge.*dependence"):
        classifier_test(a, a, folds=1, ridge=0.0, dependence="x")
    with pytest.raises(SettingsError, match="block"):
        energy_distance(np.eye(9), np.eye(9), block=0)


def _series(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    noise = np.sqrt(1 - phi**2) * rng.normal(size=(n, 4))
    return lfilter([1.0], [1.0, -phi], noise, axis=0, zi=phi * rng.normal(size=(1, 4)))[0]


@pytest.mark.parametrize("test", [mmd, energy_distance])
def test_blocks_as_long_as_the_dependence_keep_the_level(test) -> None:  # noqa: ANN001
    p = []
    for run in range(100):
        series = _series(np.random.default_rng(run), 400, 0.6)
        p.append(test(series[200:], series[:200], block=None, n_permutations=39, seed=run).p_value)
    assert np.mean(np.array(p) <= 0.05) < 0.16  # single records: .6 to .7


def test_a_blocks_length_grows_with_dependence_up_to_a_tenth_of_the_records() -> None:
    lengths = []
    for phi in (0.0, 0.6, 0.99):
        series = _series(np.random.default_rng(5), 600, phi)
        lengths.append(block_length(prepare(series[300:], series[:300], 300)))
    assert lengths[0] < 5
    assert 20 < lengths[1] < 60
    assert lengths[2] == 60
