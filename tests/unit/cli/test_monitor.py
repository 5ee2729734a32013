"""`driftloop monitor` refuses what it cannot run with, in words."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

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


def test_a_kafka_that_does_not_answer_is_an_error_within_a_bound(tmp_path: Path) -> None:
    began = time.monotonic()
    ended = _monitor(tmp_path, f"[kafka]\nbootstrap_servers = '{SILENT}'\n")
    assert ended.returncode == 1
    assert time.monotonic() - began < 60
    assert f"no Kafka answers at {SILENT}" in ended.stderr
    assert len(ended.stderr.splitlines()) < 5, "not pages of the client's own log"
    assert "Traceback" not in ended.stderr
