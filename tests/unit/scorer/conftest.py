"""A small world for the scorer: a profile, models of known slope, and version events."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scoring import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Settings with a store of its own."""
    return make_world(tmp_path)
