"""A real Prometheus scrapes the live parts: there are data behind every panel, and rules work."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftloop.messages import ModelPublished
from tests.deploy.manifests import ROOT
from tests.deploy.test_dashboard import panels
from tests.integration.loop_rig import LoopRig, of
from tests.integration.monitor_rig import MARGIN
from tests.integration.scrapes import free_port, get, until_ready
from tests.prometheus import needed

INTERVAL = "20s"
NEEDS = {
    "GPU memory": "a GPU",
    "GPU use": "a GPU and nvidia-ml-py",
    "Budget left today": "trainer.budget, which has no limit by default",
}
"""Panels that are empty here, and what they need."""


class Prometheus:
    """A server that scrapes the ports of the parts, with the rules of the project.

    Args:
        folder: For its files.
        ports: Port of each part.
    """

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        folder.mkdir()
        self.port = free_port()
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ROOT / "deploy" / "prometheus" / "alerts.yml")],
            "scrape_configs": [
                {
                    "job_name": f"driftloop-{part}",
                    "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                }
                for part, port in ports.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [
                needed("prometheus"),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self.log,
            stderr=self.log,
        )

    def ask(self, path: str, **query: str) -> Any:
        """An answer of its API, or None while it does not listen."""
        status, body = get(self.port, f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
        if not status:
            return None
        answer = json.loads(body)
        assert answer["status"] == "success", answer
        return answer["data"]

    def has(self, expression: str) -> bool:
        """Whether there are data behind an expression of the dashboard."""
        text = expression.replace("$__rate_interval", INTERVAL)
        found = self.ask("query", query=text)
        return bool(found and found["result"])

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(MARGIN)
        self.log.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What still runs is ended afterwards."""
    with ExitStack() as made:
        yield made


@pytest.mark.slow
def test_there_are_data_behind_every_panel(
    tmp_path: Path, kafka_bootstrap: str, stack: ExitStack
) -> None:
    rig = stack.enter_context(LoopRig(tmp_path, kafka_bootstrap))
    features, stream = rig.make_pair("a")
    ports = {}
    for part in ("monitor", "trainer", "scorer"):
        ports[part] = free_port()
        command = ["-m", "driftloop", part, "--config", str(rig.config)]
        rig.start(command=[*command, "--metrics", f"127.0.0.1:{ports[part]}"])
    for port in ports.values():
        until_ready(rig, port)
    prometheus = Prometheus(tmp_path / "prometheus", ports)
    stack.callback(prometheus.close)
    tail = stack.enter_context(rig.tail("models"))
    expressions = {
        (panel["title"], target["expr"])
        for panel in panels()
        if panel["title"] not in NEEDS
        for target in panel["targets"]
    }
    missing = set(expressions)

    def feed() -> None:
        rig.feed(features)
        rig.produce(features, [b"{"])
        rig.produce(stream, [b"["])

    def until(done: Callable[[], Any], what: Callable[[], str]) -> None:
        deadline = time.monotonic() + 2 * MARGIN
        while not done():
            assert time.monotonic() < deadline, what()
            rig.check()
            feed()
            tail.poll(0.5)

    until(lambda: of(tail.events(stream), ModelPublished), lambda: "no first version")

    def all_there() -> bool:
        nonlocal missing
        missing = {one for one in missing if not prometheus.has(one[1])}
        return not missing

    until(all_there, lambda: f"no data behind {sorted(missing)}")
    for panel in panels():
        if panel["title"] in NEEDS:
            assert not any(prometheus.has(target["expr"]) for target in panel["targets"])
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == 20
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    firing = {alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]}
    assert "DriftloopPartNotReady" not in firing
