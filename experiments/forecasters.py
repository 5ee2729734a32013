"""Forecasters on simulated seasonal series: which kind, and from which level?

``python -m experiments.forecasters [--quick]`` trains each kind of model on 2,000 hourly values of
24 series at once and judges it on the next 1,000. A value has a daily profile that is lower at
weekends, a level, and an AR(1) noise e(t) = φ e(t-1) + N(0, 1): no forecast has a mean squared
error below 1. Models see the newest `LAGS` values, the hour and the day of the week.

A forecast may be made from levels as they are, or as the difference to the newest lag or to the
mean of the lags, which is taken from all lags and added to the prediction.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from driftloop.models import Encoding, ModelArtifact, predict
from driftloop.settings import Profile
from driftloop.trainer.dataset import spec_of
from driftloop.trainer.job import Job
from driftloop.trainer.train import fit
from experiments._report import RESULTS, run_cells, table, write

Array = npt.NDArray[np.float64]

SEED = 30
LAGS = 24
HOUR_MS = 3_600_000.0
CALENDAR = ("hour-of-day", "day-of-week")
KINDS = {
    "linear": "linear",
    "MLP": "mlp_regressor",
    "TCN": "forecaster_tcn",
}
LEVELS = ("none", "newest", "mean")


@dataclass(frozen=True)
class Setting:
    """A law of series.

    Attributes:
        name: In the tables.
        phi: Coefficient of the noise, in [0, 1).
        walk: Standard deviation of the level's hourly step.
        shift: What is added to every value after the training.
    """

    name: str
    phi: float
    walk: float = 0.0
    shift: float = 0.0


SETTINGS = (
    Setting("AR .7", 0.7),
    Setting("white noise", 0.0),
    Setting("level walks", 0.7, walk=0.3),
    Setting("AR .7, level moves by 15", 0.7, shift=15.0),
)


@dataclass(frozen=True)
class Series:
    """Records of one series, hour by hour.

    Attributes:
        x: (records, lags) the values before each, oldest first.
        y: (records,) values.
        ts: (records,) event times, ms.
    """

    x: Array
    y: Array
    ts: Array

    def part(self, first: int, last: int) -> Series:
        """The records in [first, last)."""
        return Series(self.x[first:last], self.y[first:last], self.ts[first:last])


def series(setting: Setting, seed: int, records: int, lags: int = LAGS, train: int = 0) -> Series:
    """Simulate a series, whose level moves after `train` records."""
    rng = np.random.default_rng(seed)
    hours = np.arange(records + lags)
    noise = rng.standard_normal(len(hours))
    for i in range(1, len(hours)):
        noise[i] += setting.phi * noise[i - 1]
    level = 50.0 + np.cumsum(setting.walk * rng.standard_normal(len(hours)))
    daily = np.sin(2 * np.pi * hours / 24) + 0.5 * np.sin(4 * np.pi * hours / 24 + 1.0)
    weekend = hours // 24 % 7 >= 5
    values = level + 10.0 * np.where(weekend, 0.4, 1.0) * daily + noise
    values += setting.shift * (hours >= lags + train)
    windows = np.lib.stride_tricks.sliding_window_view(values, lags + 1)  # (records, lags + 1)
    monday = 4 * 24 * HOUR_MS  # 5 January 1970
    return Series(windows[:, :lags], values[lags:], monday + hours[lags:] * HOUR_MS)


def names(lags: int) -> list[str]:
    """Of the lags, oldest first."""
    return [f"lag_{lag}" for lag in range(lags, 0, -1)]


def _levels(x: Array, level: str) -> Array:
    if level == "none":
        return np.zeros(len(x))
    return x[:, -1] if level == "newest" else x.mean(axis=1)


def _job(kind: str, level: str, own: Series, seed: int) -> tuple[Encoding, Job]:
    lags = names(own.x.shape[1])
    profile = Profile.model_validate(
        {
            "loss": "squared",
            "features": {"numeric": lags, "sequence": lags, "calendar": CALENDAR},
            "model": {"kind": kind},
        }
    )
    levels = _levels(own.x, level)
    x = own.x - levels[:, None]
    encoding = Encoding.fit(
        x,
        [],
        numeric=lags,
        categorical=[],
        max_categories=2,
        sequence=lags,
        calendar=CALENDAR,
    )
    inputs = encoding.encode(x, [], own.ts)
    return encoding, Job(spec_of(profile), inputs, own.y - levels, seed)


def errors(kind: str, level: str, train: Sequence[Series], test: Sequence[Series]) -> Array:
    """Mean squared error of each series' model on its test records, (series,)."""
    made = [_job(kind, level, own, seed) for seed, own in enumerate(train)]
    found = fit([job for _, job in made], torch.device("cpu"))
    out = []
    for (encoding, _), fitted, own in zip(made, found, test, strict=True):
        artifact = ModelArtifact(
            kind=kind,
            task="regression",
            stream="s",
            version="v1",
            request_id="r",
            encoding=encoding,
            weights=fitted.weights,
            target=fitted.target,
        )
        levels = _levels(own.x, level)
        predicted = predict(artifact, own.x - levels[:, None], ts=own.ts) + levels
        out.append(np.mean((predicted - own.y) ** 2))
    return np.array(out)


def measure(setting: Setting, count: int, train: int, test: int) -> dict[str, list[float]]:
    """Errors of all models on `count` series: by model and level, one value a series."""
    made = [series(setting, SEED + i, train + test, train=train) for i in range(count)]
    fitted = [one.part(0, train) for one in made]
    held = [one.part(train, train + test) for one in made]
    found = {
        "a day before": [float(np.mean((one.x[:, 0] - one.y) ** 2)) for one in held],
        "last value": [float(np.mean((one.x[:, -1] - one.y) ** 2)) for one in held],
    }
    for name, kind in KINDS.items():
        for level in LEVELS:
            found[f"{name}, {level}"] = errors(kind, level, fitted, held).tolist()
    return found


def _rows(setting: Setting, found: dict[str, list[float]]) -> list[list[str]]:
    def cell(key: str) -> str:
        values = np.array(found[key])
        return f"{values.mean():.3f} ± {values.std() / np.sqrt(len(values)):.3f}"

    rows = [[setting.name, name, *(cell(f"{name}, {level}") for level in LEVELS)] for name in KINDS]
    return [*rows, *([setting.name, name, cell(name), "", ""] for name in list(found)[:2])]


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run it and write the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="two short series a setting")
    options.add_argument("--jobs", type=int, default=1, help="processes beside each other")
    options.add_argument("--out", type=Path, default=RESULTS, help="folder of the result files")
    chosen = options.parse_args(arguments)
    began = time.perf_counter()
    count, train, test = (2, 300, 200) if chosen.quick else (24, 2000, 1000)
    cells = [{"setting": one, "count": count, "train": train, "test": test} for one in SETTINGS]
    found = run_cells(measure, cells, jobs=chosen.jobs, what="series")
    rows = [
        row for one, errors_ in zip(SETTINGS, found, strict=True) for row in _rows(one, errors_)
    ]
    head = ["series", "model", "values as they are", "less the newest lag", "less the lags' mean"]
    body = (
        f"Mean squared error on the {test} records after the training, over {count} series, ± its "
        f"standard error; the least possible is 1.\n\n{table(head, rows)}"
    )
    figures = {one.name: errors_ for one, errors_ in zip(SETTINGS, found, strict=True)}
    title = "Forecasters on simulated seasonal series"
    return write("forecasters", title, body, figures, seed=SEED, began=began, folder=chosen.out)


if __name__ == "__main__":
    print(main())
