"""The command reads streams from a real Kafka, as README writes it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from driftloop.cli.app import app

pytest.importorskip("pyarrow")
pytest.importorskip("torch")


def test_streams_of_a_pattern_are_replayed_and_a_policy_is_advised(
    kafka_bootstrap: str, make_topic: Callable[..., str], tmp_path: Path
) -> None:
    topics = [make_topic() for _ in range(2)]
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    draw = random.Random(0)
    for topic in topics:
        for i in range(1500):
            a = draw.gauss(0, 1)
            y = (2 if i < 600 else -2) * a + draw.gauss(0, 0.1)
            record = {"ts": 1_767_225_600_000 + 3_600_000 * i, "x": {"a": a}, "y": y}
            producer.produce(topic, json.dumps(record).encode())
    assert producer.flush(30) == 0
    del producer  # else it outlives the broker and complains
    config = tmp_path / "driftloop.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka_bootstrap}"\n'
        "[profiles.default]\nfeatures = { numeric = ['a'] }\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    words = ["backtest", f"kafka://{'|'.join(topics)}?from=0", "--config", str(config)]
    policies = ["--policy", "never", "--policy", "always", "--policy", "reducible(20)"]
    options = [*policies, "--jobs", "1", "--out", str(out), "--emit-config"]
    result = CliRunner().invoke(app, [*words, *options])
    assert result.exit_code == 0, result.output
    document = json.loads((out / "result.json").read_text(encoding="utf-8"))
    scored = {one["name"]: one["loss"] for one in document["policies"]}
    assert set(scored) == {"never", "always", "reducible(20)"}
    assert scored["always"] < 0.8 * scored["never"]
    emitted = (out / "driftloop.toml").read_text(encoding="utf-8")
    assert f'policy = "{document["advice"]["policy"]}"' in emitted
