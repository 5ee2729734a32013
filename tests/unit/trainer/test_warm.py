"""Warm start: a challenger begins as what the champion is, whatever their encodings."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from driftloop.models import Encoding, ModelArtifact, predict
from driftloop.settings import Profile
from driftloop.trainer.dataset import job_of
from driftloop.trainer.job import Fitted, Job, Spec, target_of
from driftloop.trainer.train import fit
from driftloop.trainer.warm import begin, first_weights
from tests.streams import make_columns
from tests.unit.trainer.jobs import BINARY, CLASSES, CPU, LINEAR, REGRESSOR, SPECS, make_job

Array = npt.NDArray[np.float64]
_KNOWN, _LATER = ["a", "b", "c"], ["b", "c", "d"]


def _records(
    spec: Spec, seed: int, names: list[str], moved: float
) -> tuple[Array, list[str], Array]:
    generator = np.random.default_rng(seed)
    x = generator.normal(moved, 1.0 + moved, (400, 3))
    category = generator.choice(names, 400).tolist()
    truth = np.tanh(x[:, 0]) + x[:, 1] * (np.array(category) == "b")
    if spec.task == "binary":
        return x, category, (truth > truth.mean()).astype(float)
    if spec.task == "multiclass":
        return x, category, np.digitize(truth, np.quantile(truth, [0.3, 0.6])).astype(float)
    return x, category, 100.0 * moved + 5.0 * truth


def _encoding(x: Array, category: list[str]) -> Encoding:
    return Encoding.fit(x, [category], numeric=["p", "q", "r"], categorical=["s"], max_categories=8)


def _job(spec: Spec, seed: int, names: list[str], moved: float) -> tuple[Job, Encoding]:
    x, category, y = _records(spec, seed, names, moved)
    encoding = _encoding(x, category)
    return Job(spec, encoding.encode(x, [category]), y, seed), encoding


def _artifact(job: Job, encoding: Encoding, fitted: Fitted) -> ModelArtifact:
    return ModelArtifact(
        kind=job.spec.kind,
        task=job.spec.task,
        stream="s",
        version="v1",
        request_id="r",
        encoding=encoding,
        classes=("x", "y", "z") if job.spec.task == "multiclass" else (),
        weights=fitted.weights,
        target=fitted.target,
    )


def _champion(spec: Spec) -> ModelArtifact:
    job, encoding = _job(spec, 1, _KNOWN, 0.0)
    return _artifact(job, encoding, fit([job], CPU)[0])


@pytest.mark.parametrize("spec", [REGRESSOR, BINARY, CLASSES], ids=lambda spec: spec.task)
def test_before_its_first_step_the_challenger_predicts_what_the_champion_predicts(
    spec: Spec,
) -> None:
    champion = _champion(spec)
    job, encoding = _job(spec, 2, _LATER, 2.0)
    target = target_of(spec, job.labels)
    weights = first_weights(champion, encoding, target, spec)
    assert weights is not None
    challenger = dataclasses.replace(champion, encoding=encoding, weights=weights, target=target)
    x, category, _ = _records(spec, 3, ["b", "c", "unheard-of"], 1.0)
    expected = predict(champion, x, [category])
    assert np.allclose(predict(challenger, x, [category]), expected, rtol=1e-9, atol=1e-9)
    # A category that is new has no weight: all that it does not share is the same.
    fresh = weights["weight.0"][3 + encoding.vocabulary[0].index("d")]
    assert not fresh.any()


@pytest.mark.parametrize("spec", [REGRESSOR, BINARY, CLASSES], ids=lambda spec: spec.task)
def test_a_training_without_progress_ends_with_the_champion(spec: Spec) -> None:
    champion = _champion(spec)
    job, encoding = _job(spec, 1, _KNOWN, 0.0)
    stubborn = dataclasses.replace(spec, learning_rate=1.0, epochs=1)
    warm = begin(dataclasses.replace(job, spec=stubborn), champion, encoding)
    fitted = fit([warm], CPU)[0]
    assert fitted.epochs == 0
    for name, value in champion.weights.items():
        assert np.allclose(fitted.weights[name], value, rtol=1e-6, atol=1e-6)


def test_after_few_epochs_it_predicts_better_than_a_model_that_began_anew() -> None:
    spec = dataclasses.replace(REGRESSOR, hidden=(20,), epochs=200, patience=15)
    champion = _champion(spec)
    short = dataclasses.replace(spec, epochs=10)
    warm, cold = [], []
    for seed in range(10, 20):
        job, encoding = _job(short, seed, _KNOWN, 0.1)
        x, category, y = _records(spec, seed + 100, _KNOWN, 0.1)
        for one, losses in ((job, cold), (begin(job, champion, encoding), warm)):
            predicted = predict(_artifact(job, encoding, fit([one], CPU)[0]), x, [category])
            losses.append(float(np.square(predicted - y).mean()))
    assert np.mean(warm) < 0.75 * np.mean(cold)


@pytest.mark.parametrize("name", ["regressor", "absolute", "binary", "classes"])
def test_mates_do_not_change_the_bits_whether_they_begin_warm_or_cold(name: str) -> None:
    cold = [make_job(number, SPECS[name], 150, 6) for number in range(9)]
    weights = [one.weights for one in fit(cold, CPU)]
    mixed = [
        dataclasses.replace(job, first=weights[-1 - i]) if i % 2 else job
        for i, job in enumerate(cold)
    ]
    together = fit(mixed, CPU)
    for job, fitted in zip(mixed, together, strict=True):
        alone = fit([job], CPU)[0]
        for part, value in alone.weights.items():
            assert value.tobytes() == fitted.weights[part].tobytes()
    for i in range(0, 9, 2):
        for part, value in weights[i].items():
            assert value.tobytes() == together[i].weights[part].tobytes()


def test_a_champion_of_another_shape_is_no_beginning() -> None:
    champion = _champion(REGRESSOR)
    job, encoding = _job(REGRESSOR, 2, _KNOWN, 0.0)
    wider = dataclasses.replace(REGRESSOR, hidden=(21, 7))
    deeper = dataclasses.replace(REGRESSOR, hidden=(20, 7, 3))
    for spec in (wider, deeper, LINEAR):
        assert begin(dataclasses.replace(job, spec=spec), champion, encoding).first is None
    renamed = dataclasses.replace(encoding, numeric=("p", "q", "z"))
    assert begin(job, champion, renamed).first is None
    assert begin(job, champion, encoding).first is not None


def test_a_forecaster_begins_from_its_champion_too() -> None:
    """Lags in another place among the features, a calendar, and a level that moved between."""
    names = ["lag_1", "wind", "lag_3", "lag_2"]
    features = {"numeric": names, "sequence": ["lag_3", "lag_2", "lag_1"]}
    profile = Profile.model_validate(
        {
            "features": {**features, "calendar": ["hour-of-day"]},
            "model": {"kind": "forecaster_mlp", "hidden": [9], "epochs": 3},
        }
    )
    rng = np.random.default_rng(5)
    x, ts = rng.normal(size=(120, 4)), 3_600_000.0 * np.arange(120)
    y = x[:, 0] + 0.3 * x[:, 1] + np.sin(ts / 1.3e7)
    records = make_columns(profile, ts, x=x, y=y)
    encoding, job = job_of(profile, records, seed=1)
    (fitted,) = fit([job], CPU)
    champion = dataclasses.replace(_artifact(job, encoding, fitted), kind="forecaster_mlp")
    moved = make_columns(profile, ts + 7.2e6, x=3.0 * x + 50.0, y=3.0 * y + 50.0)
    again, cold = job_of(profile, moved, seed=2)
    warm = begin(cold, champion, again)
    assert warm.first is not None
    target = target_of(cold.spec, cold.labels)
    first = Fitted(weights=warm.first, target=target, epochs=0, seconds=0.0)
    challenger = dataclasses.replace(_artifact(cold, again, first), kind="forecaster_mlp")
    expected = predict(champion, moved.x, ts=moved.ts)
    assert predict(challenger, moved.x, ts=moved.ts) == pytest.approx(expected, abs=1e-8)
    other = dataclasses.replace(encoding, calendar=())
    assert begin(cold, dataclasses.replace(champion, encoding=other), again).first is None
