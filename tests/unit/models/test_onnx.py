"""ONNX files of the built-in kinds: ONNX Runtime predicts as NumPy does, from raw features."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from driftloop.errors import DriftloopError
from driftloop.models import Encoding, ModelArtifact, predict
from driftloop.models.onnx import export
from driftloop.trainer.train import fit
from tests.unit.trainer.jobs import CPU, SPECS, make_job

CASES = [name for name in SPECS if name != "tcn"]  # convolutions have no graph here
TEXTS: list[str | None] = ["red", "blue", "grey", "red", None, "new", "blue", "green"]


def artifact_of(
    case: str, texts: tuple[str, ...] = ("colour", "size"), second: tuple[str, ...] = ("big", "red")
) -> ModelArtifact:
    """A model trained by the trainer on four columns that an encoding of two numbers makes."""
    spec = SPECS[case]
    vocabulary = (("blue", "red"), second)[: len(texts)]
    width = 2 + sum(len(known) + 1 for known in vocabulary)
    (fitted,) = fit([make_job(4, spec, 200, width)], CPU)
    encoding = Encoding(
        ("a", "b"), texts, np.array([5.0, -1e6]), np.array([2.0, 300.0]), vocabulary
    )
    return ModelArtifact(
        kind=spec.kind,
        task=spec.task,
        stream="s",
        version="v1",
        request_id="r",
        encoding=encoding,
        weights=fitted.weights,
        classes=("x", "y", "z") if spec.task == "multiclass" else (),
        target=fitted.target,
    )


def run(content: bytes, x: np.ndarray, texts: list[list[str | None]]) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    given: dict[str, np.ndarray] = {"numeric": x}
    if texts:
        rows = [[value or "" for value in row] for row in zip(*texts, strict=True)]
        given["categorical"] = np.array(rows, dtype=object)
    (found,) = session.run(["prediction"], given)
    return np.asarray(found)


@pytest.fixture
def x() -> np.ndarray:
    values = np.random.default_rng(2).standard_normal((8, 2)) * [3.0, 500.0] + [5.0, -1e6]
    values[1, 0], values[2, 1], values[3, 0] = np.nan, np.inf, -np.inf
    return values


@pytest.mark.parametrize("case", CASES)
def test_onnx_runtime_predicts_the_same(case: str, x: np.ndarray) -> None:
    """Missing, infinite, unknown and absent values too."""
    artifact = artifact_of(case)
    texts = [TEXTS, TEXTS[::-1]]
    expected = predict(artifact, x, texts)
    found = run(export(artifact), x, texts)
    assert np.isfinite(expected).all()
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_category_that_is_empty_reads_as_absent_is_written(x: np.ndarray) -> None:
    """An absent text is "" there: where "" is a category, the two are one."""
    artifact = artifact_of("linear", second=("", "big"))
    absent, empty = [["red"] * 8, [None] * 8], [["red"] * 8, [""] * 8]
    found = run(export(artifact), x, absent)
    assert np.allclose(found, predict(artifact, x, empty), rtol=1e-5)
    assert not np.allclose(found, predict(artifact, x, absent), rtol=1e-5)


def test_numbers_alone_need_no_texts(x: np.ndarray) -> None:
    artifact = artifact_of("regressor", ())
    assert np.allclose(run(export(artifact), x, []), predict(artifact, x, ()), rtol=1e-5)


def test_one_record_and_none_are_taken(x: np.ndarray) -> None:
    artifact = artifact_of("classes", ())
    content = export(artifact)
    assert np.allclose(run(content, x[:1], []), predict(artifact, x[:1], ()), atol=1e-5)
    assert run(content, x[:0], []).shape == (0, 3)


def test_the_file_tells_what_it_is_and_is_the_same_each_time() -> None:
    content = export(artifact_of("classes"))
    assert content == export(artifact_of("classes"))
    facts = {one.key: one.value for one in onnx.load_from_string(content).metadata_props}
    assert (facts["kind"], facts["version"]) == ("mlp_classifier", "v1")
    assert json.loads(facts["numeric"]) == ["a", "b"]
    assert json.loads(facts["classes"]) == ["x", "y", "z"]


def test_other_kinds_and_a_missing_package_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = artifact_of("linear")
    with pytest.raises(DriftloopError, match="got 'xgboost': export its own format"):
        export(dataclasses.replace(artifact, kind="xgboost"))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DriftloopError, match=r"pip install 'driftloop\[onnx\]'"):
        export(artifact)
