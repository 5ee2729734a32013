"""`driftloop monitor` refuses what it cannot run with, in words."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from driftloop.cli.trainer import check_store
from driftloop.errors import StoreError
from driftloop.models import ModelStore
from driftloop.settings import StoreSettings

SILENT = "127.0.0.1:1"


def _monitor(
    folder: Path, text: str, *, timeout: float = 120.0
) -> subprocess.CompletedProcess[str]:
    config = folder / "driftloop.toml"
    config.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "driftloop", "monitor", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=timeout,
        env={k: v for k, v in os.environ.items() if k != "KAFKA_BOOTSTRAP_SERVERS"},
    )


def test_all_faults_of_a_configuration_are_told_at_once_with_status_2(tmp_path: Path) -> None:
    ended = _monitor(
        tmp_path,
        "[monitor]\nshards = 0\nepoc = '5s'\n[profiles.a]\nloss = 'log_loss'\n"
        "[kafka.properties]\n'sasl.password' = 'open sesame'\n",
    )
    assert ended.returncode == 2
    for told in ("monitor.shards", "did you mean 'epoch'", "profiles.a", "sasl.password"):
        assert told in ended.stderr
    assert "open sesame" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / ".driftloop").exists(), "nothing is made"


PARTS = ("monitor", "trainer", "scorer")


def _environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "KAFKA_BOOTSTRAP_SERVERS"}
    return {**kept, "DRIFTLOOP_HOME": str(folder / "home")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("part", PARTS)
def test_every_part_waits_for_kafka_and_says_so_until_a_signal_ends_it(
    tmp_path: Path, part: str, number: signal.Signals
) -> None:
    (tmp_path / "driftloop.toml").write_text(f"[kafka]\nbootstrap_servers = '{SILENT}'\n")
    with subprocess.Popen(
        [sys.executable, "-m", "driftloop", part],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=_environment(tmp_path),
    ) as process:
        try:
            assert process.stderr is not None
            line = json.loads(process.stderr.readline())
            assert line["event"] == "kafka.waiting"
            assert line["servers"] == SILENT
            assert "correct kafka.bootstrap_servers" in line["hint"]
            process.send_signal(number)
            rest = process.communicate(timeout=30)[1]
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Traceback" not in rest
    assert len(rest.splitlines()) < 5, "not pages of the client's own log"


@pytest.mark.parametrize("part", PARTS)
def test_every_part_refuses_what_config_check_refuses(tmp_path: Path, part: str) -> None:
    (tmp_path / "driftloop.toml").write_text(
        "[scorer]\noutput = 'streams.\\2'\n[kafka.properties]\n'nope.x' = 1\n"
        "[topics]\nmodels = 'driftloop.retrain'\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "driftloop", part],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
        env=_environment(tmp_path),
    )
    assert ended.returncode == 2
    assert "3 faults in driftloop.toml" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_store_that_cannot_be_written_is_told_at_the_trainers_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "driftloop.toml").write_text(
        f"[kafka]\nbootstrap_servers = '{SILENT}'\n[store]\nuri = 'file/models'\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "driftloop", "trainer"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
        env=_environment(tmp_path),
    )
    assert ended.returncode == 2
    assert "store.uri: a place where models can be written" in ended.stderr
    assert "a file stands where a folder must be" in ended.stderr


def test_a_disk_that_is_full_is_told_and_does_not_end_the_trainer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: object) -> None:
        raise StoreError("no space") from OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(ModelStore, "probe", full)
    with capture_logs() as lines:
        check_store(StoreSettings())
    assert [line["event"] for line in lines] == ["trainer.store_unwritable"]
