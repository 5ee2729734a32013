"""Model plug-ins in a real trainer over a real Kafka: each failure ends its own request alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driftloop.models import ModelStore, predict
from driftloop.settings.kinds import known_kinds
from tests.integration.trainer_rig import TrainerRig
from tests.plugins import install

FAILING = {
    "raises": "plugin-raised",
    "hangs": "plugin-timeout",
    "eats": "plugin-memory",
    "exits": "plugin-died",
}
SOUND = {"sklearn_ridge": "skops", "xgboost": "ubj"}


def _tables(kinds: list[str]) -> str:
    lines = ['plugin_timeout = "20s"', 'plugin_memory = "800MiB"', "plugin_processes = 2"]
    for kind in kinds:
        lines += [
            f"[profiles.{kind}]",
            rf"topics = '.+\.{kind}\..+'",
            'features = { numeric = ["a", "b"], categorical = ["c"] }',
            f'model = {{ kind = "{kind}" }}',
            "training = { records = 500, min_records = 40 }",
        ]
    return "\n".join(lines)


@pytest.fixture
def rig(
    tmp_path: Path, kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TrainerRig]:
    """A trainer's surroundings with a profile for each kind, cleaned afterwards."""
    site = install(tmp_path / "site")
    monkeypatch.syspath_prepend(site)
    paths = [site, *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    known_kinds.cache_clear()
    made = TrainerRig(tmp_path, kafka_bootstrap, trainer=_tables([*FAILING, *SOUND]))
    yield made
    made.clean()
    known_kinds.cache_clear()


def test_requests_that_raise_hang_eat_and_die_fail_and_the_good_ones_are_published(
    rig: TrainerRig,
) -> None:
    requests = {}
    for kind in [*FAILING, *SOUND]:
        topic, data = rig.stream(f"{kind}.one", 200)
        requests[kind] = rig.request(topic, data, profile=kind)
    trainer = rig.start("--once")
    assert trainer.wait(240) == 0, rig.log
    for kind, why in FAILING.items():
        finished = rig.outcome(requests[kind])
        assert (finished.outcome, finished.reason) == ("failed", why), finished
        assert f"'{kind}'" in finished.detail
    models = {event.profile: event for event in rig.models()}
    assert sorted(models) == sorted(SOUND)
    for kind, form in SOUND.items():
        finished, event = rig.outcome(requests[kind]), models[kind]
        assert (finished.outcome, finished.version) == ("published", "v1"), finished
        assert (event.kind, event.format) == (kind, form)
        artifact = ModelStore(rig.settings.store).load(event.uri, event.sha256)
        got = predict(artifact, [[1.0, 0.0], [0.0, 1.0]], [["x", "new"]])
        assert np.allclose(got, [1.0, -2.0], atol=0.8)
    assert "no idea how" in rig.log  # the traceback is in the trainer's log
