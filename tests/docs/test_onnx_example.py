"""docs/model-store.md: its example of ONNX Runtime predicts what the scorer does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from driftloop.models import Encoding, ModelArtifact, predict
from driftloop.models.onnx import export
from driftloop.settings import Profile
from driftloop.trainer.dataset import spec_of
from driftloop.trainer.job import Job
from driftloop.trainer.train import fit
from tests.unit.trainer.jobs import CPU

DOCS = Path(__file__).parents[2] / "docs"


def block(page: str, language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    return str(found)


def forecaster() -> ModelArtifact:
    """A model of the profile of docs/forecasts.md."""
    profile = Profile(**tomllib.loads(block("forecasts.md", "toml"))["profiles"]["load"])
    features = profile.features
    generator = np.random.default_rng(5)
    x = 65.0 + 4.0 * generator.standard_normal((80, len(features.numeric)))
    ts = 1_767_614_400_000 + 3_600_000.0 * np.arange(80)
    encoding = Encoding.fit(
        x,
        [],
        numeric=features.numeric,
        categorical=[],
        max_categories=2,
        sequence=features.sequence,
        calendar=features.calendar,
        anchored=True,
    )
    labels = 66.0 + generator.standard_normal(80) - encoding.levels(x)
    job = Job(spec=spec_of(profile), inputs=encoding.encode(x, [], ts), labels=labels, seed=1)
    (fitted,) = fit([job], CPU)
    return ModelArtifact(
        kind=profile.model.kind,
        task=profile.task,
        stream="load.a",
        version="v3",
        request_id="r",
        encoding=encoding,
        weights=fitted.weights,
        target=fitted.target,
    )


def test_the_example_predicts_a_record_that_lacks_a_lag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = forecaster()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "load.onnx").write_bytes(export(artifact))
    known: dict[str, object] = {}
    exec(block("model-store.md", "python"), known)  # noqa: S102  # our own page
    record = json.loads(block("forecasts.md", "json"))
    assert known["given"]["time"].tolist() == [record["ts"]]  # type: ignore[index]
    record["x"]["lag_3"] = np.nan
    row = [record["x"][name] for name in artifact.encoding.numeric]
    (expected,) = predict(artifact, [row], (), [record["ts"]])
    assert np.allclose(known["prediction"], [expected], rtol=1e-5)  # type: ignore[arg-type]
    assert capsys.readouterr().out == f"load.a v3: {expected:.1f}\n"
