"""Presets: what their text stands for, what is told of a wrong one, and how they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from driftloop.cli.config import app
from driftloop.errors import SettingsError
from driftloop.settings import Policy, load_settings, parse_policy
from driftloop.settings.policy import Kind
from driftloop.settings.presets import FIRST

ALL = [
    "never",
    "always",
    "always(cooldown=1d)",
    "periodic(7d)",
    "periodic(500)",
    "periodic(every=12h, min_records=10)",
    "any",
    "all",
    "vote(2)",
    "vote(1, combine=weighted)",
    'any(criteria=["ks > 0.2", "loss", "psi > 0.1"])',
    'vote(2, criteria=[{name="ks", weight=2, params={dependence="none"}}, "loss"])',
    "mlma",
    "mlma(0.5, loss_test=newey-west)",
    "multi-criteria",
    "multi-criteria(1)",
    "detector(adwin)",
    "detector(ddm)",
    "detector(kswin:score)",
    "reducible",
    "reducible(20)",
    "reducible(test)",
    "reducible(accumulate)",
    "reducible(5, forgetting=0.99)",
    "reducible(price={gpu_second=1, seconds=2, loss=0.5})",
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DRIFTLOOP_CONFIG", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)


def loaded(text: str) -> Any:
    Path("driftloop.toml").write_text(text, encoding="utf-8")
    return load_settings()


def fault(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(text)
    return str(caught.value)


def test_every_kind_is_a_preset_and_every_key_a_policys() -> None:
    assert set(FIRST) == set(Kind.__args__)  # type: ignore[attr-defined]
    assert {key for keys in FIRST.values() for key in keys} <= set(Policy.model_fields)
    assert {parse_policy(name)["kind"] for name in ALL} == set(FIRST)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("never", {"kind": "never"}),
        (" vote ( 2 ) ", {"kind": "vote", "votes": 2}),
        ("periodic(7d)", {"kind": "periodic", "every": "7d"}),
        ("periodic(500)", {"kind": "periodic", "every_records": 500}),
        ("reducible(20)", {"kind": "reducible", "cost": 20}),
        ("reducible(test)", {"kind": "reducible", "mode": "test"}),
        ("mlma(1, cooldown=1d)", {"kind": "mlma", "alpha_per_year": 1, "cooldown": "1d"}),
        ("detector(page_hinkley)", {"kind": "detector", "detector": "page_hinkley"}),
        ('any(criteria=["ks", "loss > 1"])', {"kind": "any", "criteria": ["ks", "loss > 1"]}),
        ("never()", {"kind": "never"}),
        ("reducible(approval=true)", {"kind": "reducible", "approval": True}),
    ],
)
def test_a_text_stands_for_a_table(text: str, table: dict[str, Any]) -> None:
    assert parse_policy(text) == table


@pytest.mark.parametrize("text", ALL)
def test_what_config_show_prints_is_the_same_policy(text: str) -> None:
    settings = loaded(f"[policies.mine]\nkind = 'never'\n[profiles.a]\npolicy = '{text}'\n")
    assert settings.profiles["a"].policy == Policy(**parse_policy(text))
    shown = CliRunner().invoke(app, ["show"])
    assert shown.exit_code == 0
    again = loaded(shown.output)
    assert again.profiles == settings.profiles
    assert again.policies == settings.policies
    assert CliRunner().invoke(app, ["check"]).exit_code == 0


def test_policies_of_ones_own_are_used_by_name_and_may_be_changed() -> None:
    settings = loaded(
        """
        [policies.calm]
        kind = "vote"
        criteria = ["ks", "loss", "score-ks"]
        votes = 3
        cooldown = "2d"
        [profiles.a]
        policy = "calm"
        topics = "a"
        [profiles.b]
        policy = "calm(votes=1)"
        topics = "b"
        """
    )
    a, b = settings.profiles["a"].policy, settings.profiles["b"].policy
    assert a == settings.policies["calm"]
    assert (b.votes, b.cooldown, b.criteria) == (1, a.cooldown, a.criteria)
    # Its name wins over that of a preset.
    own = loaded("[policies.never]\nkind = 'always'\n[profiles.a]\npolicy = 'never'\n")
    assert own.profiles["a"].policy.kind == "always"


@pytest.mark.parametrize(
    ("policy", "parts"),
    [
        ("'nevr'", ("profiles.a.policy", "did you mean 'never'?")),
        ("'clam'", ("did you mean 'calm'?",)),
        ("'vote(2, 3)'", ("vote takes one bare argument, votes",)),
        ("'always(3)'", ("always takes no bare argument",)),
        ("'calm(3)'", ("calm takes no bare argument",)),
        ("'vote(2'", ("with arguments, as 'vote(2)'",)),
        ("''", ("with arguments, as 'vote(2)'",)),
        ("'reducible(cst=3)'", ("profiles.a.policy", "did you mean 'cost'?")),
        ("'vote(9)'", ("votes must be at most",)),
        ("'periodic'", ("needs 'every'",)),
        ("'reducible(much)'", ("profiles.a.policy", "number")),
        ("'detector(adwn)'", ("did you mean 'adwin'",)),
        ("'any(criteria=[\"kss\"])'", ("criteria", "did you mean 'ks'?")),
        ("'any(criteria=[\"ks > much\"])'", ("criteria", "number")),
        ("'any(combine=fishr)'", ("combine", "'fisher'")),
        ("{ kind = 'vot' }", ("kind", "'vote'")),
        ("{ kind = 'any', criteria = ['psi'] }", ("has a p-value",)),
    ],
)
def test_faults_are_told_with_their_place(policy: str, parts: tuple[str, ...]) -> None:
    text = f"[policies.calm]\nkind = 'never'\n[profiles.a]\npolicy = {policy}\n"
    message = fault(text)
    for part in ("profiles.a.policy", *parts):
        assert part in message


def test_faults_of_policies_of_ones_own_are_told_there() -> None:
    message = fault("[policies.mine]\nkind = 'any'\ncriterio = ['ks']\nvotes = 0\n")
    assert "policies.mine.criterio" in message
    assert "did you mean 'criteria'?" in message
    assert "policies.mine.votes" in message


def test_a_part_of_the_training_window_is_for_reducible_loss_alone() -> None:
    assert Policy(**parse_policy("reducible(20, min_window=0.5)")).min_window == 0.5
    with pytest.raises(ValueError, match=r"min_window is of policy reducible alone, got 0\.5"):
        Policy(**parse_policy("mlma(1, min_window=0.5)"))
