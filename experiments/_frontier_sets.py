"""The eight sets of the frontier."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from driftloop.demo.flights import CATEGORICAL, load_flights
from experiments._data import (
    DAY_MS,
    HOUR_MS,
    DataSet,
    Floats,
    Table,
    by_count,
    found,
    profile_of,
    steps,
)


def _csv(path: Path, *, header: bool = True) -> pa.Table:
    options = pyarrow.csv.ReadOptions(autogenerate_column_names=not header)
    return pyarrow.csv.read_csv(path, read_options=options)


def _matrix(table: pa.Table, names: Sequence[str] | None = None) -> Floats:
    chosen = table.select(list(names)) if names is not None else table
    columns = [column.to_numpy().astype(np.float64) for column in chosen.columns]
    matrix: Floats = np.column_stack(columns)
    return matrix


def flights(data: Path | None, *, routes: int = 12) -> DataSet:
    """Minutes in the air; weekly windows, models of the last 28 days."""
    del data  # from a package
    whole = load_flights()
    chosen = whole.routes[:: max(1, len(whole.routes) // routes)][:routes]
    part = whole.choose(chosen, int(whole.departed.min()), int(whole.departed.max()) + 1)
    tables = {}
    for code, name in enumerate(chosen):
        rows = np.flatnonzero(part.route == code)
        x = part.numeric[rows].copy()
        x[:, 2] = x[:, 2].clip(-20, 120)
        tables[name] = Table(
            x, part.air_time[rows], part.departed[rows].astype(float), part.categories(rows)
        )
    profile = profile_of(
        "regression",
        0,
        {"kind": "cycle", "length": "7d"},
        {"window": "28d"},
        columns={"numeric": ["hour", "distance", "dep_delay"], "categorical": list(CATEGORICAL)},
    )
    about = f"{len(chosen)} of {len(whole.routes)} routes, evenly chosen by name"
    return DataSet("flights", tables, profile, 0, about)


def elec2(data: Path | None) -> DataSet:
    """Price up or down, half-hourly; windows of a week, models of four."""
    table = _csv(found(data, "elec2", "electricity_capymoa.csv"))
    names = [name for name in table.column_names if name != "class"]
    y = _matrix(table, ["class"])[:, 0]
    whole = Table(_matrix(table, names), y, steps(len(y), HOUR_MS / 2))
    return by_count("elec2", whole, task="binary", window=336, training=1344, about="whole")


def noaa(data: Path | None) -> DataSet:
    """Rain yes or no, daily; windows of 90 days, models of two years."""
    x = _matrix(_csv(found(data, "noaa_weather", "NEweather_data.csv"), header=False))
    y = _matrix(_csv(found(data, "noaa_weather", "NEweather_class.csv"), header=False))[:, 0]
    whole = Table(x, y, steps(len(y), DAY_MS))
    return by_count("noaa", whole, task="binary", window=90, training=730, about="whole")


def sea(data: Path | None) -> DataSet:
    """SEA concepts; drifts at 12,500, 25,000 and 37,500."""
    x = _matrix(_csv(found(data, "sea", "SEA_training_data.csv"), header=False))
    y = _matrix(_csv(found(data, "sea", "SEA_training_class.csv"), header=False))[:, 0]
    whole = Table(x, y, steps(len(y)))
    return by_count("sea", whole, task="binary", window=250, training=2000, about="whole")


def rbf(data: Path | None, *, records: int = 60_000) -> DataSet:
    """Fifteen Gaussians that swap places every 3,000 records; the class is its parity."""
    x = np.loadtxt(found(data, "interchanging_rbf", "interchangingRBF.data"), max_rows=records)
    path = found(data, "interchanging_rbf", "interchangingRBF.labels")
    y = np.loadtxt(path, max_rows=records) % 2
    whole = Table(x, y, steps(len(y)))
    about = f"first {len(y):,} records; class by parity of the Gaussian"
    return by_count("rbf", whole, task="binary", window=250, training=1500, about=about)


def _hours(hour: Floats) -> list[Floats]:
    """A day's cycle in four smooth columns."""
    angle = 2 * np.pi * hour / 24
    return [np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]


def bikes(data: Path | None) -> DataSet:
    """Hourly rentals from hour, weather and kind of day; windows of a week, models of eight."""
    with (
        zipfile.ZipFile(found(data, "bike_sharing", "bike_sharing_dataset.zip")) as archive,
        archive.open("hour.csv") as raw,
    ):
        table = pyarrow.csv.read_csv(raw)
    names = ["workingday", "holiday", "weathersit", "temp", "atemp", "hum", "windspeed"]
    x = np.column_stack([*_hours(_matrix(table, ["hr"])[:, 0]), _matrix(table, names)])
    y = _matrix(table, ["cnt"])[:, 0]
    whole = Table(x, y, steps(len(y), HOUR_MS))
    about = "whole; no lags of the label"
    one = by_count("bikes", whole, task="regression", window=168, training=1344, about=about)
    return replace(one, season=168)


def ett(data: Path | None) -> DataSet:
    """Oil temperature a day ahead, two transformers; windows of a week, models of eight."""
    tables = {}
    for name in ("ETTh1", "ETTh2"):
        table = _csv(found(data, "ett", f"{name}.csv"))
        n = table.num_rows
        known = _matrix(table, ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"])[:-24]
        x = np.column_stack([*_hours(np.arange(24, n) % 24.0), known])
        tables[name] = Table(x, _matrix(table, ["OT"])[24:, 0], steps(n - 24, HOUR_MS))
    profile = profile_of("regression", 11, {"kind": "count", "records": 168}, {"records": 1344})
    about = "whole; features are the hour, and loads and oil temperature of 24 hours before"
    return DataSet("ett", tables, profile, 1344, about, season=24)


def census(data: Path | None, *, every: int = 7) -> DataSet:
    """Employed or not, 2015 to 2018: nothing to gain from retraining."""
    first = pyarrow.parquet.read_table(found(data, "census", "employment_MA_reference.pq"))
    later = pyarrow.parquet.read_table(found(data, "census", "employment_MA_analysis.pq"))
    target = pyarrow.parquet.read_table(found(data, "census", "employment_MA_analysis_target.pq"))
    numeric = ["AGEP", "SCHL"]
    others = {"id", "year", "prediction", "predicted_probability", "employed", *numeric}
    categorical = [name for name in first.column_names if name not in others]
    label, names = "employed", [*numeric, *categorical]
    whole = pa.concat_tables([first.select(names), later.select(names)])
    y = np.concatenate([_matrix(one, [label])[::every, 0] for one in (first, target)])
    rows = np.r_[: len(first) : every, len(first) : len(whole) : every]
    whole = whole.take(rows)
    x = np.column_stack([pc.cast(whole[name], pa.float64()).to_numpy() for name in numeric])
    table = Table(x, y, steps(len(y)), [whole[name].to_pylist() for name in categorical])
    about = f"every {every}th record, {len(y):,}"
    columns = {"numeric": numeric, "categorical": categorical}
    return by_count(
        "census",
        table,
        task="binary",
        window=300,
        training=2000,
        about=about,
        columns=columns,
    )


SETS: dict[str, Callable[..., DataSet]] = {
    "flights": flights,
    "elec2": elec2,
    "noaa": noaa,
    "sea": sea,
    "rbf": rbf,
    "bikes": bikes,
    "ett": ett,
    "census": census,
}
"""By name, in the order of the tables."""
