"""What we ask of Docker, shown by a ``docker`` that notes its arguments; no engine is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka.broker_docker import IMAGE, DockerRunner
from driftloop.kafka.broker_state import BrokerState

_STATE = BrokerState(how="docker", cluster="abc", port=20001, controller_port=20002, heap="256m")
_NOTE = 'for word in "$@"; do echo "$word"; done >> "{folder}/asked"\n'


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the words that ``docker`` was given; it answers ``run`` with a container's id."""
    _docker(tmp_path, 'case "$1" in run) echo 0123456789abcdef;; inspect) echo true;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "asked"


def _docker(folder: Path, text: str) -> None:
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\n{_NOTE.format(folder=folder)}{text}\n")
    path.chmod(0o755)


def test_a_container_is_published_on_loopback_only_and_knows_its_address(asked: Path) -> None:
    state = DockerRunner().launch(_STATE)
    words = asked.read_text().splitlines()
    assert state.container == "0123456789abcdef"
    assert words[-1] == IMAGE
    assert words[words.index("--publish") + 1] == "127.0.0.1:20001:20001"
    assert "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:20001" in words
    assert "KAFKA_AUTO_CREATE_TOPICS_ENABLE=false" in words
    assert "KAFKA_HEAP_OPTS=-Xms128m -Xmx256m" in words
    assert "CLUSTER_ID=abc" in words


def test_a_known_container_is_started_again_and_none_is_made(asked: Path) -> None:
    known = DockerRunner().launch(_STATE)
    asked.unlink()
    assert DockerRunner().launch(known) == known
    assert asked.read_text().splitlines() == ["start", "0123456789abcdef"]


def test_a_container_is_stopped_kindly_or_killed_and_only_ours(asked: Path) -> None:
    runner = DockerRunner()
    known = runner.launch(_STATE)
    asked.unlink()
    assert runner.end(known, grace=7.0)
    assert asked.read_text().splitlines()[-4:] == ["stop", "--time", "7", known.container]
    assert runner.end(known, grace=0.0)
    assert asked.read_text().splitlines()[-2:] == ["kill", known.container]
    assert not runner.end(_STATE, grace=0.0), "without a container there is nothing to end"


def test_what_docker_refuses_is_told_in_its_words(asked: Path) -> None:
    _docker(asked.parent, "echo 'port is already allocated' >&2; exit 125")
    with pytest.raises(KafkaUnavailableError, match="port is already allocated"):
        DockerRunner().launch(_STATE)
    with pytest.raises(KafkaUnavailableError, match=f"docker pull {IMAGE} failed"):
        DockerRunner().prepare(lambda _: None)
