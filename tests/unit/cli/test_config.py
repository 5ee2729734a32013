"""``driftloop config`` says what is wrong, what holds, and where to start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftloop.cli.config import app
from driftloop.settings import load_settings


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DRIFTLOOP_CONFIG", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)


def test_init_writes_a_file_without_faults_that_check_describes() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["init"]).exit_code == 0
    result = runner.invoke(app, ["check"])
    assert result.exit_code == 0
    assert r"topics that match streams\..+ in full" in result.output
    assert "reducible, mode accumulate" in result.output


def test_init_never_overwrites() -> None:
    Path("driftloop.toml").write_text("[trainer]\nseed = 9\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == 1
    assert "left as it is" in result.output
    assert load_settings().trainer.seed == 9


def test_init_says_why_a_file_cannot_be_written() -> None:
    result = CliRunner().invoke(app, ["init", "absent/driftloop.toml"])
    assert result.exit_code == 1
    assert "No such file or directory" in result.output


def test_check_tells_every_fault_and_exits_2() -> None:
    Path("driftloop.toml").write_text("[monitor]\nshards = 0\nshard = 1\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 2
    assert "2 faults in driftloop.toml" in result.output
    assert "monitor.shards" in result.output
    assert "did you mean 'shards'?" in result.output


def test_the_example_holds_the_defaults() -> None:
    """So that a reader learns from it what holds without a file."""
    CliRunner().invoke(app, ["init", "example.toml"])
    assert load_settings("example.toml") == load_settings()


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        (
            "policy = 'mlma(0.2)'",
            "at most 0.2 needless retrains a stream and year; 100 streams: 20; 1,000 streams: 200",
        ),
        (
            "policy = 'mlma'\nfleet = { control = 'bh', fdr = 0.1, budget = 40 }",
            "at most 0.1 of all retrains needless (bh over the fleet); at most 40 retrains a day",
        ),
        ("policy = 'never'", "at most 0 needless retrains a stream and year"),
        ("policy = 'periodic(7d)'", "a retrain every 7d a stream, needed or not"),
        ("policy = 'periodic(500)'", "a retrain every 500 labelled records a stream"),
        ("policy = 'always'", "a retrain at every closed window of losses"),
        ("policy = 'vote(2, combine=weighted)'", "no number of needless retrains is promised"),
        ("policy = 'vote(2)'", "at most 0.1 needless retrains a stream and year"),
        ("policy = 'reducible(20)'", "no number of needless retrains is promised"),
        ("policy = 'reducible(test)'", "at most 0.1 needless retrains a stream and year"),
        ("policy = 'reducible(both)'", "at most 0.1 needless retrains a stream and year"),
    ],
)
def test_check_tells_how_many_needless_retrains_to_expect(profile: str, told: str) -> None:
    Path("driftloop.toml").write_text(f"[profiles.a]\n{profile}\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 0, result.output
    assert told in result.output


def test_check_tells_faults_of_the_client_with_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    Path("driftloop.toml").write_text(
        "[monitor]\nshards = 0\n[scorer]\noutput = 'streams.\\2'\n"
        "[kafka.properties]\n'nope.x' = 1\nacks = '1'\n"
        "'sasl.password' = { env = 'NO_SUCH_VARIABLE' }\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 2
    assert "5 faults in driftloop.toml" in result.output
    for told in ("monitor.shards", "scorer.output", "nope.x", "acks", "NO_SUCH_VARIABLE"):
        assert told in result.output


def test_show_needs_no_secret() -> None:
    Path("driftloop.toml").write_text(
        "[kafka.properties]\n'sasl.password' = { env = 'NO_SUCH_VARIABLE' }\n", encoding="utf-8"
    )
    assert CliRunner().invoke(app, ["show"]).exit_code == 0


def test_check_is_told_as_json_too(tmp_path: Path) -> None:
    file = tmp_path / "driftloop.toml"
    file.write_text("[profiles.a]\ntopics = 'streams\\..+'\n")
    result = CliRunner().invoke(app, ["check", "--config", str(file), "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["file"] == str(file)
    assert [one["name"] for one in told["profiles"]] == ["a"]
