"""Faults that only the Kafka client knows are told by name, and no secret is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from driftloop.kafka.check import client_faults
from driftloop.settings import KafkaSettings, Settings, StoreSettings


def _faults(options: dict[str, Any] | None = None, **properties: Any) -> dict[str, str]:
    settings = Settings(
        kafka=KafkaSettings(properties={k.replace("_", "."): v for k, v in properties.items()}),
        store=StoreSettings(options=options or {}),
    )
    return {fault.place: str(fault) for fault in client_faults(settings)}


def test_properties_that_make_a_client_are_no_fault() -> None:
    assert _faults(security_protocol="plaintext", socket_timeout_ms=5000, linger_ms=5) == {}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("nope_x", 1, "a property that librdkafka knows, got 1"),
        ("socket_timeout_ms", "abc", "a value that librdkafka accepts, got 'abc'"),
        ("socket_timeout_ms", 5, "a number of 10..300000, got 5"),
        ("compression_type", "foo", "a value that librdkafka accepts, got 'foo'"),
        ("stats_cb", "x", "a property that a configuration file can give"),
    ],
)
def test_a_property_at_fault_is_named(name: str, value: object, told: str) -> None:
    place = f'kafka.properties."{name.replace("_", ".")}"'
    if name == "stats_cb":
        settings = Settings(kafka=KafkaSettings(properties={"stats_cb": value}))
        found = {one.place: str(one) for one in client_faults(settings)}
        place = 'kafka.properties."stats_cb"'
    else:
        found = _faults(**{name: value})
    assert list(found) == [place]
    assert told in found[place]


def test_every_property_at_fault_is_named_at_once() -> None:
    assert len(_faults(nope_x=1, nope_y=2, socket_timeout_ms="abc")) == 3


def test_properties_that_do_not_fit_together_are_one_fault() -> None:
    found = _faults(security_protocol="sasl_ssl", sasl_mechanism="PLAIN")
    assert list(found) == ["kafka.properties"]
    assert "sasl.username and sasl.password must be set" in found["kafka.properties"]


def test_no_value_of_a_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "open sesame")
    found = _faults(security_protocol="ssl", ssl_key_pem={"env": "SOME_KEY"})
    assert found
    assert "sesame" not in str(found)
    found = _faults(sasl_secretnope={"env": "SOME_KEY"})
    assert "got <hidden>" in str(found)
    assert "sesame" not in str(found)


def test_every_secret_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    found = _faults(
        {"secret": {"file": str(tmp_path / "absent")}},
        sasl_password={"env": "NO_SUCH_VARIABLE"},
        nope_x=1,
    )
    assert set(found) == {
        'kafka.properties."sasl.password"',
        'kafka.properties."nope.x"',
        'store.options."secret"',
    }
    assert "NO_SUCH_VARIABLE" in found['kafka.properties."sasl.password"']
