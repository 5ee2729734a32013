"""The flights are complete, ordered, and know nothing before its time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from driftloop.demo import flights as module
from driftloop.demo.flights import DAY_MS, Flights, data_file, load_flights, row_of
from driftloop.demo.run import BEGIN_MS, choose_routes
from driftloop.errors import DriftloopError


def test_fifty_streams_hold_some_302_000_flights(year: Flights) -> None:
    assert len(year.routes) == 50
    assert len(year) == 301_677
    assert np.bincount(year.route).min() > 1_400


def test_flights_are_in_order_of_departure_and_land_after_it(year: Flights) -> None:
    assert (np.diff(year.departed) >= 0).all()
    assert (year.landed > year.departed).all()
    assert (year.landed - year.departed).max() < DAY_MS
    assert np.isfinite(year.air_time).all()


def test_a_departure_does_not_hold_the_label(year: Flights) -> None:
    record = orjson.loads(year.departure(5))
    assert set(record) == {"id", "ts", "x"}
    assert set(record["x"]) == {"hour", "distance", "dep_delay", "carrier", "origin"}
    landing = orjson.loads(year.landing(5))
    assert landing["id"] == record["id"]
    assert landing["y"] == year.air_time[5]
    assert landing["ts"] > record["ts"]


def test_ids_are_unique_and_lead_back_to_their_row(year: Flights) -> None:
    rows = range(0, len(year), 997)
    ids = [year.identity(row) for row in rows]
    assert len(set(ids)) == len(ids)
    assert [row_of(one) for one in ids] == list(rows)


def test_the_cache_gives_the_same_flights(year: Flights, tmp_path: Path) -> None:
    cache = tmp_path / "flights.npz"
    for _ in range(2):
        again = load_flights(cache)
        assert again.routes == year.routes
        assert (again.departed == year.departed).all()
        assert (again.numeric == year.numeric).all()
    cache.write_bytes(b"damaged")
    assert len(load_flights(cache)) == len(year)


def test_a_choice_keeps_only_its_routes_and_days(year: Flights) -> None:
    routes = choose_routes(year, 6)
    assert {"LAX", "SFO", "SEA", "BOS"} < set(routes)
    assert len(routes) == 6
    chosen = year.choose(routes, BEGIN_MS, BEGIN_MS + 10 * DAY_MS)
    assert chosen.routes == routes
    assert chosen.departed.max() < BEGIN_MS + 10 * DAY_MS
    boston = chosen.route == routes.index("BOS")
    assert chosen.air_time[boston].max() < 70


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DriftloopError, match=r"pip install 'driftloop\[demo,trainer\]'"):
        data_file()
