"""The whole loop on a real Kafka: monitor, trainer and scorer, each a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from driftloop.messages import Cost, Event, ModelPublished, event_id
from driftloop.models import FORMAT, ModelArtifact, ModelStore
from tests.integration.monitor_rig import START_MS, MonitorRig

_MORE = """
[store]
uri = "{folder}/store"
[trainer]
group = "{prefix}.trainer"
instance = "{prefix}"
linger = "100ms"
device = "cpu"
[scorer]
topics = '{prefix}\\.features\\.(.+)'
output = '{prefix}.streams.\\1'
recovery = "{folder}/recovery-scorer"
"""
CHUNK = 40
_WINDOW = 60


class LoopRig(MonitorRig):
    """Feature topics that the scorer predicts, streams that the monitor watches.

    Args:
        folder: For all files.
        servers: Brokers.
        training: More keys of ``training``, as ``canary = true``.
        policy: Table of the policy.
    """

    def __init__(
        self, folder: Path, servers: str, *, training: str = "", policy: str = 'kind = "never"'
    ) -> None:
        super().__init__(folder, servers)
        text = self.config.read_text()
        head, rest = text.split("[profiles.numbers]")
        numbers, hours = rest.split("[profiles.numbers.policy]")
        numbers = numbers.replace("training = { records = 150 }", "")
        numbers = numbers.replace("records = 30 }", f"records = {_WINDOW} }}")
        more = ", ".join(part for part in ("records = 400", "min_records = 60", training) if part)
        self.config.write_text(
            head
            + _MORE.format(folder=folder, prefix=self.prefix)
            + "[profiles.numbers]"
            + numbers
            + f"training = {{ initial = 120, {more} }}\n"
            + f"[profiles.numbers.policy]\nmin_records = 60\n{policy}\n"
            + "[profiles.hours]"
            + hours.split("[profiles.hours]")[1]
        )
        self.settings = self._load()
        self._sent: dict[str, int] = {}

    def make_pair(self, name: str) -> tuple[str, str]:
        """A feature topic, and the stream that its predictions go to."""
        features = self.make(f"features.{name}")
        return features, self.make(f"streams.{name}")

    def part(self, name: str) -> subprocess.Popen[bytes]:
        """Run ``driftloop NAME`` in a process of its own."""
        return self.start(command=["-m", "driftloop", name, "--config", str(self.config)])

    def feed(
        self, features: str, records: int = CHUNK, *, slope: float = 1.0, labels: bool = True
    ) -> None:
        """Append records whose label is ``slope * a - 2 b``, and some noise."""
        first = self._sent.get(features, 0)
        generator = np.random.default_rng(first)
        values: list[bytes | None] = []
        for i in range(first, first + records):
            a, b = generator.standard_normal(2)
            record: dict[str, Any] = {
                "id": str(i),
                "ts": START_MS + 60_000 * i,
                "x": {"a": a, "b": b, "c": "xyz"[i % 3]},
            }
            if labels:
                record["y"] = slope * a - 2.0 * b + 0.3 * generator.standard_normal()
            values.append(json.dumps(record).encode())
        self._sent[features] = first + records
        self.produce(features, values)

    @property
    def store(self) -> ModelStore:
        """Where versions lie."""
        return ModelStore(self.settings.store)

    def variant(
        self, parent: ModelPublished, version: str, change: Callable[[ModelArtifact], ModelArtifact]
    ) -> dict[str, Any]:
        """Write a changed copy of a version to the store; what an event of it would tell."""
        artifact = change(self.store.load(parent.uri, parent.sha256))
        uri, sha256 = self.store.save(parent.stream, version, artifact)
        return {
            "id": event_id(parent.stream, "", "model", [artifact.request_id]),
            "stream": parent.stream,
            "profile": parent.profile,
            "version": version,
            "sequence": int(version[1:]),
            "parent_version": parent.version,
            "parent_uri": parent.uri,
            "parent_sha256": parent.sha256,
            "kind": artifact.kind,
            "uri": uri,
            "sha256": sha256,
            "format": FORMAT,
            "champion": {"loss": 1.0},
            "challenger": {"loss": 0.5},
            "data": parent.data,
            "cost": Cost(seconds=0.5, records=400, device="cpu"),
            "request_id": artifact.request_id,
        }


def spoilt(version: str) -> Callable[[ModelArtifact], ModelArtifact]:
    """A model that predicts the opposite, trained by nobody."""

    def change(artifact: ModelArtifact) -> ModelArtifact:
        weights = {name: -value for name, value in artifact.weights.items()}
        return _renamed(artifact, version, weights)

    return change


def same(version: str) -> Callable[[ModelArtifact], ModelArtifact]:
    """The same model under another name."""
    return lambda artifact: _renamed(artifact, version, artifact.weights)


def _renamed(artifact: ModelArtifact, version: str, weights: Any) -> ModelArtifact:
    fields = {name: getattr(artifact, name) for name in ModelArtifact.__dataclass_fields__}
    request = event_id(artifact.stream, "", "variant", [version])
    return ModelArtifact(
        **{**fields, "version": version, "weights": weights, "request_id": request}
    )


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    """Events of a type, each id once."""
    found = {event.id: event for event in events if isinstance(event, kind)}
    return list(found.values())
