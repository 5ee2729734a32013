"""Jobs of plug-ins in processes of their own: one that fails is named, the others are served."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from driftloop.errors import TrainingError
from driftloop.models import Inputs, ModelArtifact, TrainingJob, make_plugin
from driftloop.models.kinds import _made as made
from driftloop.settings import TrainerSettings
from driftloop.settings.kinds import known_kinds
from driftloop.trainer.job import CancelledTrainingError, Fitted
from driftloop.trainer.plugins import PluginJob, PluginPool
from tests.plugins import install

QUICK = {"plugin_timeout": "60s", "plugin_memory": "700MiB", "plugin_processes": 2}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The kinds of `tests.plugins` are installed."""
    folder = install(tmp_path / "site")
    monkeypatch.syspath_prepend(folder)
    known_kinds.cache_clear()
    made.cache_clear()
    yield folder
    known_kinds.cache_clear()
    made.cache_clear()


def job(kind: str, labels: float = 5.0) -> PluginJob:
    y = np.full(20, labels)
    return PluginJob(kind, TrainingJob(inputs=Inputs(np.zeros((20, 1))), labels=y, numeric=("a",)))


def pool(**settings: object) -> PluginPool:
    return PluginPool(TrainerSettings.model_validate({**QUICK, **settings}))


def fitted(kinds: Sequence[str], **settings: object) -> list[Fitted | Exception]:
    return pool(**settings).fit([job(kind) for kind in kinds], lambda: None)


def reason(found: Fitted | Exception) -> str:
    assert isinstance(found, TrainingError), found
    return found.reason


FAILURES = {
    "raises": ("plugin-raised", "RuntimeError: no idea how"),
    "exits": ("plugin-died", "exit status 7"),
    "crashes": ("plugin-died", "signal 11"),
    "leaves": ("plugin-raised", "SystemExit: 3"),
    "eats": ("plugin-memory", "trainer.plugin_memory is 700MiB"),
    "eats-elsewhere": ("plugin-memory", "trainer.plugin_memory is 700MiB"),
    "gulps": ("plugin-memory", "could get no more memory"),
    "no-facts": ("plugin-raised", "object"),
    "few": ("plugin-raised", "one FittedModel a job"),
    "zzz": ("plugin-raised", "'zzz' cannot be used here"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_has_a_name_and_the_jobs_beside_it_are_served(kind: str) -> None:
    first, bad, last = fitted(["centre", kind, "centre"])
    assert isinstance(first, Fitted), first
    assert isinstance(last, Fitted), last
    assert reason(bad) == FAILURES[kind][0]
    assert FAILURES[kind][1] in str(bad)
    assert not working()


def test_what_a_plugin_started_ends_with_it(tmp_path: Path) -> None:
    """Though its own process died before, and what it started keeps its pipes open."""
    inputs, file = Inputs(np.zeros((20, 1))), tmp_path / "pid"
    one = TrainingJob(inputs=inputs, labels=np.zeros(20), numeric=("a",), params={"file": file})
    (bad,) = pool().fit([PluginJob("leaves-a-child", one)], lambda: None)
    assert reason(bad) == "plugin-died"
    assert "exit status 7" in str(bad)
    with contextlib.suppress(psutil.NoSuchProcess):
        orphan = psutil.Process(int(file.read_text()))
        assert orphan.status() == psutil.STATUS_ZOMBIE or orphan.wait(60) is None


def test_one_that_hangs_is_ended_and_says_how_far_it_came() -> None:
    bad, good = fitted(["hangs", "centre"], plugin_timeout="4s")
    assert reason(bad) == "plugin-timeout"
    assert "after 4 s, 25% of its work done" in str(bad)
    assert isinstance(good, Fitted), good


def test_every_job_begins_with_what_was_installed_and_nothing_else() -> None:
    found = fitted(["remembers"] * 3, plugin_processes=1)
    for one in found:
        assert isinstance(one, Fitted)
        assert one.payload is not None
        _, model = one.payload.open(one.encoding, "regression", ())  # type: ignore[arg-type]
        assert model.model["mean"][0] == 1.0


def test_a_job_runs_in_another_process_and_its_model_comes_back() -> None:
    (found,) = fitted(["centre"])
    assert isinstance(found, Fitted)
    assert found.payload is not None
    assert found.payload.facts["process"] not in {os.getpid(), 0}
    _, model = found.payload.open(found.encoding, "regression", ())  # type: ignore[arg-type]
    assert model.model["mean"][0] == 5.0
    assert make_plugin("centre").describe(model) == {"mean": 5.0}


def artifact(kind: str) -> ModelArtifact:
    (found,) = fitted(["centre"])
    assert isinstance(found, Fitted)
    assert found.payload is not None
    assert found.encoding is not None
    found.payload.kind = kind
    return ModelArtifact(
        kind=kind,
        task="regression",
        stream="s",
        version="v1",
        request_id="r",
        encoding=found.encoding,
        weights={},
        payload=found.payload,
    )


@pytest.mark.parametrize(
    ("kind", "why", "text"),
    [
        ("raises-later", "plugin-raised", "cannot predict: KeyError"),
        ("wrong-shape", "plugin-raised", r"must predict numbers of shape \(3,\), got \(3, 2\)"),
        ("hangs-later", "plugin-timeout", "trainer.plugin_timeout"),
    ],
)
def test_a_failure_in_predicting_has_a_name_too(kind: str, why: str, text: str) -> None:
    stored = artifact(kind)
    with pytest.raises(TrainingError, match=text) as caught:
        pool(plugin_timeout="3s").predict(stored, Inputs(np.zeros((3, 1))), lambda: None)
    assert caught.value.reason == why


def test_predictions_come_back() -> None:
    found = pool().predict(artifact("centre"), Inputs(np.zeros((3, 1))), lambda: None)
    assert found.tolist() == [5.0, 5.0, 5.0]


def test_a_batch_that_is_given_up_ends_its_processes() -> None:
    """However many they are, and those that they started."""
    calls = []

    def check() -> None:
        calls.append(len(working()))
        if calls[-1] >= 3:
            raise CancelledTrainingError

    with pytest.raises(CancelledTrainingError):
        pool().fit([job("hangs"), job("eats-elsewhere")], check)
    assert not working()


def working() -> list[int]:
    """Processes below the server that forks them."""
    servers = [
        one for one in psutil.Process().children() if "forkserver" in " ".join(one.cmdline())
    ]
    return [inner.pid for one in servers for inner in one.children(recursive=True)]


_PROGRAM = """
import sys
import numpy as np
from driftloop.models import Inputs, TrainingJob
from driftloop.settings import TrainerSettings
from driftloop.trainer.plugins import PluginJob, PluginPool
sys.path.insert(0, sys.argv[1])
job = TrainingJob(inputs=Inputs(np.zeros((9, 1))), labels=np.zeros(9), numeric=("a",))
PluginPool(TrainerSettings(plugin_processes=1)).fit([PluginJob("hangs", job)], lambda: None)
"""


def test_processes_end_when_the_trainer_is_killed(site: str) -> None:
    with subprocess.Popen([sys.executable, "-c", _PROGRAM, site]) as trainer:
        below = _wait_for(lambda: _grandchildren(trainer.pid))
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
        gone, alive = psutil.wait_procs(below, timeout=60)
    assert len(gone) >= 1
    assert not alive


def _grandchildren(pid: int) -> list[psutil.Process]:
    return [inner for one in psutil.Process(pid).children() for inner in one.children()]


def _wait_for(look: object) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    while not (found := look()):  # type: ignore[operator]
        assert time.monotonic() < deadline
    return found
