"""A trainer killed at each step of its work, exactly there: one outcome and one version each."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.models import ModelStore
from tests.integration.dying_trainer import STEPS
from tests.integration.trainer_rig import TrainerRig


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[TrainerRig]:
    """A trainer's surroundings, cleaned afterwards."""
    made = TrainerRig(tmp_path, kafka_bootstrap)
    yield made
    made.clean()


def _die(rig: TrainerRig, step: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.integration.dying_trainer", step, str(rig.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stdout


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_each_request_has_one_outcome_and_one_version(
    rig: TrainerRig, step: str
) -> None:
    """One stream has a champion, one has none, one asks for what no trainer can do."""
    first, data = rig.stream("curves.a", 120)
    rig.request(first, data, profile="curves")
    rig.serve()
    _, newer = rig.stream("curves.a", 200, seed=1, slope=5.0)
    curve, curve_data = rig.stream("curves.b", 200, seed=2)
    few, few_data = rig.stream("curves.few", 10)
    requests = [
        rig.request(first, newer, profile="curves", version="v1"),
        rig.request(curve, curve_data, profile="curves"),
        rig.request(few, few_data, profile="curves"),
    ]
    before = rig.trainings()
    _die(rig, step)
    known = rig.trainings()[len(before) :] if step != "in-commit" else []
    assert len(known) == (3 if step == "after-commit" else 0)
    lying = [one for one in rig.store.rglob("model.json") if not one.parent.name.startswith(".")]
    assert len(lying) == {"after-load": 1, "in-training": 1, "in-store": 1, "after-store": 2}.get(
        step, 3
    )
    rig.serve()

    outcomes = [one for one in rig.trainings() if one.id not in {done.id for done in before}]
    assert Counter(one.request_id for one in outcomes) == Counter({one.id: 1 for one in requests})
    assert [rig.outcome(one).version for one in requests] == ["v2", "v1", None]
    assert rig.outcome(requests[2]).reason == "too-few-records"
    models = rig.models()
    assert sorted((one.stream, one.version) for one in models) == sorted(
        [(first, "v1"), (first, "v2"), (curve, "v1")]
    )
    store = ModelStore(rig.settings.store)
    for one in models:
        assert store.load(one.uri, one.sha256).request_id == one.request_id
    for stream, versions in ((first, ["v2", "v1"]), (curve, ["v1"])):  # none lies there twice
        found = [one.version for one in store.versions(stream) if one.version]
        assert found == versions
