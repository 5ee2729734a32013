"""The online correction: what it loses without drift, wins under drift, and survives."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from driftloop.errors import SettingsError
from driftloop.statistics.correction import OnlineCorrection, accumulate, make_correction
from driftloop.statistics.loss_tests import paired_mean_test
from driftloop.statistics.losses import compute

Data = tuple[np.ndarray, np.ndarray, np.ndarray]
TASKS = ("regression", "binary", "multiclass")
LOSS = {"regression": "absolute", "binary": "log_loss", "multiclass": "log_loss"}
CLASSES = 3
AT = 2000


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def make(task: str, seed: int, d: int, drift: float = 0.0, n: int = 4000) -> Data:
    """Return features, labels and a champion that is perfect until coefficients drift at AT."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    after = np.arange(n) >= AT
    if task == "multiclass":
        w = rng.normal(size=(d, CLASSES))
        logits = x @ w
        shift = drift * (x @ np.roll(w, 1, axis=1) + np.linspace(-1, 1, CLASSES))
        p = softmax(logits + after[:, None] * shift)
        y = (rng.uniform(size=(n, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1).astype(float)
        return x, y, softmax(logits)
    w = np.ones(d) / np.sqrt(max(d, 1))
    signal = x @ w
    truth = signal + after * drift * (x @ (w * np.resize([1.0, -1.0], d)) + 0.5)
    if task == "regression":
        return x, truth + rng.normal(size=n), signal
    p = 1 / (1 + np.exp(-1.5 * truth))
    return x, (rng.uniform(size=n) < p).astype(float), 1 / (1 + np.exp(-1.5 * signal))


def fresh(task: str, d: int, **options: float) -> OnlineCorrection:
    return make_correction(task, d, classes=CLASSES if task == "multiclass" else 0, **options)


def play(correction: OnlineCorrection, data: Data, block: int = 32) -> np.ndarray:
    x, y, y_pred = data
    parts = [slice(a, a + block) for a in range(0, len(y), block)]
    return np.concatenate([correction.block(x[q], y[q], y_pred[q]) for q in parts])


def saving(task: str, data: Data, corrected: np.ndarray) -> np.ndarray:
    """Return d, the saved loss of each record."""
    _, y, y_pred = data
    return compute(LOSS[task], y, y_pred) - compute(LOSS[task], y, corrected)


@pytest.mark.parametrize("d", [0, 5, 20])
@pytest.mark.parametrize("task", TASKS)
def test_without_drift_it_loses_less_than_two_percent(task: str, d: int) -> None:
    relative = []
    for seed in range(8):
        data = make(task, seed, d)
        d_loss = saving(task, data, play(fresh(task, d), data))
        relative.append(-d_loss.mean() / compute(LOSS[task], data[1], data[2]).mean())
    assert np.mean(relative) < 0.008
    assert np.max(relative) < 0.02


@pytest.mark.parametrize(("task", "share"), [("regression", 0.8), ("binary", 0.7)])
def test_under_drift_it_wins_most_of_what_a_perfect_model_would(task: str, share: float) -> None:
    won = []
    for seed in range(8):
        data, ideal = make(task, seed, 5, 0.7), make(task, seed, 5)
        d_loss = saving(task, data, play(fresh(task, 5), data))[AT:].mean()
        champion = compute(LOSS[task], data[1], data[2])[AT:].mean()
        if task == "regression":
            best = compute(LOSS[task], ideal[1], ideal[2])[AT:].mean()
        else:
            signal = np.log(data[2] / (1 - data[2])) / 1.5
            w = np.ones(5) / np.sqrt(5)
            logit = 1.5 * (signal + 0.7 * (data[0] @ (w * np.resize([1.0, -1.0], 5)) + 0.5))
            best = compute(LOSS[task], data[1], 1 / (1 + np.exp(-logit)))[AT:].mean()
        won.append(d_loss / (champion - best))
    assert np.mean(won) > share


@pytest.mark.parametrize("task", TASKS)
def test_drift_of_coefficients_is_significant_and_no_drift_is_not(task: str) -> None:
    drifted, still = make(task, 1, 5, 0.8), make(task, 2, 5)
    d = saving(task, drifted, play(fresh(task, 5), drifted))
    assert paired_mean_test(d[AT:]).p_value < 1e-6
    assert paired_mean_test(saving(task, still, play(fresh(task, 5), still))).p_value > 0.01


@pytest.mark.parametrize("task", TASKS)
def test_a_noisier_week_saves_nothing(task: str) -> None:
    """The mean loss rises; no newer model would help, and the correction knows."""
    rng = np.random.default_rng(3)
    x, y, y_pred = make(task, 3, 5)
    if task == "regression":
        y[AT:] += rng.normal(0, 3, len(y) - AT)
    else:
        noisy = rng.uniform(size=len(y)) < 0.5
        noisy[:AT] = False
        y_pred = np.where(noisy if task == "binary" else noisy[:, None], 1 / 2, y_pred)
        if task == "multiclass":
            y_pred = np.where(noisy[:, None], 1 / 3, y_pred)
        y[noisy] = rng.integers(0, 2 if task == "binary" else 3, noisy.sum())
    data = (x, y, y_pred)
    losses = compute(LOSS[task], y, y_pred)
    d = saving(task, data, play(fresh(task, 5), data))
    assert losses[AT:].mean() > 1.05 * losses[:AT].mean()
    assert d.mean() < 0.003 * losses.mean()


def test_a_level_shift_needs_no_features() -> None:
    data = make("regression", 4, 3)
    data[1][AT:] += 2.0
    correction = make_correction("regression", 3)
    _, y, y_pred = data
    out = [correction.block(None, y[a : a + 32], y_pred[a : a + 32]) for a in range(0, 4000, 32)]
    rest = (y - np.concatenate(out))[AT + 400 :]
    assert abs(rest.mean()) < 0.15


def test_regression_is_weighted_least_squares() -> None:
    """With fixed scales, β solves the directly weighted ridge problem over all records so far."""
    rng = np.random.default_rng(5)
    n, d, forgetting = 32 * 90, 3, 0.99
    x = rng.normal(size=(n, d))
    r = x @ [1.0, -1.0, 0.5] + 0.3 + rng.normal(0, 0.1, n)
    correction = make_correction("regression", d, forgetting=forgetting)
    blocks = [slice(a, a + 32) for a in range(0, n, 32)]
    for q in blocks[:70]:
        correction.block(x[q], r[q], np.zeros(32))
    centre, scale = correction._centre.copy(), correction._inverse_scale.copy()
    correction._moments[:] = 0.0
    for q in blocks[70:]:
        correction.block(x[q], r[q], np.zeros(32))
    start = blocks[70].start
    assert (correction._centre == centre).all()  # fixed after the first records
    z = np.column_stack([np.clip((x[start:] - centre) * scale, -5, 5), np.ones(n - start)])
    w = forgetting ** np.arange(n - start - 1, -1, -1.0)
    direct = np.linalg.solve(
        (z * w[:, None]).T @ z + 8.0 * np.eye(d + 1), (z * w[:, None]).T @ r[start:]
    )
    np.testing.assert_allclose(correction._beta[:, 0], direct, rtol=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_the_first_block_is_returned_as_it_came(task: str) -> None:
    x, y, y_pred = make(task, 6, 4, n=32)
    np.testing.assert_allclose(fresh(task, 4).block(x, y, y_pred), y_pred, rtol=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_a_block_is_predicted_without_its_own_labels(task: str) -> None:
    x, y, y_pred = make(task, 7, 4, 1.0, n=3200)
    one, two = fresh(task, 4), fresh(task, 4)
    for q in (slice(a, a + 32) for a in range(0, 3168, 32)):
        one.block(x[q], y[q], y_pred[q])
        two.block(x[q], y[q], y_pred[q])
    q = slice(3168, 3200)
    shuffled = np.random.default_rng(0).permutation(y[q])
    assert (one.block(x[q], y[q], y_pred[q]) == two.block(x[q], shuffled, y_pred[q])).all()


@pytest.mark.parametrize("d", [0, 10])
@pytest.mark.parametrize("task", TASKS)
def test_pickled_in_mid_stream_it_goes_on_bit_for_bit_and_is_small(task: str, d: int) -> None:
    x, y, y_pred = make(task, 8, d, 1.0)
    whole, resumed = fresh(task, d), fresh(task, d)
    for a in range(0, 4000, 32):
        q = slice(a, a + 32)
        expected = whole.block(x[q], y[q], y_pred[q])
        if a % 320 == 0:
            state = pickle.dumps(resumed)
            assert len(state) < (4500 if task == "multiclass" else 3000)
            resumed = pickle.loads(state)  # noqa: S301
        # The layout of the caller's arrays does not matter either.
        columns = np.asfortranarray(x)[q]
        assert (resumed.block(columns, y[q].copy(), y_pred[q].copy()) == expected).all()


@pytest.mark.parametrize("task", TASKS)
def test_missing_values_are_survived_and_not_learned_from(task: str) -> None:
    x, y, y_pred = make(task, 9, 4, 0.8)
    rng = np.random.default_rng(1)
    x[rng.uniform(size=x.shape) < 0.1] = np.nan
    x[7, 1], x[40, 2] = np.inf, -1e308
    y[rng.uniform(size=len(y)) < 0.1] = np.nan
    y_pred[rng.uniform(size=len(y)) < 0.1] = np.nan
    correction = fresh(task, 4)
    out = play(correction, (x, y, y_pred))
    assert (np.isfinite(out) == np.isfinite(y_pred)).all()
    known = np.isfinite(y) & np.isfinite(y_pred if y_pred.ndim == 1 else y_pred.sum(axis=1))
    assert correction.records == known.sum()
    d = saving(task, (x, y, y_pred), out)
    assert np.nanmean(d[AT:]) > 0


@pytest.mark.parametrize("task", TASKS)
def test_blocks_without_any_label_or_any_value_change_nothing_but_age(task: str) -> None:
    x, y, y_pred = make(task, 10, 3, n=64)
    correction = fresh(task, 3)
    assert correction.block(x[:0], y[:0], y_pred[:0]).shape == y_pred[:0].shape
    correction.block(np.full((32, 3), np.nan), np.full(32, np.nan), y_pred[:32])
    assert correction.records == 0
    assert np.isfinite(correction.block(x[32:], y[32:], y_pred[32:])).all()
    assert correction.block(x[:1], y[:1], y_pred[:1]).shape == y_pred[:1].shape


def test_outliers_cannot_capture_it() -> None:
    data = make("regression", 11, 4)
    data[1][::97] = 1e9
    data[1][5] = -1e308
    data[0][::53] *= 1e12
    clean = np.ones(4000, dtype=bool)
    clean[::97] = clean[5] = clean[::53] = False
    d = saving("regression", data, play(make_correction("regression", 4), data))[clean]
    assert d.mean() > -0.05
    assert np.abs(d).max() < 12.0


def test_constant_and_perfect_input_is_survived_and_a_later_shift_is_learned() -> None:
    correction = make_correction("regression", 2)
    x, y = np.ones((32, 2)), np.full(32, 4.0)
    for _ in range(20):
        assert (correction.block(x, y, y) == y).all()
    for _ in range(20):
        out = correction.block(x, y + 3.0, y)
    np.testing.assert_allclose(out, y + 3.0, atol=0.3)


def test_certain_champions_and_codes_are_survived() -> None:
    rng = np.random.default_rng(12)
    y = rng.integers(0, 2, 3200).astype(float)
    sure = np.where(rng.uniform(size=3200) < 0.9, y, 1 - y)
    x = np.column_stack([y + rng.normal(0, 0.3, 3200)])
    for codes in (False, True):
        correction = make_correction("binary", 1, codes=codes)
        out = play(correction, (x, y, sure))
        assert ((out >= 0) & (out <= 1)).all()
        if codes:  # the feature tells what the codes get wrong
            assert set(np.unique(out)) <= {0.0, 1.0}
            assert (out == y).mean() > (sure == y).mean() + 0.02


def test_multiclass_codes_stay_codes() -> None:
    rng = np.random.default_rng(13)
    y = rng.integers(0, 3, 3200).astype(float)
    stale = np.where(rng.uniform(size=3200) < 0.6, y, 0.0)
    x = np.eye(3)[y.astype(int)] + rng.normal(0, 0.3, (3200, 3))
    out = play(make_correction("multiclass", 3, classes=3), (x, y, stale))
    assert set(np.unique(out)) <= {0.0, 1.0, 2.0}
    assert (out == y).mean() > (stale == y).mean() + 0.1


def test_corrected_probabilities_sum_to_one() -> None:
    data = make("multiclass", 14, 4, 1.0)
    out = play(fresh("multiclass", 4), data)
    np.testing.assert_allclose(out.sum(axis=1), 1.0, rtol=1e-9)


def test_accumulate_is_the_sum_since_it_was_nil() -> None:
    s, path = 0.0, []
    for d in (1.0, -3.0, 2.0, float("nan"), 0.5):
        s = accumulate(s, d)
        path.append(s)
    assert path == [1.0, 0.0, 2.0, 2.0, 2.5]


def test_a_fault_names_each_argument() -> None:
    with pytest.raises(SettingsError) as caught:
        make_correction("rank", -1, forgetting=0.0)
    assert [fault.place for fault in caught.value.faults] == ["n_features", "forgetting", "task"]
    with pytest.raises(SettingsError, match="at least 2"):
        make_correction("multiclass", 1)
