"""docs/security.md: its configuration loads, and its commands are those that the parts need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from driftloop.kafka.check import client_faults
from driftloop.kafka.rights import PARTS, Part, needed
from driftloop.settings import Settings, load_settings
from tests.acls import PAGE, parsed, sections, shown


def test_the_configuration_of_the_page_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("DRIFTLOOP_SASL_PASSWORD", "open-sesame")
    file = tmp_path / "driftloop.toml"
    file.write_text(block)
    client = load_settings(file).kafka.client()
    assert client["sasl.password"] == "open-sesame"
    assert client["sasl.username"] == "driftloop-monitor"
    told = [str(one) for one in client_faults(load_settings(file))]
    # The file of the authorities is not on this machine; all properties are known.
    assert all("ssl.ca.location" in one for one in told)


@pytest.mark.parametrize("part", PARTS)
def test_the_commands_grant_what_the_parts_look_for(part: Part) -> None:
    """Every right that a start and the doctor look for, on topics and groups."""
    page = sections()
    commands = page[part] + (page["operator who replays"] if part == "operator" else "")
    granted = {shown(one) for one in parsed(commands)}
    assert {str(one) for one in needed(part, Settings())} <= granted


def test_a_command_of_another_form_is_found_out() -> None:
    with pytest.raises(ValueError, match=r"kafka-acls\.sh"):
        parsed("kafka-acls.sh --remove --topic x")
    with pytest.raises(KeyError):
        parsed("kafka-acls.sh $ADMIN --add --allow-principal User:a --cluster x")
