"""Demand of a platform with drift of known place and kind, as features and labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.csv

from experiments._data import DAY_MS, Floats, Table, found

KINDS = ("level", "profile", "variance")
LEVEL = 1.2
"""Factor of the level."""
NOISE = 0.2
"""Standard deviation of the multiplicative noise."""
SHIFT_MS = 2 * 3_600_000.0
"""How much later the day's profile comes."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Streams over whole days.

    Attributes:
        name: Of the data.
        values: (streams, days, steps).
        first_ms: Time of day of a day's first step.
        step_ms: Between two steps.
        week: Days of a week.
        warmup: Days before a stream's first model; as many are trained on.
        drift: First and last day, exclusive, on which drift begins.
    """

    name: str
    values: Floats
    first_ms: float
    step_ms: float
    week: int
    warmup: int
    drift: tuple[int, int]


def subway(data: Path | None) -> Demand:
    """Entries and exits of 138 stations each 15 minutes, 5:00 to 23:00 on 25 weekdays."""
    parts = [
        np.loadtxt(found(data, "beijing_subway", f"{name}_15min.csv"), delimiter=",")
        for name in ("in", "out")
    ]
    values = np.concatenate(parts).reshape(-1, 25, 72)
    quarter = 900_000.0
    return Demand("subway", values, 20 * quarter, quarter, week=5, warmup=8, drift=(18, 22))


def taxi(data: Path | None) -> Demand:
    """Pick-ups of 73 zones each hour, January to May 2017."""
    counts = []
    for month in range(1, 6):
        path = found(data, "nyc_taxi_zones_1h", f"2017-{month:02}_1H_zone.csv")
        table = pyarrow.csv.read_csv(path)
        zone = table["PUZone"].to_numpy()
        order = np.lexsort((table["PUTime"].to_numpy(), zone))
        count = table["Count"].to_numpy()[order].astype(np.float64)
        counts.append(count.reshape(int(zone.max()) + 1, -1))
    values = np.concatenate(counts, axis=1)
    whole = values.reshape(len(values), -1, 24)
    return Demand("taxi", whole, 0.0, 3_600_000.0, week=7, warmup=28, drift=(60, 110))


def generated(streams: int = 9, days: int = 22, seed: int = 1) -> Demand:
    """Noisy daily profiles."""
    rng = np.random.default_rng(seed)
    profile = 50 + 40 * np.sin(np.linspace(0, 2 * np.pi, 24, endpoint=False))
    values = rng.poisson(profile, (streams, days, 24)).astype(np.float64)
    return Demand("generated", values, 0.0, 3_600_000.0, week=2, warmup=5, drift=(12, 15))


@dataclass(frozen=True, slots=True)
class Injected:
    """A drift of one stream.

    Attributes:
        kind: One of `KINDS`.
        day: Its first day, counted from the first day of the data.
    """

    kind: str
    day: int


def inject(demand: Demand, seed: int) -> tuple[Demand, dict[int, Injected]]:
    """Put drift in a third of the streams, a ninth each kind, from a random day on.

    ``level``: times 1.2. ``profile``: the day comes two hours later, its end wrapping round to its
    beginning. ``variance``: times 1 + 0.2 ε, ε standard normal, not below 0.
    """
    rng = np.random.default_rng(seed)
    values = demand.values.copy()
    count = len(values)
    chosen = rng.permutation(count)[: count // 3]
    drifts = {}
    for position, stream in enumerate(chosen.tolist()):
        kind, day = KINDS[position % len(KINDS)], int(rng.integers(*demand.drift))
        part = values[stream, day:]
        if kind == "level":
            part *= LEVEL
        elif kind == "profile":
            part[:] = np.roll(part, round(SHIFT_MS / demand.step_ms), axis=1)
        else:
            part *= np.maximum(1.0 + NOISE * rng.standard_normal(part.shape), 0.0)
        drifts[stream] = Injected(kind, day)
    same = (demand.name, values, demand.first_ms, demand.step_ms, demand.week)
    return Demand(*same, warmup=demand.warmup, drift=demand.drift), drifts


def times(demand: Demand) -> Floats:
    """Event time of each record, ms, (days * steps,)."""
    _, days, steps = demand.values.shape
    day = np.arange(days)[:, None] * DAY_MS
    return np.asarray((day + demand.first_ms + np.arange(steps) * demand.step_ms).ravel())


def tables(demand: Demand, features: str) -> dict[str, Table]:
    """One table a stream, from its second week on.

    Args:
        demand: The streams.
        features: ``calendar``: four harmonics of the day, and of the week's day; ``lags``: the
            last three values, those of a day and of a week before, and two harmonics of the day;
            ``naive``: as ``lags``, with the value of a day before as recorded prediction.
    """
    streams, days, steps = demand.values.shape
    ts = times(demand)
    begin = demand.week * steps
    harmonics = _harmonics(steps, days, 4 if features == "calendar" else 2)
    weekday = np.repeat(np.arange(days) % demand.week, steps)
    dummies = (weekday[:, None] == np.arange(1, demand.week)).astype(np.float64)
    out = {}
    for index in range(streams):
        y = demand.values[index].ravel()
        if features == "calendar":
            x = np.column_stack([harmonics, dummies])[begin:]
        else:
            lags = [y[begin - lag : len(y) - lag] for lag in (1, 2, 3, steps, begin)]
            x = np.column_stack([*lags, harmonics[begin:]])
        naive = y[begin - steps : len(y) - steps] if features == "naive" else None
        out[f"{demand.name}-{index:03}"] = Table(x, y[begin:], ts[begin:], y_pred=naive)
    return out


def _harmonics(steps: int, days: int, count: int) -> Floats:
    angle = 2 * np.pi * np.tile(np.arange(steps) / steps, days)
    waves = [wave(k * angle) for k in range(1, count + 1) for wave in (np.sin, np.cos)]
    return np.column_stack(waves)
