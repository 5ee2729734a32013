"""Warm start against cold start: loss after so many epochs, where a stream has drifted so far."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from benchmarks.training_cases import MLP, WIDTH, Array
from driftloop.models import Encoding, ModelArtifact, predict
from driftloop.trainer.job import Fitted, Job
from driftloop.trainer.train import device_of, fit
from driftloop.trainer.warm import begin

EPOCHS = (2, 5, 10, 30, 200)
DRIFTS = {"none": 0.0, "small": 0.2, "large": 1.0}
RECORDS = (300, 2000)
SPEC = dataclasses.replace(MLP, epochs=200, patience=20, l2=1.0)


def _records(number: int, count: int, seed: int, drift: float) -> tuple[Array, Array]:
    """A bent plane that drifts: slopes, level, and mean and scale of the features."""
    truth, draws = np.random.default_rng(number), np.random.default_rng([number, seed])
    slope, other = truth.standard_normal((2, WIDTH))
    x = draws.standard_normal((count, WIDTH)) * (1.0 + 0.2 * drift) + 0.5 * drift
    y = x @ (slope + drift * other) + 2.0 * np.sin(2.0 * x[:, 0]) + 3.0 * drift
    return x, y + 0.1 * draws.standard_normal(count)


def _job(number: int, count: int, seed: int, drift: float) -> tuple[Job, Encoding]:
    x, y = _records(number, count, seed, drift)
    names = [f"x{i}" for i in range(WIDTH)]
    encoding = Encoding.fit(x, [], numeric=names, categorical=[], max_categories=2)
    return Job(SPEC, encoding.encode(x, []), y, number), encoding


def _artifact(encoding: Encoding, fitted: Fitted) -> ModelArtifact:
    return ModelArtifact(
        kind=SPEC.kind,
        task=SPEC.task,
        stream="s",
        version="v1",
        request_id="r",
        encoding=encoding,
        weights=fitted.weights,
        target=fitted.target,
    )


def measure(models: int) -> list[dict[str, Any]]:
    """Mean squared error on fresh records of warm and cold starts, for each drift and epochs."""
    device = device_of("cpu")
    first = [_job(number, 2000, 1, 0.0) for number in range(models)]
    fitted = fit([job for job, _ in first], device)
    champions = [_artifact(one[1], found) for one, found in zip(first, fitted, strict=True)]
    rows = []
    for name, drift in DRIFTS.items():
        for count in RECORDS:
            made = [_job(number, count, 2, drift) for number in range(models)]
            cold = [job for job, _ in made]
            warm = [
                begin(job, champion, encoding)
                for (job, encoding), champion in zip(made, champions, strict=True)
            ]
            encodings = [encoding for _, encoding in made]
            row: dict[str, Any] = {
                "models": models,
                "drift": name,
                "records": count,
                "cold": {},
                "warm": {},
            }
            row["champion"] = float(
                np.mean([_loss(one, drift, i) for i, one in enumerate(champions)])
            )
            for epochs in EPOCHS:
                spec = dataclasses.replace(SPEC, epochs=epochs)
                for start, jobs in (("cold", cold), ("warm", warm)):
                    found = fit([dataclasses.replace(job, spec=spec) for job in jobs], device)
                    losses = [
                        _loss(_artifact(encoding, one), drift, number)
                        for number, (encoding, one) in enumerate(zip(encodings, found, strict=True))
                    ]
                    row[start][str(epochs)] = float(np.mean(losses))
            rows.append(row)
    return rows


def _loss(artifact: ModelArtifact, drift: float, number: int) -> float:
    x, y = _records(number, 1000, 3, drift)
    return float(np.square(predict(artifact, x) - y).mean())


_TEXT = (
    "Mean squared error on fresh records, cold / warm, of {models} streams whose champion was "
    "trained on 2,000 records before a drift, and which are retrained on so many after it; at most "
    "so many epochs, patience 20. `training.warm_start` is off by default."
)


def render(rows: list[dict[str, Any]]) -> list[str]:
    """A table: cold / warm after each number of epochs."""
    head = " | ".join(f"{epochs} epochs" for epochs in EPOCHS)
    lines = [
        "## Warm start",
        "",
        _TEXT.format(models=rows[0]["models"]),
        "",
        f"| drift | records | champion as it is | {head} |",
        "|---|---|---|" + "---|" * len(EPOCHS),
    ]
    for row in rows:
        cells = " | ".join(
            f"{row['cold'][str(epochs)]:.3f} / {row['warm'][str(epochs)]:.3f}" for epochs in EPOCHS
        )
        lines.append(f"| {row['drift']} | {row['records']:,} | {row['champion']:.3f} | {cells} |")
    return lines
