"""Orders reach a running monitor: by the command line, and by the producer of docs/events.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from driftloop.cli.app import app
from driftloop.messages import RetrainRequested
from tests.integration.monitor_rig import WINDOW, MonitorRig, jumping

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[MonitorRig]:
    """A running monitor."""
    with MonitorRig(tmp_path_factory.mktemp("commands"), kafka_bootstrap) as rig:
        process = rig.start()
        yield rig
        assert rig.stop(process) == 0


def test_the_command_line_orders_a_snooze_and_a_retrain(rig: MonitorRig) -> None:
    topic = rig.make("streams.ordered")
    rig.produce(topic, jumping(2 * WINDOW, jump=1.0))

    def order(action: str, stream: str, *more: str) -> subprocess.CompletedProcess[str]:
        named = ["--who", "ada", "--why", "a test", "--config", str(rig.config)]
        return rig.run("command", action, stream, *named, *more)

    with rig.tail("status", "retrain") as tail:
        tail.until(lambda: (one := tail.status(topic)) and one.windows == 2, "two windows")
        done = order("snooze", topic, "--until", "2040-01-01T00:00:00Z")
        assert done.returncode == 0, done.stderr
        assert f"snooze ordered for {topic}" in done.stdout
        tail.until(lambda: tail.status(topic).state == "snoozed", "a snooze")  # type: ignore[union-attr]
        assert order("retrain", topic).returncode == 0
        found = tail.until(
            lambda: [e for e in tail.events(topic) if isinstance(e, RetrainRequested)], "a request"
        )
    assert found[0].reason == "command"
    assert found[0].grounds[0].detail == "ada: a test"
    misspelt = order("retrain", f"{rig.prefix}.streams.orderd")
    assert misspelt.returncode == 2
    assert "a topic that exists" in misspelt.stderr


def test_the_producer_of_the_page_pins_a_stream(rig: MonitorRig) -> None:
    topic = rig.make("streams.pinned")
    rig.produce(topic, jumping(WINDOW, jump=1.0))
    section = PAGE.read_text(encoding="utf-8").split("## Commands")[1].split("## Types")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    code = code.replace("streams.lyon", topic)
    code = code.replace("driftloop.commands", rig.settings.topics.commands)
    servers = rig.settings.kafka.bootstrap_servers
    with rig.tail("status") as tail:
        tail.until(lambda: tail.status(topic), "a status")
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": servers},
        )
        tail.until(lambda: tail.status(topic).state == "pinned", "a pin")  # type: ignore[union-attr]


def test_topics_are_made_once_and_with_their_partitions(
    monkeypatch: pytest.MonkeyPatch,
    kafka_bootstrap: str,
    admin: AdminClient,
    topic_name: Callable[..., str],
) -> None:
    """On the Kafka that the environment names."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
    names = [topic_name("made"), topic_name("made")]
    try:
        made = CliRunner().invoke(app, ["kafka", "topic", *names, "--partitions", "3"])
        assert made.output.splitlines() == [f"{name}: made" for name in names]
        again = CliRunner().invoke(app, ["kafka", "topic", names[0]])
        assert again.output == f"{names[0]}: is there already\n"
        topics = admin.list_topics(timeout=30).topics
        assert [len(topics[name].partitions) for name in names] == [3, 3]
    finally:
        for future in admin.delete_topics(names).values():
            future.exception(30)
