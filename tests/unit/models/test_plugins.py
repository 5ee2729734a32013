"""The shipped plug-ins learn, predict the same when stored, alone or among others; no pickle."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.errors import ArtifactCorruptedError, PluginError
from driftloop.models import (
    Encoding,
    FittedModel,
    Inputs,
    ModelArtifact,
    ModelStore,
    TrainingJob,
    make_plugin,
    predict,
)
from driftloop.models.artifact import build, dump, parse_manifest, sha256
from driftloop.models.formats import FORMATS, skops_types
from driftloop.models.payload import Payload
from driftloop.models.plugins.sklearn import TRUSTED
from driftloop.settings import StoreSettings
from driftloop.settings.kinds import SHIPPED_KINDS

CASES = [
    (name, task, loss)
    for name in SHIPPED_KINDS
    for task, loss in (
        ("regression", "squared"),
        ("regression", "absolute"),
        ("binary", "log_loss"),
        ("multiclass", "log_loss"),
    )
    if task in make_plugin(name).tasks
]
FEW = {
    "sklearn_random_forest": {"n_estimators": 10},
    "sklearn_hist_gradient_boosting": {"max_iter": 20},
    "xgboost": {"n_estimators": 20},
}


def job_of(kind: str, task: str = "regression", loss: str = "squared", n: int = 300) -> TrainingJob:
    """A truth that any kind can learn, with gaps, a new text and numbers of absurd size."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((n, 3))
    texts: list[str | None] = [("red", "blue", None)[i % 3] for i in range(n)]
    truth = 3.0 * x[:, 0] + 2.0 * (np.arange(n) % 3 == 0) + 0.1 * rng.standard_normal(n)
    labels = {
        "regression": 50.0 + 10.0 * truth,
        "binary": (truth > 0.5).astype(float),
        "multiclass": np.digitize(truth, [-1.0, 2.0]).astype(float),
    }[task]
    x[::17, 1], x[5, 2], x[6, 2] = np.nan, np.inf, 1e60
    return TrainingJob(
        inputs=Inputs(x, (texts,)),
        labels=labels,
        numeric=("a", "b", "c"),
        categorical=("d",),
        task=task,
        classes=("low", "mid", "high", "never") if task == "multiclass" else (),
        loss=loss,
        params=FEW.get(kind, {}),
        seed=2**62 + 11,
    )


def trained(kind: str, job: TrainingJob) -> FittedModel:
    (found,) = make_plugin(kind).fit([job], lambda _: None)
    return found


def artifact_of(kind: str, job: TrainingJob, model: FittedModel) -> ModelArtifact:
    form = make_plugin(kind).format
    content = FORMATS[form].dump(model.model)
    return ModelArtifact(
        kind=kind,
        task=job.task,
        stream="s",
        version="v1",
        request_id="r" * 16,
        encoding=model.encoding or Encoding.names_only(job.numeric, job.categorical),
        weights={},
        classes=job.classes,
        payload=Payload(kind, form, content, model.facts),
    )


@pytest.mark.parametrize(("kind", "task", "loss"), CASES)
def test_a_stored_model_predicts_bit_for_bit_as_right_after_its_fit(
    kind: str, task: str, loss: str, tmp_path: Path
) -> None:
    job = job_of(kind, task, loss)
    model = trained(kind, job)
    fresh = np.asarray(make_plugin(kind).predict(model, job.inputs))
    store = ModelStore(StoreSettings(uri=str(tmp_path)))
    saved = artifact_of(kind, job, model)
    again = store.load(*store.save("s", "v1", saved))
    assert (again.format, again.file) == (saved.format, saved.file)
    found = predict(again, job.inputs.x, job.inputs.categories)
    assert found.tobytes() == fresh.tobytes()
    assert np.isfinite(found).all()
    if task == "regression":
        spread = np.abs(job.labels - np.median(job.labels)).mean()
        assert np.abs(found - job.labels).mean() < 0.5 * spread
    if task == "multiclass":
        assert found.shape == (len(job.labels), 4)
        assert np.allclose(found.sum(axis=1), 1.0, atol=1e-6)
        assert (found[:, 3] < 0.1).all()  # never seen
        assert (found.argmax(axis=1) == job.labels).mean() > 0.8
    if task == "binary":
        assert ((found > 0.5) == job.labels).mean() > 0.85


@pytest.mark.parametrize("kind", SHIPPED_KINDS)
def test_a_record_is_predicted_the_same_alone_and_among_others(kind: str) -> None:
    job = job_of(kind, max(make_plugin(kind).tasks), "squared")
    artifact = artifact_of(kind, job, trained(kind, job))
    x, (texts,) = job.inputs.x, job.inputs.categories
    whole = predict(artifact, x, [texts])
    alone = [predict(artifact, x[i : i + 1], [texts[i : i + 1]])[0] for i in range(20)]
    assert np.array_equal(whole[:20], alone)
    assert len(predict(artifact, x[:0], [[]])) == 0
    assert np.isfinite(predict(artifact, x[:2], [["green", None]])).all()


@pytest.mark.parametrize("kind", SHIPPED_KINDS)
def test_the_same_job_gives_the_same_bytes(kind: str) -> None:
    job = job_of(kind, max(make_plugin(kind).tasks), "squared", 120)
    one, two = (dump(artifact_of(kind, job, trained(kind, job))) for _ in "12")
    assert one == two


@pytest.mark.parametrize("kind", SHIPPED_KINDS)
@pytest.mark.parametrize("spoilt", ["all nan", "constant", "ten records"])
def test_odd_features_are_borne(kind: str, spoilt: str) -> None:
    job = job_of(kind, max(make_plugin(kind).tasks), "squared", 10)
    x = np.array(job.inputs.x)
    if spoilt != "ten records":
        x[:, 1] = np.nan if spoilt == "all nan" else 7.0
    job = dataclasses.replace(job, inputs=Inputs(x, job.inputs.categories))
    artifact = artifact_of(kind, job, trained(kind, job))
    assert np.isfinite(predict(artifact, x, job.inputs.categories)).all()


def test_ridge_is_the_closed_form() -> None:
    job = job_of("sklearn_ridge")
    model = trained("sklearn_ridge", job)
    z = job.encoding().encode(job.inputs.x, job.inputs.categories)
    scaled = (job.labels - job.labels.mean()) / job.labels.std()
    centred = z - z.mean(axis=0)
    slope = np.linalg.solve(centred.T @ centred + np.eye(z.shape[1]), centred.T @ scaled)
    assert np.allclose(model.model.coef_, slope * job.labels.std(), rtol=1e-8)


@pytest.mark.parametrize("kind", ["sklearn_ridge", "sklearn_lasso"])
def test_alpha_means_the_same_in_any_unit_of_the_label(kind: str) -> None:
    job = job_of(kind)
    small = dataclasses.replace(job, labels=job.labels / 1e6)
    plugin = make_plugin(kind)
    one, two = (np.asarray(plugin.predict(trained(kind, j), j.inputs)) for j in (job, small))
    assert np.allclose(one, two * 1e6, rtol=1e-9)


@pytest.mark.parametrize("kind", SHIPPED_KINDS)
def test_it_describes_itself_as_json(kind: str) -> None:
    job = job_of(kind, max(make_plugin(kind).tasks), "squared")
    artifact = artifact_of(kind, job, trained(kind, job))
    told = artifact.describe()
    assert told["params"] == dict(job.params)
    assert any(key in told for key in ("coefficients", "trees", "iterations", "rounds"))


def test_skops_makes_no_type_that_is_not_on_the_list() -> None:
    """Neither one that skops would trust by itself, nor one of another package."""
    from sklearn.neighbors import KNeighborsRegressor  # noqa: PLC0415  # its import takes a while

    other = KNeighborsRegressor().fit(np.arange(10.0)[:, None], np.arange(10.0))
    content = FORMATS["skops"].dump(other)
    assert skops_types(content) - TRUSTED
    payload = Payload("sklearn_ridge", "skops", content, {})
    with pytest.raises(ArtifactCorruptedError, match=r"trusted types.*KNeighborsRegressor"):
        payload.open(Encoding.names_only(["a"], []), "regression", ())


@pytest.mark.parametrize(
    ("kind", "form"), [("sklearn_ridge", "skops"), ("xgboost", "ubj"), ("xgboost", "onnx")]
)
def test_bytes_that_are_no_model_are_refused_by_name(kind: str, form: str) -> None:
    payload = Payload(kind, form, b"\x80\x04no model", {})
    with pytest.raises(ArtifactCorruptedError, match=rf"{payload.file} cannot be read"):
        payload.open(Encoding.names_only(["a"], []), "regression", ())


def test_a_changed_payload_is_refused() -> None:
    job = job_of("sklearn_ridge")
    manifest, content = dump(artifact_of("sklearn_ridge", job, trained("sklearn_ridge", job)))
    flipped = bytes([content[0] ^ 1]) + content[1:]
    with pytest.raises(ArtifactCorruptedError, match="must have the sha256"):
        build(parse_manifest(manifest, "place"), flipped, "place")
    assert sha256(content) in manifest.decode()


def test_a_model_whose_kind_is_not_installed_is_told_by_name() -> None:
    payload = Payload("zzz", "safetensors", b"", {})
    artifact: Any = dataclasses.replace(
        artifact_of("sklearn_ridge", job := job_of("sklearn_ridge"), trained("sklearn_ridge", job)),
        kind="zzz",
        payload=payload,
    )
    with pytest.raises(PluginError, match="'zzz' cannot be used here"):
        predict(artifact, job.inputs.x, job.inputs.categories)
