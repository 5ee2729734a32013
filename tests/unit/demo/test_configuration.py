"""The demo's configuration has no faults and means what the demo does."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.demo.configuration import Layout
from driftloop.scorer.routing import Router
from driftloop.settings import load_settings


@pytest.mark.parametrize("prefix", ["", "demo-1a2b."])
def test_the_configuration_is_valid_and_fits_the_topics(tmp_path: Path, prefix: str) -> None:
    layout = Layout(tmp_path / "a folder", prefix)
    layout.clean()
    settings = load_settings(layout.write("127.0.0.1:9"))
    found = settings.profile_of(layout.stream("LAX"))
    assert found is not None
    assert found[0] == "flights"
    route = Router(settings).route(layout.departures("LAX"))
    assert route is not None
    assert route.stream == layout.stream("LAX")
    assert settings.profile_of(layout.departures("LAX")) is None
    assert all(name.startswith(prefix) for name in settings.topics.names.values())
    assert not Router(settings).selects(f"other{layout.departures('LAX')}")


def test_cleaning_removes_only_what_a_run_wrote(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    (tmp_path / "mine.txt").write_text("kept")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "old").write_text("gone")
    layout.clean()
    assert (tmp_path / "mine.txt").exists()
    assert not (tmp_path / "models").exists()
    assert layout.logs.is_dir()
