"""Stacked training: right answers, and the same bits whoever shares the stack."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import optimize, special

from driftloop.errors import SettingsError
from driftloop.models.predict import forward
from driftloop.trainer import mlp, walk
from driftloop.trainer.job import (
    CancelledTrainingError,
    Fitted,
    Job,
    bucket,
    padded,
    seed_of,
    validation_records,
)
from driftloop.trainer.train import device_of, fit, fit_each, fit_stack
from tests.unit.trainer.jobs import (
    BINARY,
    CPU,
    LINEAR,
    LOGISTIC,
    REGRESSOR,
    SOFTMAX,
    SPECS,
    artifact_of,
    make_job,
    predicted,
)


def _bits(fitted: Fitted) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in fitted.weights.items()}


@pytest.mark.parametrize("name", SPECS)
def test_a_model_has_the_same_bits_alone_and_in_any_company(name: str) -> None:
    spec = SPECS[name]
    jobs = [make_job(number, spec) for number in range(40)]
    # Some of every shape have mates of exactly that shape, others none.
    expected = [_bits(one) for one in fit(jobs, CPU)]
    for number in range(0, 40, 7):
        assert _bits(fit([jobs[number]], CPU)[0]) == expected[number]
    generator = np.random.default_rng(7)
    for size in (2, 3, 5, 8, 17, 31):
        chosen = generator.permutation(40)[:size]
        found = fit([jobs[number] for number in chosen], CPU)
        assert [_bits(one) for one in found] == [expected[number] for number in chosen]


@pytest.mark.parametrize("name", ["linear", "regressor", "tcn"])
def test_a_model_has_the_same_bits_in_a_stack_of_any_size(name: str) -> None:
    jobs = [make_job(number, SPECS[name], 150, 6) for number in range(33)]
    expected = _bits(fit_stack(SPECS[name], jobs[:1], CPU)[0])
    for size in (1, 2, 7, 33):
        first = fit_stack(SPECS[name], jobs[:size], CPU)[0]
        last = fit_stack(SPECS[name], [*jobs[1:size], jobs[0]], CPU)[-1]
        assert _bits(first) == _bits(last) == expected


@pytest.mark.parametrize("name", ["linear", "regressor", "softmax", "tcn"])
def test_the_threads_of_the_process_do_not_change_the_bits(name: str) -> None:
    jobs = [make_job(number, SPECS[name], 300, 10) for number in range(6)]
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append([_bits(one) for one in fit(jobs, CPU)])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_another_seed_gives_other_weights_and_the_same_seed_the_same() -> None:
    job = make_job(1, REGRESSOR)
    other = dataclasses.replace(job, seed=seed_of("request 1", 1))
    one, two, three = fit([job, other, job], CPU)
    assert _bits(one) == _bits(three) != _bits(two)


@pytest.mark.parametrize("l2", [0.0, 1.0, 30.0])
def test_linear_regression_is_ridge_regression_in_closed_form(l2: float) -> None:
    spec = dataclasses.replace(LINEAR, l2=l2)
    jobs = [make_job(number, spec) for number in range(8)]
    for job, fitted in zip(jobs, fit(jobs, CPU), strict=True):
        x = np.column_stack([job.inputs, np.ones(len(job.inputs))])
        penalty = np.diag([l2] * job.inputs.shape[1] + [0.0])
        expected = x @ np.linalg.solve(x.T @ x + penalty, x.T @ job.labels)
        assert np.allclose(predicted(job, fitted), expected, rtol=1e-7, atol=1e-7)


def test_logistic_regression_is_at_the_minimum_of_its_objective() -> None:
    jobs = [make_job(number, LOGISTIC) for number in range(5)]
    for job, fitted in zip(jobs, fit(jobs, CPU), strict=True):
        x = np.column_stack([job.inputs, np.ones(len(job.inputs))])

        def objective(
            b: npt.NDArray[np.float64], x: npt.NDArray[np.float64] = x, job: Job = job
        ) -> float:
            eta = x @ b
            loss = np.logaddexp(0.0, eta) - job.labels * eta
            return float(loss.sum() + 0.5 * (b[:-1] ** 2).sum())

        expected = optimize.minimize(objective, np.zeros(x.shape[1]), tol=1e-10).x
        assert np.allclose(predicted(job, fitted), special.expit(x @ expected), atol=1e-4)


def test_softmax_regression_has_no_slope_left() -> None:
    jobs = [make_job(number, SOFTMAX, 400, 5) for number in range(4)]
    for job, fitted in zip(jobs, fit(jobs, CPU), strict=True):
        p = predicted(job, fitted)
        error = p - np.eye(3)[job.labels.astype(int)]
        slope = job.inputs.T @ error + fitted.weights["weight.0"]
        assert np.abs(slope).max() < 1e-3
        assert np.allclose(p.sum(axis=1), 1.0)


@pytest.mark.parametrize("name", ["regressor", "absolute", "binary", "classes"])
def test_a_perceptron_learns_what_a_linear_model_cannot(name: str) -> None:
    spec = dataclasses.replace(SPECS[name], epochs=150, patience=30)
    linear = {"regression": LINEAR, "binary": LOGISTIC, "multiclass": SOFTMAX}[spec.task]
    job = make_job(3, spec, 2000, 3)
    fresh = make_job(3, spec, 4000, 3)
    test = slice(2000, 4000)
    job = dataclasses.replace(job, inputs=fresh.inputs[:2000], labels=fresh.labels[:2000])
    errors = []
    for one in (job, dataclasses.replace(job, spec=linear)):
        fitted = fit([one], CPU)[0]
        p = predicted(dataclasses.replace(one, inputs=fresh.inputs[test]), fitted)
        y = fresh.labels[test]
        if spec.task == "regression":
            errors.append(np.abs(p - y).mean())
        else:
            guess = p.argmax(axis=1) if p.ndim == 2 else p > 0.5
            errors.append((guess != y).mean())
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("name", ["regressor", "binary", "classes"])
def test_numpy_predicts_what_torch_computes(name: str) -> None:
    job = make_job(5, SPECS[name], 200, 4)
    fitted = fit([job], CPU)[0]
    values = torch.from_numpy(job.inputs.astype(np.float32))
    layers = len(fitted.weights) // 2
    for i in range(layers):
        weight, bias = (
            torch.from_numpy(fitted.weights[f"{part}.{i}"]) for part in ("weight", "bias")
        )
        values = values @ weight + bias
        values = torch.relu(values) if i + 1 < layers else values
    got = forward(artifact_of(job, fitted), job.inputs)
    assert np.allclose(got, values.numpy(), atol=1e-5, rtol=1e-5)


def test_padded_units_stay_out_of_the_weights() -> None:
    fitted = fit([make_job(2, REGRESSOR, 100, 3)], CPU)[0]
    shapes = {name: value.shape for name, value in fitted.weights.items()}
    assert shapes["weight.0"] == (3, 20)
    assert shapes["weight.1"] == (20, 7)
    assert shapes["bias.2"] == (1,)


@pytest.mark.parametrize("records", [2, 3, 16, 17])
@pytest.mark.parametrize("name", SPECS)
def test_few_records_give_finite_weights(name: str, records: int) -> None:
    fitted = fit([make_job(4, SPECS[name], records, 2)], CPU)[0]
    assert all(np.isfinite(value).all() for value in fitted.weights.values())


def test_a_constant_label_is_predicted() -> None:
    for spec in (LINEAR, REGRESSOR):
        job = dataclasses.replace(make_job(1, spec, 100), labels=np.full(100, 7.0))
        assert np.allclose(predicted(job, fit([job], CPU)[0]), 7.0, atol=0.5)


def test_validation_records_always_fit_their_room() -> None:
    for records in range(2, 3000):
        held = validation_records(records)
        assert 1 <= held < records
        assert held <= mlp.validation_bucket(bucket(records))
    assert padded(1) == 16


@pytest.mark.parametrize("count", [1, 2, 3, 425, 2**20 - 1, 2**25 - 39])
def test_a_walk_is_exact_for_any_number_of_records(count: int) -> None:
    generator = np.random.default_rng(count)
    strides = np.append(generator.integers(0, count, 50), count - 1)
    starts = np.append(generator.integers(0, count, 50), count - 1)
    ramp = np.append(generator.integers(0, 2 * count, 1000), np.arange(2 * count)[-1000:])
    found = walk.walk(
        *(torch.from_numpy(one[:, None]) for one in (strides, starts)),
        torch.full((51, 1), count),
        torch.from_numpy(ramp.astype(np.float64)),
    )
    assert np.array_equal(found.numpy(), (strides[:, None] * ramp + starts[:, None]) % count)


@pytest.mark.parametrize("count", [1, 5, 16, 30])
def test_an_epoch_visits_every_run_before_any_comes_again(count: int) -> None:
    strides, starts = walk.orders(np.random.default_rng(3), count, 20)
    walks = walk.walk(
        *(torch.from_numpy(one[:, None]) for one in (strides, starts)),
        torch.full((20, 1), count),
        torch.arange(count, dtype=torch.float64),
    )
    assert (walks.sort(dim=1).values == torch.arange(count)).all()
    assert count < 3 or len({tuple(one) for one in walks.tolist()}) > 1


def test_a_training_can_be_given_up() -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) > 5:
            raise CancelledTrainingError

    spec = dataclasses.replace(REGRESSOR, epochs=100_000, patience=100_000)
    began = time.monotonic()
    with pytest.raises(CancelledTrainingError):
        fit([make_job(1, spec)], CPU, check)
    assert time.monotonic() - began < 20


def test_a_stack_that_fails_does_not_take_others_along() -> None:
    bad = dataclasses.replace(make_job(1, BINARY, 50), labels=np.zeros(3))
    good = make_job(2, LINEAR)
    found = fit_each([bad, good], CPU)
    assert isinstance(found[0], Exception)
    assert isinstance(found[1], Fitted)


def test_a_device_that_is_not_there_is_said() -> None:
    assert device_of("auto").type in {"cpu", "cuda"}
    with pytest.raises(SettingsError, match=r"trainer\.device"):
        device_of("cuda:97")
