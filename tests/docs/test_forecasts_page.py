"""The page on forecasts: its profile loads, its record is read and forecast, its figures are so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from driftloop.models import ModelArtifact, predict
from driftloop.records import RecordDecoder
from driftloop.settings import load_settings
from driftloop.settings.profile import FORECASTERS

pytest.importorskip("torch")

from driftloop.trainer.dataset import job_of
from driftloop.trainer.train import fit
from tests.unit.trainer.jobs import CPU

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "forecasts.md").read_text(encoding="utf-8")


def _block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_its_profile_trains_a_model_that_forecasts_its_record(tmp_path: Path) -> None:
    file = tmp_path / "driftloop.toml"
    file.write_text(_block("toml"), encoding="utf-8")
    profile = load_settings(file).profiles["load"]
    record = json.loads(_block("json"))
    rng = np.random.default_rng(1)
    values = [
        json.dumps(
            {**record, "x": {key: value + rng.normal() for key, value in record["x"].items()}}
        ).encode()
        for _ in range(40)
    ]
    stamps = [record["ts"]] * 40
    columns, letters = RecordDecoder(profile).decode("load.a", 0, values, range(40), stamps)
    assert not letters
    encoding, job = job_of(profile, columns, seed=1)
    (fitted,) = fit([job], CPU)
    artifact = ModelArtifact(
        kind=profile.model.kind,
        task=profile.task,
        stream="load.a",
        version="v1",
        request_id="r",
        encoding=encoding,
        weights=fitted.weights,
        target=fitted.target,
    )
    got = predict(artifact, columns.x, columns.categories, columns.feature_times)
    assert np.abs(got - record["y"]).mean() < 2.0


def test_it_tells_of_every_forecaster() -> None:
    rows = re.findall(r"^\| `(forecaster_\w+)` \|", PAGE, re.MULTILINE)
    assert tuple(rows) == FORECASTERS


def test_its_figures_are_those_of_the_experiment() -> None:
    result = ROOT / "experiments" / "results" / "forecasters.json"
    figures = json.loads(result.read_text(encoding="utf-8"))["figures"]

    def error(series: str, model: str) -> float:
        return float(np.mean(figures[series][model]))

    at_rest, moved, white = "AR .7", "AR .7, level moves by 15", "white noise"
    kinds = ("linear", "MLP", "TCN")
    told = [f"{error(at_rest, f'{kind}, newest'):.2f}" for kind in kinds]
    assert f"{told[0]} (linear), {told[1]} (MLP) and {told[2]} (TCN)" in PAGE
    assert f"the day before is {error(at_rest, 'a day before'):.1f}." in PAGE
    told = [f"{error(moved, f'{kind}, newest'):.1f}" for kind in kinds]
    assert f"{told[0]}, {told[1]} and {told[2]}, that move included" in PAGE
    plain = [error(moved, f"{kind}, none") for kind in kinds]
    assert f"{min(plain):.0f} to {max(plain):.0f} for models of plain levels" in PAGE
    ratios = [
        error(white, f"{kind}, newest") / error(white, f"{kind}, none")
        for kind in ("MLP", "linear")
    ]
    told = [f"{100.0 * (ratio - 1.0):.0f} %" for ratio in ratios]
    assert f"better by {told[0]}, a linear model by {told[1]}" in PAGE
