"""``driftloop kafka`` where no Kafka is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftloop.cli.kafka import app


@pytest.fixture(autouse=True)
def _empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("DRIFTLOOP_HOME", str(tmp_path / "home"))


def test_status_says_how_to_start_one() -> None:
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert "driftloop kafka up" in result.stdout


def test_down_without_a_broker_is_no_error() -> None:
    result = CliRunner().invoke(app, ["down"])
    assert result.exit_code == 0
    assert "No local Kafka was running" in result.stdout


def test_status_names_a_silent_kafka_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.stdout
    assert "does not answer" in result.stdout


def test_status_is_told_as_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = CliRunner().invoke(app, ["status", "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["answers"], told["bootstrap_servers"]) == (False, "127.0.0.1:1")


def test_topic_without_a_kafka_says_how_to_start_one() -> None:
    result = CliRunner().invoke(app, ["topic", "orders.lyon"])
    assert result.exit_code == 1
    assert "driftloop kafka up" in result.stdout


@dataclass
class _Handle:
    bootstrap_servers: str = "127.0.0.1:29092"
    how: str = "java"
    started: bool = True


def test_up_prints_the_line_to_export_and_how_to_make_a_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("driftloop.cli.kafka.ensure_broker", lambda **_: _Handle())
    result = CliRunner().invoke(app, ["up"])
    assert "\n  export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:29092\n" in result.stdout
    assert "driftloop kafka topic NAME   make a topic: it makes none by itself" in result.stdout
    monkeypatch.setattr("driftloop.cli.kafka.ensure_broker", lambda **_: _Handle(how="environment"))
    assert "export" not in CliRunner().invoke(app, ["up"]).stdout
