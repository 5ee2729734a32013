"""Secrets come from environment or files, and are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftloop.cli.config import app
from driftloop.errors import SettingsError
from driftloop.settings import load_settings
from driftloop.settings.render import render
from driftloop.settings.secrets import is_secret, redact

SECRET = "hunter2-never-shown"  # noqa: S105


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DRIFTLOOP_CONFIG", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)


def _write(text: str) -> Path:
    file = Path("driftloop.toml")
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "text",
    [
        f'[kafka.properties]\n"sasl.password" = "{SECRET}"',
        f'[kafka.properties]\n"ssl.key.pem" = "{SECRET}"',
        f'[kafka.properties]\n"sasl.password" = {{ value = "{SECRET}" }}',
        f'[kafka]\nproperties = "sasl.password={SECRET}"',
        f'[kafka]\nproperties = ["{SECRET}"]',
        f'[kafka]\npasswd = "{SECRET}"',
        f'kafka = "{SECRET}"',
        f'[store.options]\nsecret = "{SECRET}"',
        f'[store.options.client_kwargs]\naws_secret_access_key = "{SECRET}"',
        f'[store]\nkey = "{SECRET}"',
        f'[trainer]\nsasl_password = "{SECRET}"',
    ],
)
def test_a_secret_in_the_file_is_a_fault_that_does_not_show_it(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(_write(text))
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__)
    for command in ("check", "show"):
        result = CliRunner().invoke(app, [command])
        assert result.exit_code == 2
        assert SECRET not in result.output


@pytest.mark.parametrize(
    "value", [f'{{"sasl.password": "{SECRET}"}}', f'{{"sasl.password": "{SECRET}"', SECRET]
)
def test_a_secret_in_an_override_is_a_fault_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("DRIFTLOOP_KAFKA__PROPERTIES", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)


def test_references_are_resolved_for_clients_and_stay_references_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("token").write_text(f"{SECRET}\n", encoding="utf-8")
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    settings = load_settings(
        _write(
            """
            [kafka.properties]
            "sasl.username" = "driftloop"
            "sasl.password" = { env = "KAFKA_PASSWORD" }
            [store]
            uri = "s3://models"
            [store.options]
            secret = { file = "token" }
            client_kwargs = { endpoint_url = "http://localhost" }
            """
        )
    )
    assert settings.kafka.client()["sasl.password"] == SECRET
    assert settings.store.resolved() == {
        "secret": SECRET,
        "client_kwargs": {"endpoint_url": "http://localhost"},
    }
    assert SECRET not in repr(settings)
    assert SECRET not in render(settings)
    assert '{ env = "KAFKA_PASSWORD" }' in render(settings)
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 0
    assert SECRET not in result.output


@pytest.mark.parametrize("reference", ['{ env = "ABSENT" }', '{ file = "absent" }'])
def test_a_reference_to_nothing_is_named(reference: str) -> None:
    _write(f'[kafka.properties]\n"sasl.password" = {reference}')
    with pytest.raises(SettingsError, match=r'kafka\.properties\."sasl\.password".*(?i:absent)'):
        load_settings().kafka.client()
    assert CliRunner().invoke(app, ["check"]).exit_code == 2


@pytest.mark.parametrize("name", ["group.id", "enable.auto.commit", "isolation.level"])
def test_properties_that_delivery_depends_on_are_not_the_users(name: str) -> None:
    with pytest.raises(SettingsError, match="Driftloop sets this property itself"):
        load_settings(_write(f'[kafka.properties]\n"{name}" = "x"'))


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("sasl.password", True),
        ("ssl.key.password", True),
        ("ssl.key.pem", True),
        ("sasl.oauthbearer.client.secret", True),
        ("account_key", True),
        ("sasl.username", False),
        ("sasl.oauthbearer.token.endpoint.url", False),
        ("ssl.key.location", False),
        ("security.protocol", False),
    ],
)
def test_secrets_are_known_by_name(name: str, *, secret: bool) -> None:
    assert is_secret(name) is secret
    assert (redact({"outer": {name: SECRET}})["outer"][name] != SECRET) is secret
