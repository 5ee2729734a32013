"""The configuration that is written loads to the same settings with the chosen policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from driftloop.backtest.emit import emit_config, origin_of
from driftloop.errors import SettingsError
from driftloop.settings import Policy, Profile, Settings, load_settings, parse_policy
from tests.unit.backtest.examples import example

RICH = """
home = "elsewhere"
[kafka]
bootstrap_servers = "broker:9092"
[kafka.properties]
"sasl.username" = "me"
"sasl.password" = { env = "KAFKA_PASSWORD" }
[topics]
partitions = 9
[policies.mine]
kind = "vote"
criteria = ["ks", "psi > 0.2", { name = "loss", weight = 2.0 }]
[profiles.flights]
topics = 'flights\\.(.+)'
policy = "periodic(30d)"
window = { kind = "cycle", length = "7d", cycle = "1d" }
[profiles.flights.features]
numeric = ["a", "b c"]
[profiles.other]
task = "multiclass"
loss = "log_loss"
classes = ["x", "y", "z"]
policy = { kind = "reducible", cost = 5.0, price = { gpu_second = 0.1, seconds = 2, loss = 1 } }
[profiles.other.window]
kind = "count"
records = 77
"""


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.delenv("DRIFTLOOP_CONFIG", raising=False)


def _loaded(text: str, folder: Path) -> Settings:
    path = folder / "emitted.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


@pytest.fixture
def rich(tmp_path: Path) -> Settings:
    return _loaded(RICH, tmp_path)


@pytest.mark.parametrize(
    "name",
    ["never", "always", "periodic(7d)", "periodic(500)", "vote(2)", "mlma(1)", "detector(adwin)",
     "multi-criteria(2)", "reducible(20, cooldown=1d)", "reducible(test)"],
)  # fmt: skip
def test_a_preset_is_what_the_backtest_ran(name: str, tmp_path: Path) -> None:
    found = _loaded(emit_config(Profile(), name), tmp_path).profiles["default"]
    assert found == Profile(policy=Policy(**parse_policy(name)))


def test_all_else_stays(rich: Settings, tmp_path: Path) -> None:
    found = _loaded(emit_config(rich, "reducible(20)", profile="flights"), tmp_path)
    assert found.profiles["flights"].policy == Policy(kind="reducible", cost=20)
    assert list(found.profiles) == ["flights", "other"]
    assert found.profiles["other"] == rich.profiles["other"]

    def without(settings: Settings) -> dict[str, Any]:
        dumped = settings.model_dump()
        del dumped["profiles"]["flights"]["policy"]
        return dumped

    assert without(found) == without(rich)


def test_a_policy_of_ones_own_keeps_its_name_and_table(rich: Settings, tmp_path: Path) -> None:
    text = emit_config(rich, "mine(votes=1)", profile="flights")
    assert 'policy = "mine(votes=1)"' in text
    found = _loaded(text, tmp_path)
    assert found.profiles["flights"].policy.criteria == rich.policies["mine"].criteria
    assert found.profiles["flights"].policy.votes == 1


def test_a_table_without_a_name_is_written_out(tmp_path: Path) -> None:
    policy = Policy(kind="vote", criteria=["ks", "loss"], cooldown="3d", votes=1)  # type: ignore[list-item,arg-type]
    assert _loaded(emit_config(Profile(), policy), tmp_path).profiles["default"].policy == policy
    plain = _loaded(emit_config(Profile(), Policy()), tmp_path).profiles["default"].policy
    assert plain == Policy()


def test_secrets_stay_references_and_pasted_ones_are_hidden(rich: Settings) -> None:
    assert '"sasl.password" = { env = "KAFKA_PASSWORD" }' in emit_config(
        rich, "never", profile="other"
    )
    pasted = rich.model_copy(
        update={"kafka": rich.kafka.model_copy(update={"properties": {"sasl.password": "hunter2"}})}
    )
    assert "hunter2" not in emit_config(pasted, "never", profile="other")


def test_defaults_are_left_out_and_the_origin_is_told(tmp_path: Path) -> None:
    result = example(("never", "always", "reducible(20)"), streams=12)
    text = emit_config(Settings(), "reducible(20)", origin=origin_of(result, "reducible(20)"))
    lines = text.splitlines()
    assert lines[0].startswith("# Policy reducible(20), from driftloop backtest")
    assert lines[1].startswith("# Take reducible(20): ")
    assert [line for line in lines if line and line[0] != "#"] == [
        "[profiles.default]",
        'policy = "reducible(20)"',
    ]
    _loaded(text, tmp_path)


def test_a_comment_cannot_break_out_of_its_line(tmp_path: Path) -> None:
    text = emit_config(Profile(), "never", origin=["data\n[kafka]\nbootstrap_servers = 'evil'\x00"])
    assert _loaded(text, tmp_path).kafka.bootstrap_servers == "127.0.0.1:9092"


@pytest.mark.parametrize(
    ("policy", "profile", "rule"),
    [
        ("never", "nowhere", "one of the profiles"),
        ("nevr", "default", "did you mean 'never'"),
        ("periodic", "default", "needs 'every'"),
        ("vote(9)", "default", "votes must be at most"),
    ],
)
def test_what_does_not_load_is_refused(policy: str, profile: str, rule: str) -> None:
    with pytest.raises(SettingsError, match=rule):
        emit_config(Profile(), policy, profile="default") if profile == "default" else emit_config(
            Settings(), policy, profile=profile
        )
