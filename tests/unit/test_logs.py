"""Logs: one style of events, and the Kafka client's own lines among them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
_EVENT = re.compile(
    r"_log\.(?:debug|info|warning|error|exception|critical)\(\s*(f?)[\"']([^\"']*)[\"']"
)


def test_every_event_is_named_in_dotted_snake_case() -> None:
    found = [
        (file.name, prefix, name)
        for file in SOURCE.rglob("*.py")
        for prefix, name in _EVENT.findall(file.read_text(encoding="utf-8"))
    ]
    assert len(found) > 30
    wrong = [one for one in found if one[1] or not re.fullmatch(r"[a-z]+(\.[a-z_]+)+", one[2])]
    assert not wrong


def test_the_kafka_clients_own_lines_are_key_value_lines() -> None:
    script = (
        "from driftloop import logs\n"
        "from confluent_kafka import Consumer\n"
        "logs.configure(json=True)\n"
        "c = Consumer({'bootstrap.servers': '127.0.0.1:1', 'group.id': 'g'},\n"
        "             logger=logs.client_logger())\n"
        "for _ in range(40):\n"  # the client tells it soon, but not at once
        "    c.poll(0.1)\n"
        "c.close()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert any(
        line["event"] == "kafka.client"
        and line["level"] == "error"
        and "127.0.0.1:1" in line["message"]
        for line in lines
    )


def test_a_level_holds_for_the_client_too() -> None:
    script = (
        "import logging; from driftloop import logs\n"
        "logs.configure(json=True, level='error')\n"
        "logs.client_logger().warning('quiet')\n"
        "logs.client_logger().error('loud')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "quiet" not in ended.stderr
    assert "loud" in ended.stderr


def test_lines_that_differ_in_figures_alone_are_told_seldom() -> None:
    script = (
        "from driftloop import logs\n"
        "logs.configure(json=True)\n"
        "logger = logs.client_logger()\n"
        "for i in range(500):\n"
        "    logger.error('FAIL [thrd:b/%d]: connection refused after %d ms', i, 2 * i)\n"
        "logger.error('AUTH [thrd:b/1]: denied')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    told = [json.loads(line)["message"] for line in ended.stderr.splitlines()]
    assert told == ["FAIL [thrd:b/0]: connection refused after 0 ms", "AUTH [thrd:b/1]: denied"]
