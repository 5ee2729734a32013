"""Section ``[commands]``: keys, and where secrets are found; none is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.errors import SettingsError
from driftloop.messages.signing import make_keys
from driftloop.settings import load_settings

SECRET, PUBLIC = make_keys("ed25519")
SHARED, _ = make_keys("hmac")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


def write(folder: Path, text: str) -> Path:
    file = folder / "driftloop.toml"
    file.write_text(f"[commands]\n{text}\n")
    return file


def test_keys_are_read_from_the_configuration_files_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bob").write_text(f"{SHARED}\n")
    monkeypatch.setenv("EVE_KEY", SHARED)
    keys = f'{{ ada = "{PUBLIC}", bob = "hmac:file:{tmp_path}/bob", eve = "hmac:env:EVE_KEY" }}'
    settings = load_settings(write(tmp_path, f"require_signature = true\nkeys = {keys}"))
    found = settings.commands.verifying()
    assert {name: key.algorithm for name, key in found.items()} == {
        "ada": "ed25519",
        "bob": "hmac",
        "eve": "hmac",
    }
    assert found["bob"] == found["eve"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('secret = "SECRET"', "commands.secret"),
        ('secret = { value = "SECRET" }', "commands.secret"),
        ('keys = { ada = "SHARED" }', "commands.keys"),
        ('keys = { ada = "ed25519:AAAA" }', "32 bytes"),
        ('keys = { "a:b" = "PUBLIC" }', "no ':'"),
        ("require_signatures = true", "require_signature"),
    ],
)
def test_faults_name_the_key_and_never_show_a_secret(tmp_path: Path, text: str, told: str) -> None:
    for name, value in (("SECRET", SECRET), ("SHARED", SHARED), ("PUBLIC", PUBLIC)):
        text = text.replace(name, value)
    with pytest.raises(SettingsError) as found:
        load_settings(write(tmp_path, text))
    assert told in str(found.value)
    for secret in (SECRET, SHARED):
        assert secret.partition(":")[2] not in str(found.value)


def test_a_secret_that_cannot_be_read_is_told_by_its_place(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("hmac:zz")
    commands = load_settings(
        write(tmp_path, f'key_id = "ada"\nsecret = {{ file = "{bad}" }}')
    ).commands
    with pytest.raises(SettingsError, match=r"commands\.secret") as found:
        commands.signing()
    assert "zz" not in str(found.value)
    commands = load_settings(write(tmp_path, 'keys = { ada = "hmac:env:NOT_SET_AT_ALL" }')).commands
    with pytest.raises(SettingsError, match="NOT_SET_AT_ALL"):
        commands.verifying()
    commands = load_settings(write(tmp_path, 'key_id = "ada"')).commands
    with pytest.raises(SettingsError, match="given together"):
        commands.signing()
