"""``driftloop command`` refuses in words what no monitor would do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from driftloop.cli.app import app
from driftloop.cli.command import ordered, to_ms
from driftloop.errors import SettingsError
from driftloop.messages import Action
from tests.streams import STREAM

PAGE = Path(__file__).parents[3] / "docs" / "events.md"


def order(action: str, **more: Any) -> Any:
    return ordered(action, STREAM, who="ada", why="test", **more)


def test_the_page_of_events_tells_each_action() -> None:
    section = PAGE.read_text("utf-8").split("## Commands")[1].split("## Types")[0]
    told = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    assert sorted(told) == sorted(get_args(Action))


def test_every_order_has_an_id_of_its_own_and_its_time() -> None:
    first, second = order("snooze", until="2026-01-01T00:00:00Z"), order("retrain")
    assert first.until == 1_767_225_600_000
    assert first.id != second.id
    assert second.until is None
    assert second.issued_at > 1_700_000_000_000


@pytest.mark.parametrize(
    ("action", "more", "told"),
    [
        ("retrian", {}, "one of retrain, approve, reject, snooze, pin, unpin"),
        ("retrain", {"version": "v3"}, "with pin or rollback only"),
        ("pin", {"until": "2026-01-01"}, "with snooze only"),
        ("snooze", {"until": "tomorrow"}, "RFC 3339"),
    ],
)
def test_what_cannot_be_done_is_refused(action: str, more: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        order(action, **more)


def test_times_with_a_zone_are_taken_by_it() -> None:
    assert to_ms("2026-01-01T02:00:00+02:00") == to_ms("2026-01-01T00:00") == 1_767_225_600_000


@pytest.mark.parametrize("stream", ["order.lyon", "orders.lyon"])
def test_a_stream_without_a_profile_or_an_unknown_action_ends_with_status_2(
    tmp_path: Path, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent: no Kafka is here."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    config = tmp_path / "driftloop.toml"
    config.write_text(
        "[kafka]\nbootstrap_servers = '127.0.0.1:1'\n[profiles.a]\ntopics = 'orders\\..+'\n"
    )
    action = "retrain" if stream == "order.lyon" else "dismis"
    result = CliRunner().invoke(
        app,
        ["command", action, stream, "--who", "ada", "--why", "x", "--config", str(config)],
    )
    assert result.exit_code == 2
    assert ("profile matches" in result.output) == (action == "retrain")
