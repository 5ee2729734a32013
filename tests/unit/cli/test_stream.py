"""``driftloop stream`` refuses in words what can be seen to be wrong, before Kafka is asked."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from typer.testing import CliRunner

from driftloop.cli.answers import as_json
from driftloop.cli.app import app
from driftloop.cli.stream import app as stream_app
from driftloop.cli.streams import ratio
from driftloop.messages import Action, Command, StreamStatus
from driftloop.operator import Told
from driftloop.operator.versions import Known, Sorted, of_parent
from driftloop.readmodel import Queries
from driftloop.settings import Settings, load_settings
from tests.readmodel import fill, make, new_model
from tests.streams import published

PAGE = Path(__file__).parents[3] / "docs" / "events.md"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration without any Kafka behind it."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    file = tmp_path / "driftloop.toml"
    file.write_text(
        "[kafka]\nbootstrap_servers = '127.0.0.1:1'\n[profiles.a]\ntopics = 'orders\\..+'\n"
    )
    return file


def test_page_and_command_line_know_exactly_the_actions_of_the_contract() -> None:
    section = PAGE.read_text("utf-8").split("## Commands")[1].split("## Types")[0]
    told = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    assert sorted(told) == sorted(get_args(Action))
    names = {
        one.name or (one.callback.__name__ if one.callback else "")
        for one in stream_app.registered_commands
    }
    assert names >= set(get_args(Action))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["retrain", "orders.lyon", "--why", " "], "--why: a reason"),
        (["retrain", "--why", "x"], "a stream, or --pattern, or --incident"),
        (["retrain", "orders.a", "--pattern", "*", "--why", "x"], "or --pattern, or --incident"),
        (["snooze", "orders.lyon", "--why", "x", "--until", "tomorrow"], "--until: RFC 3339"),
        (["pin", "--pattern", "*", "--version", "v3", "--why", "x"], "for one stream only"),
        (["dismiss", "--incident", "x", "--request", "y", "--why", "x"], "for one stream only"),
        (["retrain", "orders.lyon", "--why", "x", "--timeout", "soon"], "--timeout"),
        (["audit-me"], "No such command"),
    ],
)
def test_bad_orders_end_with_status_2_and_no_kafka_is_asked(
    config: Path, words: list[str], told: str
) -> None:
    result = CliRunner().invoke(app, ["stream", *words, "--config", str(config)])
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


def test_all_faults_are_told_at_once(config: Path) -> None:
    words = ["snooze", "--why", "", "--until", "soon", "--config", str(config)]
    result = CliRunner().invoke(app, ["stream", *words])
    assert result.exit_code == 2
    assert "3 faults" in result.output


def test_a_key_is_made_for_its_owner_only_and_its_configuration_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    for name, more in (("ada", []), ("bob", ["--hmac"])):
        made = CliRunner().invoke(app, ["config", "key", name, *more])
        assert made.exit_code == 0, made.output
        file = tmp_path / f"{name}.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        secret = file.read_text().strip()
        assert secret not in made.output
        sender, monitor = re.findall(r"\n\n(\[commands\].*?)(?=\n\n\w|\Z)", made.output, re.DOTALL)
        tomllib.loads(sender)
        for number, text in enumerate((sender, monitor)):
            config = tmp_path / f"{name}{number}.toml"
            config.write_text(text)
            settings = load_settings(config)
            shown = CliRunner().invoke(app, ["config", "show", "--config", str(config)])
            assert shown.exit_code == 0, shown.output
            assert secret not in shown.output
            if number:
                assert settings.commands.verifier() is not None
            else:
                assert settings.commands.signing() is not None
        again = CliRunner().invoke(app, ["config", "key", name])
        assert again.exit_code == 1
        assert file.read_text().strip() == secret


def test_a_key_with_a_colon_in_its_name_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["config", "key", "a:b", "--out", str(tmp_path / "k")])
    assert result.exit_code == 2
    assert not (tmp_path / "k").exists()


def test_a_rollback_that_has_nowhere_to_go_is_told_before_it_is_sent() -> None:
    first = published("v1")
    restored = msgspec.structs.replace(first, action="rolled-back", parent_version="v2")
    later = msgspec.structs.replace(first, version="v2", parent_version="v1")
    (fault,) = of_parent(Known({"v1"}, whole=True, newest=first))
    assert str(fault).startswith("--version: given, for v1 has no parent")
    (fault,) = of_parent(Known({"v1", "v2"}, whole=True, newest=restored))
    assert "v1 is itself restored" in str(fault)
    assert "there are v2" in str(fault)
    assert not of_parent(Known({"v1", "v2"}, whole=True, newest=later))
    assert not of_parent(Known(set(), whole=False, newest=None))


def test_streams_that_are_left_out_are_named_up_to_a_few() -> None:
    assert Sorted(["a"], {}).note == ""
    one = Sorted([], {"a": "v1 has no parent"}).note
    assert one == "a stream is left out, with nothing to go back to: a (v1 has no parent)"
    many = Sorted([], dict.fromkeys("abcdefg", "no version yet")).note
    assert many.startswith("7 streams are left out, with nothing to go back to: a (no version yet)")
    assert many.endswith("e (no version yet) and 2 more")


def test_what_was_not_waited_for_is_told_as_sent() -> None:
    order = Command(id="c", stream="orders.lyon", action="unpin", who="ada", why="x", issued_at=0)
    assert json.loads(as_json([Told(order)], waited=False))[0]["told"] == "sent"
    assert "no answer" in json.loads(as_json([Told(order)]))[0]["told"]


def test_a_first_window_is_set_against_nothing(tmp_path: Path) -> None:
    """It is the reference itself, so that even a useless model would have 100 %."""
    model = new_model(tmp_path)
    losses = {"streams.a": 4.0, "streams.b": 3.0}
    status = (
        make(StreamStatus, name, loss=loss, reference_loss=4.0) for name, loss in losses.items()
    )
    fill(model, status)
    rows = Queries(model, Settings()).streams(sort="stream").rows
    assert [ratio(row) for row in rows] == ["-", "75 %"]
    model.close()
