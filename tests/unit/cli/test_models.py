"""``driftloop models`` without a broker: what it shows, refuses, and how it exits."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from click.testing import Result
from typer.testing import CliRunner

from driftloop.cli.app import app
from driftloop.errors import KafkaUnavailableError
from driftloop.models import ModelStore, predict
from driftloop.models.artifact import sha256
from driftloop.settings import StoreSettings
from tests.artifacts import artifact


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """A store of two streams, and a configuration whose broker does not answer."""
    (tmp_path / "driftloop.toml").write_text(
        f"[store]\nuri = '{tmp_path / 'models'}'\n[kafka]\nbootstrap_servers = '127.0.0.1:1'\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    made = ModelStore(StoreSettings(uri=str(tmp_path / "models")))
    for i in range(1, 12):
        made.save("streams.a", f"v{i}", artifact(version=f"v{i}", seed=i, records=100 * i))
    made.save("streams.b", "v1", artifact(stream="streams.b"))
    return made


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["models", *words])


def shown(*words: str) -> Any:
    ended = run(*words, "--json", "--offline")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_all_streams_are_listed_a_line_each(store: ModelStore) -> None:
    ended = run("list", "--offline")
    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert lines[1].split()[:4] == ["streams.a", "-", "v11", "11"]
    assert lines[2].split()[:4] == ["streams.b", "-", "v1", "1"]
    found = shown("list")["streams"]
    assert [(one["stream"], one["versions"]) for one in found] == [
        ("streams.a", 11),
        ("streams.b", 1),
    ]
    assert found[0]["size"] == sum(one.size for one in store.versions("streams.a"))


@pytest.mark.usefixtures("store")
def test_versions_are_listed_newest_first_and_more_on_request() -> None:
    found = shown("list", "streams.a", "--limit", "3")
    assert [one["version"] for one in found["versions"]] == ["v11", "v10", "v9"]
    assert found["found"] == 11
    first = found["versions"][0]
    assert (first["kind"], first["records"], first["loss_challenger"]) == (
        "mlp_regressor",
        1100,
        0.5,
    )
    assert (
        "8 older ones are not shown" in run("list", "streams.a", "--limit", "3", "--offline").stdout
    )
    assert len(shown("list", "streams.a", "--limit", "0")["versions"]) == 11


def test_an_empty_store_says_what_fills_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("list", "--offline")
    assert ended.exit_code == 0
    assert "driftloop trainer" in ended.stdout


@pytest.mark.usefixtures("store")
def test_a_version_is_shown_whole() -> None:
    found = shown("show", "streams.a", "v3")
    assert found["manifest"]["version"] == "v3"
    assert found["manifest"]["data"] == ["streams.a:0:0:9"]
    text = run("show", "streams.a", "v3", "--offline").stdout
    for told in ("v3 of streams.a", "streams.a:0:0:9", found["sha256"], "300 records", "c (2 cat"):
        assert told in text
    assert shown("show", "streams.a")["manifest"]["version"] == "v11", "the newest, offline"


@pytest.mark.usefixtures("store")
def test_two_versions_are_compared() -> None:
    found = shown("diff", "streams.a", "v3", "v5")
    assert {"what": "seed", "old": 3, "new": 5} in found["settings"]
    assert {"what": "records trained on", "old": 300, "new": 500} in found["metrics"]
    text = run("diff", "streams.a", "v3", "v5", "--offline").stdout
    assert "v3 → v5" in text
    assert "weight.0" in text


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("list", "stream.a"), "did you mean streams.a"),
        (("show", "streams.a", "v12"), "did you mean v"),
        (("diff", "streams.a", "v1", "nope"), "driftloop models list streams.a"),
        (("export", "zzz", "--to", "x"), "driftloop models list names all streams"),
    ],
)
def test_what_is_not_there_is_told_with_near_names_and_status_2(
    words: tuple[str, ...], told: str
) -> None:
    ended = run(*words, "--offline")
    assert ended.exit_code == 2
    assert told in ended.stderr


def test_an_export_is_the_artifact_and_replaces_nothing(store: ModelStore, tmp_path: Path) -> None:
    target = tmp_path / "out"
    ended = run("export", "streams.a", "v2", "--to", str(target), "--offline")
    assert ended.exit_code == 0, ended.output
    (one,) = (one for one in store.versions("streams.a") if one.version == "v2")
    _, digest = store.load_stored(one)
    assert sha256((target / "model.json").read_bytes()) == digest
    again = run("export", "streams.a", "v3", "--to", str(target), "--offline")
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert sha256((target / "model.json").read_bytes()) == digest
    single = tmp_path / "w.safetensors"
    assert run("export", "streams.a", "v2", "--to", str(single), "--offline").exit_code == 0
    assert single.read_bytes() == (target / "weights.safetensors").read_bytes()


def test_an_onnx_export_is_a_graph_that_names_its_version(
    store: ModelStore, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    words = ("export", "streams.a", "v2", "--format", "onnx", "--offline", "--to")
    ended = run(*words, str(target))
    assert ended.exit_code == 0, ended.output
    (file,) = target.iterdir()
    assert file.name == "streams.a-v2.onnx"
    session = onnxruntime.InferenceSession(file)
    assert session.get_modelmeta().custom_metadata_map["version"] == "v2"
    x, texts = np.array([[1.0, 2.0], [np.nan, 0.0]]), np.array([["x"], [""]], dtype=object)
    (found,) = session.run(["prediction"], {"numeric": x, "categorical": texts})
    (one,) = (one for one in store.versions("streams.a") if one.version == "v2")
    model, _ = store.load_stored(one)
    assert np.allclose(found, predict(model, x, [["x", None]]), rtol=1e-5)
    single = tmp_path / "m.onnx"
    assert run(*words, str(single)).exit_code == 0
    assert single.read_bytes() == file.read_bytes()
    assert run(*words, str(single)).exit_code == 2


@pytest.mark.usefixtures("store")
def test_verifying_names_each_fault_and_exits_1(tmp_path: Path) -> None:
    ended = run("verify", "--offline")
    assert ended.exit_code == 0
    assert "12 versions of 2 streams verified: none at fault" in ended.stdout
    (weights,) = (tmp_path / "models" / "streams.a").glob("v4-*/weights.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (manifest,) = (tmp_path / "models" / "streams.b").glob("v1-*/model.json")
    manifest.write_text(manifest.read_text().replace('"seed"', '"sead"'))
    ended = run("verify", "--offline", "--json")
    assert ended.exit_code == 1
    faults = json.loads(ended.stdout)["faults"]
    assert [(one["stream"], one["version"]) for one in faults] == [
        ("streams.a", "v4"),
        ("streams.b", "v1"),
    ]
    assert "sha256" in faults[0]["why"]
    assert "does not parse" in faults[1]["why"]
    assert run("verify", "streams.a", "v3", "--offline").exit_code == 0


def test_a_manifest_that_was_changed_whole_is_found_by_its_folders_name(
    store: ModelStore, tmp_path: Path
) -> None:
    del store
    (manifest,) = (tmp_path / "models" / "streams.b").glob("v1-*/model.json")
    manifest.write_text(manifest.read_text().replace("0.5", "0.1"))
    ended = run("verify", "streams.b", "--offline", "--json")
    assert ended.exit_code == 1
    assert "folder's name" in json.loads(ended.stdout)["faults"][0]["why"]


@pytest.mark.usefixtures("store")
def test_without_a_broker_it_is_said_what_is_not_known_and_nothing_is_pruned(
    tmp_path: Path,
) -> None:
    moment = time.time() - 7200
    for path in (tmp_path / "models").rglob("*"):
        os.utime(path, (moment, moment))
    ended = run("list")
    assert ended.exit_code == 0
    assert "no Kafka answers at 127.0.0.1:1" in ended.stderr
    ended = run("prune", "--yes", "--keep", "1")
    assert isinstance(ended.exception, KafkaUnavailableError)
    assert "nothing is removed" in str(ended.exception)
    assert len(shown("list", "streams.a", "--limit", "0")["versions"]) == 11
