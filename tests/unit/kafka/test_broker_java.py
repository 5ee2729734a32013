"""Java and Maven are found, or what to do is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka import broker_docker, broker_java


def _java(folder: Path, version: str) -> Path:
    """Make a ``java`` that only tells its version."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024' >&2\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version", ["17.0.15", "21", "25.0.1"])
def test_java_17_and_later_is_taken_from_java_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    java = _java(tmp_path, version)
    assert broker_java.find_java() == str(java)


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "?"])
def test_an_old_java_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    _java(tmp_path, version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(KafkaUnavailableError, match=r"Java 17.*apt-get install.*brew install"):
        broker_java.find_java()


def test_without_java_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(KafkaUnavailableError, match=r"apt-get install.*brew install"):
        broker_java.find_java()


def test_a_failing_download_is_tried_twice_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(f"#!/bin/sh\necho tried >> {tmp_path}/tries\necho 'no route'; exit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:/usr/bin:/bin")
    monkeypatch.setenv("DRIFTLOOP_CACHE", str(tmp_path / "cache"))
    steps: list[str] = []
    with pytest.raises(KafkaUnavailableError, match="no route"):
        broker_java.jars(steps.append)
    assert len(steps) == 1
    assert (tmp_path / "tries").read_text() == "tried\ntried\n"
    assert not list((tmp_path / "cache").iterdir())


def test_an_engine_that_is_missing_or_broken_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not broker_docker.engine_answers()
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'Cannot connect' >&2; exit 1\n")
    docker.chmod(0o755)
    assert not broker_docker.engine_answers()
    docker.write_text("#!/bin/sh\nexec /bin/sleep 5\n")
    assert not broker_docker.engine_answers(timeout=0.1)


def test_the_pom_is_of_the_version_that_we_name() -> None:
    pom = (broker_java._LOCAL / "pom.xml").read_text()
    assert f"<version>{broker_java.KAFKA_VERSION}</version>" in pom
    assert broker_docker.IMAGE.endswith(f":{broker_java.KAFKA_VERSION}")
