"""Streams to try policies on: real ones, generated ones, and controls that have nothing to gain."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from experiments._losses import ar1

Array = npt.NDArray[np.float64]

FOLDER = Path(os.environ.get("DRIFTLOOP_DATA", "data"))
"""Where the real sets are: `DRIFTLOOP_DATA`, or ``data`` in the working directory."""

ROUTES = 8


@dataclass(frozen=True)
class Stream:
    """A stream of labelled records.

    Attributes:
        name: Its own.
        group: The set it belongs to; a set's figure is the mean over its streams.
        task: Of the champion and its correction; losses are log loss and absolute error.
        x: Features, (n, d).
        y: Labels, (n,).
        window: Records between two decisions.
        train: Records that a champion is trained on.
        season: Terms of its seasons, (n, s), that no champion is given; s = 0 where it has none.
        control: Whether no retrain can be of use.
    """

    name: str
    group: str
    task: Literal["regression", "binary"]
    x: Array
    y: Array
    window: int
    train: int
    season: Array
    control: bool = False


def real(seed: int) -> tuple[list[Stream], list[str]]:
    """All sets that are there, and why the others are not."""
    readers: dict[str, Callable[[], Iterable[Stream]]] = {
        "elec2": _elec2,
        "noaa": _noaa,
        "sea": _sea,
        "interchanging_rbf": _rbf,
        "bike_sharing": _bikes,
        "ett": _ett,
        "census": lambda: _census(seed),
        "flights": _flights,
    }
    found: list[Stream] = []
    skipped = []
    for name, read in readers.items():
        try:
            found += read()
        except (OSError, ImportError, KeyError) as error:
            skipped.append(f"{name}: {type(error).__name__}")
    return found, skipped


def shuffled(streams: Iterable[Stream], seed: int) -> list[Stream]:
    """The same records in no order: controls."""
    out = []
    for index, one in enumerate(streams):
        order = np.random.default_rng([seed, index]).permutation(len(one.y))
        name, group = f"{one.name} shuffled", f"{one.group} shuffled"
        x, y, season = one.x[order], one.y[order], one.season[order]
        out.append(replace(one, name=name, group=group, x=x, y=y, season=season, control=True))
    return out


def _binary(name: str, x: Array, y: Array, window: int, train: int) -> Stream:
    empty = np.empty((len(y), 0))
    return Stream(name, name, "binary", x, y.astype(np.float64), window, train, empty)


def _text(path: str, delimiter: str | None = ",", skip: int = 0) -> Array:
    return np.loadtxt(FOLDER / path, delimiter=delimiter, skiprows=skip)


def _elec2() -> list[Stream]:
    table = _text("elec2/electricity_capymoa.csv", skip=1)
    one = _binary("elec2", table[:, :-1], table[:, -1], 336, 4 * 336)
    return [replace(one, season=_waves(np.arange(len(table)), (48, 336)))]


def _noaa() -> list[Stream]:
    x, y = _text("noaa_weather/NEweather_data.csv"), _text("noaa_weather/NEweather_class.csv")
    one = _binary("noaa", x, y.ravel(), 90, 730)
    return [replace(one, season=_waves(np.arange(len(y)), (365.25,)))]


def _sea() -> list[Stream]:
    x, y = _text("sea/SEA_training_data.csv"), _text("sea/SEA_training_class.csv")
    return [_binary("sea", x, y.ravel(), 250, 2000)]


def _rbf() -> list[Stream]:
    x = _text("interchanging_rbf/interchangingRBF.data", None)[:60_000]
    y = _text("interchanging_rbf/interchangingRBF.labels", None)[:60_000]
    return [_binary("interchanging_rbf", x, y.ravel() % 2, 250, 1500)]


def _bikes() -> list[Stream]:
    with zipfile.ZipFile(FOLDER / "bike_sharing" / "bike_sharing_dataset.zip") as archive:
        lines = io.StringIO(archive.read("hour.csv").decode())
    table = np.loadtxt(
        lines, delimiter=",", skiprows=1, usecols=(5, 6, 7, 8, 9, 10, 11, 12, 13, 16)
    )
    hour, y = table[:, 0], table[:, -1]
    x = np.hstack([_waves(hour, (24, 12, 8)), table[:, 1:-1]])
    season = _waves(np.arange(len(y)), (168, 24 * 365.25))
    return [Stream("bike_sharing", "bike_sharing", "regression", x, y, 168, 8 * 168, season)]


def _ett() -> list[Stream]:
    out = []
    for name in ("ETTh1", "ETTh2"):
        table = np.loadtxt(
            FOLDER / "ett" / f"{name}.csv", delimiter=",", skiprows=1, usecols=range(1, 8)
        )
        season = _waves(np.arange(len(table)), (24, 168))
        x, y = table[:, :-1], table[:, -1]
        out.append(Stream(name, "ett", "regression", x, y, 168, 8 * 168, season))
    return out


def _census(seed: int) -> list[Stream]:
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415  # only here

    folder = FOLDER / "census"
    first = pd.read_parquet(folder / "employment_MA_reference.pq")
    later = pd.read_parquet(folder / "employment_MA_analysis.pq")
    later = later.merge(pd.read_parquet(folder / "employment_MA_analysis_target.pq"), on="id")
    table = pd.concat([first, later])
    dropped = ["id", "employed", "year", "prediction", "predicted_probability"]
    x = table.drop(columns=dropped).to_numpy(np.float64)
    kept = np.sort(np.random.default_rng(seed).choice(len(x), 40_000, replace=False))
    y = table["employed"].to_numpy(np.float64)
    one = _binary("census", np.nan_to_num(x[kept]), y[kept], 500, 4000)
    return [replace(one, control=True)]


def _flights() -> list[Stream]:
    from driftloop.demo.flights import load_flights  # noqa: PLC0415  # the package may be absent

    flights = load_flights()
    counts = np.bincount(flights.route)
    out = []
    for route in np.argsort(-counts, kind="stable")[:ROUTES]:
        own = flights.route == route
        origins = flights.origin[own, None] == np.array(["EWR", "JFK"])
        x = np.hstack([flights.numeric[own], origins.astype(np.float64)])
        name = f"flights {flights.routes[route]}"
        y = flights.air_time[own]
        season = np.empty((len(y), 0))
        out.append(Stream(name, "flights", "regression", x, y, 300, 1200, season))
    return out


# Generated


def generated(seed: int, n: int = 24_000) -> list[Stream]:
    """Streams whose drift is known, and controls of which none drifts."""
    rng = np.random.default_rng(seed)
    return [
        *(_concept(kind, rng, n) for kind in ("sudden", "gradual", "region")),
        _level(rng, n),
        _seasonal(rng, n),
        _still("no drift, normal", rng.standard_normal((n, 4)), rng.standard_normal(n)),
        _still("no drift, t3", rng.standard_normal((n, 4)), rng.standard_t(3, n)),
        _still("no drift, φ = .6", rng.standard_normal((n, 4)), ar1(rng, n, 0.6)),
        _still("no drift, φ = .9", rng.standard_normal((n, 4)), ar1(rng, n, 0.9)),
    ]


def _concept(kind: str, rng: np.random.Generator, n: int) -> Stream:
    x = rng.standard_normal((n, 5))
    if kind == "region":  # labels of one region, whose place changes, are flipped
        centres = 1.5 * rng.standard_normal((n // 4000, 5))[np.arange(n) * (n // 4000) // n]
        logit = 2.0 * x[:, 0] + x[:, 1]
        inside = ((x - centres)[:, :2] ** 2).sum(axis=1) < 2.0
        logit = np.where(inside, -logit, logit)
    else:
        turns = np.arange(n) / 4000.0
        angle = 1.2 * (np.floor(turns) if kind == "sudden" else turns)
        logit = 2.0 * (np.cos(angle) * x[:, 0] + np.sin(angle) * x[:, 1])
    y = rng.random(n) < 1.0 / (1.0 + np.exp(-logit))
    return _binary(f"concept, {kind}", x, y.astype(np.float64), 250, 1500)


def _level(rng: np.random.Generator, n: int) -> Stream:
    x = rng.standard_normal((n, 4))
    level = np.repeat(rng.standard_normal(n // 4000), 4000) * 1.5
    y = x @ np.array([1.0, -1.0, 0.5, 0.0]) + level + rng.standard_t(2.2, n)
    season = np.empty((n, 0))
    return Stream("levels, t2.2", "levels, t2.2", "regression", x, y, 250, 1500, season)


def _seasonal(rng: np.random.Generator, n: int) -> Stream:
    """A week's season that the champion is not told, which also slowly grows."""
    x, t = rng.standard_normal((n, 4)), np.arange(n)
    season = _waves(t, (24, 168))
    weights = rng.standard_normal(season.shape[1])
    y = x[:, 0] + (1.0 + t / n) * (season @ weights) + ar1(rng, n, 0.3)
    return Stream("two seasons", "two seasons", "regression", x, y, 168, 8 * 168, season)


def _still(name: str, x: Array, noise: Array) -> Stream:
    y = x @ np.array([1.0, -1.0, 0.5, 0.0]) + noise
    season = np.empty((len(y), 0))
    return Stream(name, name, "regression", x, y, 250, 1500, season, control=True)


def _waves(t: npt.ArrayLike, periods: Iterable[float]) -> Array:
    """Sine and cosine of each period, (n, 2 · periods)."""
    angles = [2.0 * np.pi * np.asarray(t, np.float64) / period for period in periods]
    return np.column_stack([wave for angle in angles for wave in (np.sin(angle), np.cos(angle))])
