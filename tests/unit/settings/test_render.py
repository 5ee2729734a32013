"""What `driftloop config show` prints is the configuration itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.settings import load_settings
from driftloop.settings.render import key, literal, render


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DRIFTLOOP_CONFIG", "DRIFTLOOP_HOME", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_shown_reads_back_to_the_same_settings() -> None:
    Path("driftloop.toml").write_text(
        """
        [kafka.properties]
        "client.id" = "a \\"quoted\\" name"
        "sasl.password" = { env = "P" }
        [profiles."with space"]
        topics = 'flights\\.(.+)'
        window = { kind = "cycle", length = "7d", lateness = "1d" }
        [profiles.b.training]
        window = "28d"
        """,
        encoding="utf-8",
    )
    settings = load_settings()
    Path("shown.toml").write_text(render(settings), encoding="utf-8")
    assert load_settings("shown.toml") == settings


def test_each_value_is_shown_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("driftloop.toml").write_text("[monitor]\nshards = 8", encoding="utf-8")
    monkeypatch.setenv("DRIFTLOOP_TRAINER__SEED", "7")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "a:1")
    lines = render(load_settings()).splitlines()
    assert "shards = 8  # driftloop.toml" in lines
    assert "seed = 7  # DRIFTLOOP_TRAINER__SEED" in lines
    assert 'bootstrap_servers = "a:1"  # KAFKA_BOOTSTRAP_SERVERS' in lines
    assert 'start = "earliest"' in lines


_texts = st.text(st.characters(exclude_categories=("Cs",)))
_values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)


@given(_texts, _values)
def test_any_key_and_value_are_valid_toml(name: str, value: object) -> None:
    assert tomllib.loads(f"{key(name)} = {literal(value)}") == {name: value}
