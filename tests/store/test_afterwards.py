"""What follows a commit: retention and MLflow, with a real broker and a real MLflow server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from mlflow import MlflowClient
from prometheus_client import REGISTRY

from driftloop.kafka.broker_probe import free_ports
from driftloop.kafka.producer import CheckedProducer
from driftloop.messages import Command, ModelPublished, encode
from driftloop.models import ModelStore
from driftloop.models.artifact import sha256
from driftloop.trainer.mlflow_log import MlflowLog
from tests.integration.trainer_rig import TrainerRig

_HOURS = 2 * 3600.0


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on loopback, its database in a file."""
    folder = tmp_path_factory.mktemp("mlflow")
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
            env={**os.environ, **quiet},
        )
    try:
        deadline = time.monotonic() + 120
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # its workers too
        server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # on loopback
            return True
    except OSError:
        return False


@pytest.fixture
def rig(kafka_bootstrap: str, tmp_path: Path) -> Iterator[TrainerRig]:
    made = TrainerRig(tmp_path, kafka_bootstrap)
    yield made
    made.clean()


def configure(rig: TrainerRig, store: str = "", more: str = "") -> None:
    text = rig.config.read_text().replace("[store]\n", f"[store]\n{store}\n")
    rig.config.write_text(text + more)


def backdate(rig: TrainerRig) -> None:
    """Make all that lies in the store two hours old."""
    moment = time.time() - _HOURS
    for path in rig.store.rglob("*"):
        os.utime(path, (moment, moment))


def order(rig: TrainerRig, action: str, stream: str, version: str | None) -> None:
    event = Command(
        id=f"{action}-{stream}-{version}",
        stream=stream,
        action=action,
        who="t",
        why="t",
        issued_at=round((time.time() - _HOURS) * 1000),
        version=version,
    )
    with CheckedProducer(rig.client) as producer:
        producer.produce(rig.settings.topics.commands, encode(event))


def retrain(rig: TrainerRig, name: str, turn: int) -> str:
    """Ask for a model of new records, in which the slope is another; give the stream."""
    topic, records = rig.stream(name, seed=turn, slope=1.0 + turn)
    rig.request(topic, records)
    return topic


def versions(rig: TrainerRig, stream: str) -> list[str]:
    return [one.version for one in ModelStore(rig.settings.store).versions(stream)]


def test_the_trainer_prunes_a_stream_once_it_has_published_for_it(rig: TrainerRig) -> None:
    configure(rig, "keep = 1")
    for i in range(4):
        topic, other = retrain(rig, "streams.a", i), retrain(rig, "streams.b", i)
        rig.serve()
        if i == 1:
            order(rig, "pin", other, "v1")
        backdate(rig)
    # v4 is current and v3 its parent; what was pinned stays besides; v2 was removed when v4 came.
    assert versions(rig, topic) == ["v4", "v3"]
    assert versions(rig, other) == ["v4", "v3", "v1"]
    order(rig, "unpin", other, None)
    retrain(rig, "streams.b", 4)
    rig.serve()
    assert versions(rig, other) == ["v5", "v4"]
    published = {event.version: event for event in rig.models() if event.stream == other}
    store = ModelStore(rig.settings.store)
    newest = published["v5"]
    assert store.load(newest.uri, newest.sha256).version == "v5"


def test_a_version_that_was_not_published_yet_is_never_removed(rig: TrainerRig) -> None:
    """What another trainer has just written, and not committed, is young: it stays."""
    configure(rig, "keep = 1")
    topic = retrain(rig, "streams.a", 0)
    rig.serve()
    (event,) = rig.models()
    store = ModelStore(rig.settings.store)
    artifact = store.load(event.uri, event.sha256)
    backdate(rig)
    uri, digest = store.save(topic, "v0", artifact)  # older by its number than all
    retrain(rig, "streams.a", 1)
    rig.serve()
    assert len(rig.models()) == 2
    assert store.load(uri, digest)


@pytest.mark.slow
def test_each_version_is_a_run_with_its_files_and_a_registered_version(
    rig: TrainerRig, mlflow_server: str
) -> None:
    configure(
        rig,
        more=f'[mlflow]\ntracking_uri = "{mlflow_server}"\nexperiment = "{rig.prefix}"\n'
        "register_models = true\n",
    )
    for i in range(2):
        topic = retrain(rig, "streams.a", i)
        rig.serve()
    client = MlflowClient(mlflow_server, mlflow_server)
    experiment = client.get_experiment_by_name(rig.prefix)
    assert experiment is not None
    runs = {
        run.data.tags["driftloop.version"]: run
        for run in client.search_runs([experiment.experiment_id])
    }
    events = every_version(rig)
    assert set(runs) == set(events) == {"v1", "v2"}
    for version, run in runs.items():
        event = events[version]
        assert run.info.status == "FINISHED"
        assert run.data.tags["driftloop.request_id"] == event.request_id
        assert run.data.tags["driftloop.stream"] == topic
        assert run.data.params["kind"] == "linear"
        assert run.data.params["features"] == "a, b, c"
        assert run.data.metrics["challenger_loss"] == pytest.approx(event.challenger["loss"])
        folder = Path(client.download_artifacts(run.info.run_id, "model", str(rig.folder)))
        assert sha256((folder / "model.json").read_bytes()) == event.sha256
        assert (folder / "weights.safetensors").stat().st_size > 0
    current = client.get_model_version_by_alias(f"driftloop.{topic}", "current")
    assert current.run_id == runs["v2"].info.run_id
    back = msgspec.structs.replace(events["v1"], id="published once more")
    files = ModelStore(rig.settings.store).contents(back.uri, back.sha256)
    assert MlflowLog(rig.settings.mlflow).log(back, files) == runs["v1"].info.run_id
    assert len(client.search_runs([experiment.experiment_id])) == 2, "no second run"
    assert len(client.search_model_versions(f"name = 'driftloop.{topic}'")) == 2
    current = client.get_model_version_by_alias(f"driftloop.{topic}", "current")
    assert current.run_id == runs["v1"].info.run_id


def every_version(rig: TrainerRig) -> dict[str, ModelPublished]:
    return {event.version: event for event in rig.models()}


def test_an_mlflow_server_that_is_away_fails_no_training(rig: TrainerRig) -> None:
    configure(rig, more='[mlflow]\ntracking_uri = "http://127.0.0.1:1"\n')
    topic, records = rig.stream("streams.a")
    request = rig.request(topic, records)
    before = REGISTRY.get_sample_value("driftloop_trainer_mlflow_total", {"result": "failed"}) or 0
    rig.serve()
    assert rig.outcome(request).outcome == "published"
    after = REGISTRY.get_sample_value("driftloop_trainer_mlflow_total", {"result": "failed"})
    assert after == before + 1
