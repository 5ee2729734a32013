"""Flights for the demo's tests: the real ones, read once."""

from __future__ import annotations

import pytest

from driftloop.demo.flights import Flights, load_flights


@pytest.fixture(scope="session")
def year() -> Flights:
    """All flights of the year."""
    return load_flights()
