"""Set-up: the Makefile's list, the prerequisites, the pins, and that CI must run Kafka tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def _script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!{shutil.which('bash')}\n{text}\n")
    path.chmod(0o755)


def _prerequisites(path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("bash") or "bash", str(_ROOT / "scripts" / "prerequisites.sh"), *arguments],
        env={"PATH": str(path), **more},
        capture_output=True,
        text=True,
        check=False,
    )


_JAVA_17 = "echo 'openjdk version \"17.0.1\"' >&2"
_PYTHON = f'exec "{sys.executable}" "$@"'


def test_each_missing_prerequisite_is_named_with_its_commands(tmp_path: Path) -> None:
    done = _prerequisites(tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Missing: Python 3.11 or 3.12" in done.stderr
    assert "Java 17 or later, and Maven" in done.stderr
    assert done.stderr.count("Debian/Ubuntu:") == 2
    assert done.stderr.count("macOS:") == 2


def test_python_java_and_maven_suffice(tmp_path: Path) -> None:
    _script(tmp_path, "python3", _PYTHON)
    _script(tmp_path, "java", _JAVA_17)
    _script(tmp_path, "mvn", "true")
    done = _prerequisites(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "python3\n", "")


def test_python_and_docker_suffice(tmp_path: Path) -> None:
    _script(tmp_path, "python3.12", _PYTHON)
    _script(tmp_path, "docker", "exit 0")
    assert _prerequisites(tmp_path).returncode == 0


def test_a_named_kafka_needs_neither_docker_nor_java(tmp_path: Path) -> None:
    _script(tmp_path, "python3", _PYTHON)
    assert _prerequisites(tmp_path, KAFKA_BOOTSTRAP_SERVERS="kafka:9092").returncode == 0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("python3", "exit 1", "Missing: Python 3.11 or 3.12"),
        (
            "python3",
            'case "$2" in *ensurepip*) exit 1;; *-venv*) echo python3.11-venv;; esac',
            "apt-get install python3.11-venv",
        ),
        ("java", "echo 'openjdk version \"11.0.2\"' >&2", "is version 11"),
        ("docker", "exit 1", "a Docker engine that answers"),
    ],
)
def test_what_is_there_but_unfit_counts_as_missing(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    if name != "python3":
        _script(tmp_path, "python3", _PYTHON)
    _script(tmp_path, name, text)
    done = _prerequisites(tmp_path)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_chosen_python_that_does_not_fit_is_named(tmp_path: Path) -> None:
    _script(tmp_path, "python3", _PYTHON)
    done = _prerequisites(tmp_path, "/no/python3.10")
    assert done.returncode == 1
    assert "/no/python3.10 is not one" in done.stderr


def test_make_alone_lists_each_command_with_a_line() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=_ROOT, capture_output=True, text=True, check=True
    ).stdout
    for command in ("demo", "test", "lint", "bench", "clean", ".venv"):
        assert re.search(rf"^  {re.escape(command)} +\S+ \S+", shown, re.MULTILINE), command
    for variable in ("ARGS", "TORCH_BACKEND", "PYTHON"):
        assert re.search(rf"^  {variable}=\.\.\. +\S+ \S+", shown, re.MULTILINE), variable


def test_every_dependency_is_pinned_by_version_alone() -> None:
    """No addresses in the pins, and no pin is missing."""
    lines = (_ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9][A-Za-z0-9.]*", pin) for pin in pins)
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    named = {pin.split("==")[0] for pin in pins}
    assert {re.match(r"[A-Za-z0-9-]+", one)[0].lower() for one in wanted} <= named  # type: ignore[index]


_SILENT = "def test_one(kafka_bootstrap): pass\n"
_OTHER = "def test_one(): pass\n"


@pytest.mark.parametrize(
    ("test", "arguments", "required", "status", "said"),
    [
        (_SILENT, [], "1", 1, "java is not on PATH"),
        (_SILENT, [], "0", 0, "1 skipped"),
        (_OTHER, [], "1", 1, "none ran"),
        (_OTHER, ["-k", "one"], "1", 0, "1 passed"),
        (_OTHER, [], "0", 0, "1 passed"),
        (
            "import pytest\n@pytest.mark.kafka\ndef test_one(): pytest.skip('no')\n",
            [],
            "1",
            1,
            "were skipped",
        ),
    ],
)
def test_where_kafka_is_required_a_run_without_its_tests_fails(
    tmp_path: Path, test: str, arguments: list[str], required: str, status: int, said: str
) -> None:
    """The rule that lets CI trust a green run, in a project of its own with our conftest."""
    shutil.copy(_ROOT / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_it.py").write_text(test)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = .\nmarkers = kafka: x\n")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in {"CI", "JAVA_HOME"}},
        "PATH": str(tmp_path),
        "DRIFTLOOP_REQUIRE_KAFKA": required,
    }
    environment.pop("KAFKA_BOOTSTRAP_SERVERS", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert said in done.stdout
