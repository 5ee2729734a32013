"""``driftloop dashboard`` refuses to listen where nobody says who may come in, and says why."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftloop.cli.dashboard import app
from driftloop.errors import SettingsError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "driftloop.toml"
    file.write_text(f'home = "{tmp_path}"\n[profiles.a]\ntopics = "a"\n')
    return file


def test_another_address_than_loopback_is_refused_without_a_token(config: Path) -> None:
    result = CliRunner().invoke(app, ["--config", str(config), "--host", "0.0.0.0"])  # noqa: S104
    assert isinstance(result.exception, SettingsError)
    assert "--host: a loopback address" in str(result.exception)
    assert "dashboard.operator_token" in str(result.exception)


def test_an_address_that_is_taken_is_told(config: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["--config", str(config), "--port", str(port)])
    assert isinstance(result.exception, SettingsError)
    assert f"got 127.0.0.1:{port}" in str(result.exception)
    assert "--port" in str(result.exception)


def test_a_token_that_cannot_be_read_is_told_before_anything_is_served(config: Path) -> None:
    text = config.read_text() + '[dashboard]\noperator_token = { env = "NO_SUCH_TOKEN" }\n'
    config.write_text(text)
    result = CliRunner().invoke(app, ["--config", str(config)])
    assert isinstance(result.exception, SettingsError)
    assert "NO_SUCH_TOKEN" in str(result.exception)
