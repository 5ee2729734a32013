"""The command's frame: lazy groups, and errors told in words."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException
from typer.testing import CliRunner

from driftloop import __version__
from driftloop.cli import app as frame
from driftloop.cli import reach
from driftloop.errors import DriftloopError, Fault, SettingsError


def test_help_lists_every_installed_group_with_its_line() -> None:
    shown = CliRunner().invoke(frame.app, ["--help"]).stdout
    for name, (module, line) in frame._COMMANDS.items():
        if find_spec(module):
            assert name in shown
            assert line.split(".")[0].split(",")[0][:30] in shown


def test_help_imports_no_group() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from driftloop.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "assert not [m for m in sys.modules if m.startswith('driftloop.cli.') "
        "and m != 'driftloop.cli.app']"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    "name", [name for name, (module, _) in frame._COMMANDS.items() if find_spec(module)]
)
def test_every_group_loads_and_shows_its_help(name: str) -> None:
    result = CliRunner().invoke(frame.app, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"{name} " in result.stdout


def test_the_version_is_shown() -> None:
    assert __version__ in CliRunner().invoke(frame.app, ["--version"]).stdout


@pytest.mark.parametrize(
    "line",
    [
        "audit",
        "events follow",
        "explain 848e087b",
        "dlq list",
        "dlq show 0:0",
        "dlq replay 0:0 --why x --yes",
        "trainer --dry-run",
    ],
)
def test_where_no_kafka_answers_it_is_told_at_once_and_what_to_do(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "ANSWER_SECONDS", 0.2)
    config = tmp_path / "driftloop.toml"
    config.write_text(
        f'home = "{tmp_path}"\n[kafka]\nbootstrap_servers = "127.0.0.1:1"\n'
        "[profiles.default]\ntopics = 'streams\\..+'\n"
    )
    found = CliRunner().invoke(frame.app, [*line.split(), "--config", str(config)])
    assert found.exit_code == 1
    assert "no Kafka answers at 127.0.0.1:1 within 0.2 s" in found.stderr
    assert "driftloop kafka up" in found.stderr


def test_an_unknown_group_is_refused_by_name() -> None:
    result = CliRunner().invoke(frame.app, ["nope"])
    assert result.exit_code == 2
    assert "nope" in result.output


def test_an_error_of_ours_is_one_message_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Square brackets stay: coordinates are written ``topic[partition]@offset``."""

    def fail() -> None:
        raise DriftloopError("streams.a[bold]@3 is unreadable")

    monkeypatch.setattr(frame, "app", fail)
    with pytest.raises(SystemExit) as ended:
        frame.main()
    assert ended.value.code == 1
    assert "streams.a[bold]@3 is unreadable" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (SettingsError([Fault("a.b", "3", "another value")]), 2, "a.b: another value, got 3"),
        (FileNotFoundError(2, "No such file or directory", "/proc/x"), 1, "/proc/x: No such file"),
        (KafkaException(KafkaError(KafkaError._INVALID_ARG, "no such property")), 1, "no such"),
    ],
)
def test_what_a_user_can_mend_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    told: str,
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(frame, "app", fail)
    with pytest.raises(SystemExit) as ended:
        frame.main()
    assert ended.value.code == status
    assert told in capsys.readouterr().err


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(frame, "app", fail)
    with pytest.raises(ZeroDivisionError):
        frame.main()


def test_a_folder_that_cannot_be_made_is_told_by_the_demo(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = subprocess.run(
        [sys.executable, "-m", "driftloop", "demo", "--out", "file/x"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    )
    assert ended.returncode == 2
    assert "--out" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("driftloop str", "streams"),
        ("driftloop events ", "follow"),
        ("driftloop streams --ne", "--need"),
        ("driftloop models sh", "show"),
    ],
)
def test_the_shell_completes_groups_commands_and_options(words: str, expected: str) -> None:
    environment = {
        "_DRIFTLOOP_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    found = subprocess.run(
        [Path(sys.executable).with_name("driftloop")],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert expected in found.stdout.split()
