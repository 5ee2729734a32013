"""The model store: whole or not at all, verified on every load, never overwritten."""

from __future__ import annotations

import errno
import json
import os
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from driftloop.errors import ArtifactCorruptedError, ArtifactNotFoundError, StoreError
from driftloop.models import ModelStore, predict
from driftloop.models.retention import Held
from driftloop.settings import StoreSettings
from tests.artifacts import artifact


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ModelStore:
    uri = str(tmp_path / "models") if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return ModelStore(StoreSettings(uri=uri))


def test_what_is_saved_is_loaded_and_predicts_the_same(store: ModelStore) -> None:
    made = artifact()
    uri, digest = store.save("streams.a", "v1", made)
    loaded = store.load(uri, digest)
    x = np.random.default_rng(0).standard_normal((20, 2))
    categories = [["x", "ÿ", None, "new"] * 5]
    assert np.array_equal(predict(loaded, x, categories), predict(made, x, categories))
    assert (loaded.seed, loaded.target, loaded.data) == (made.seed, (3.0, 0.1), made.data)
    assert loaded.challenger == made.challenger
    assert f"streams.a/v1-01234567-{digest[:12]}" in uri


def test_the_same_artifact_again_is_left_as_it_is(store: ModelStore) -> None:
    assert store.save("s", "v1", artifact()) == store.save("s", "v1", artifact())


def test_another_artifact_at_the_same_place_overwrites_nothing(store: ModelStore) -> None:
    first, second = artifact(), artifact(seed=5)
    one, two = store.save("s", "v1", first), store.save("s", "v1", second)
    assert one[0] != two[0]
    assert store.load(*one).seed == first.seed
    assert store.load(*two).seed == 5


def test_nothing_at_the_place_is_said_so(store: ModelStore) -> None:
    uri, digest = store.save("s", "v1", artifact())
    with pytest.raises(ArtifactNotFoundError, match=r"model\.json"):
        store.load(uri + "x", digest)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer", "gone"])
def test_damage_is_found_on_load(tmp_path: Path, name: str, damage: str) -> None:
    store = ModelStore(StoreSettings(uri=str(tmp_path)))
    uri, digest = store.save("s", "v1", artifact())
    (file,) = tmp_path.rglob(name)
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
        with pytest.raises(ArtifactNotFoundError, match=name):
            store.load(uri, digest)
        return
    content[len(content) // 2] ^= 1
    bad = {"flip": content, "cut": content[:-1], "empty": b"", "longer": bytes(content) + b" "}
    file.write_bytes(bytes(bad[damage]))
    with pytest.raises(ArtifactCorruptedError, match="sha256"):
        store.load(uri, digest)


def test_a_manifest_of_another_release_is_refused_with_advice(tmp_path: Path) -> None:
    store = ModelStore(StoreSettings(uri=str(tmp_path)))
    uri, _ = store.save("s", "v1", artifact())
    (file,) = tmp_path.rglob("model.json")
    manifest = json.loads(file.read_text()) | {"format_version": 99}
    file.write_text(json.dumps(manifest))
    from driftloop.models.artifact import sha256  # noqa: PLC0415  # used here alone

    with pytest.raises(ArtifactCorruptedError, match="upgrade Driftloop"):
        store.load(uri, sha256(file.read_bytes()))


def test_a_file_in_the_place_of_the_folder_is_said_with_advice(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    store = ModelStore(StoreSettings(uri=str(tmp_path / "models")))
    with pytest.raises(StoreError, match="a file stands where a folder must be"):
        store.save("s", "v1", artifact())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_said_with_advice(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="right to write"):
            ModelStore(StoreSettings(uri=str(tmp_path))).save("s", "v1", artifact())
    finally:
        tmp_path.chmod(0o700)


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match="free some space"):
        ModelStore(StoreSettings(uri=str(tmp_path))).save("s", "v1", artifact())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_stream_names_become_folders_inside_the_store(tmp_path: Path) -> None:
    store = ModelStore(StoreSettings(uri=str(tmp_path)))
    uri, digest = store.save("topic:3", "v1", artifact())
    assert "topic@3" in uri
    assert store.load(uri, digest).version == "v1"
    for name in ("../../evil", "..", "/"):
        uri, _ = store.save(name, "v1", artifact())
        assert str(tmp_path) in uri
        assert ".." not in Path(uri).parts


def test_what_lies_elsewhere_is_not_read_unless_the_place_is_trusted(tmp_path: Path) -> None:
    """Whoever may write events, and not into the store, has no model served by it."""
    root, old = tmp_path / "models", tmp_path / "models-old"
    store = ModelStore(StoreSettings(uri=str(root)))
    inside, _ = store.save("s", "v1", artifact())
    uri, digest = ModelStore(StoreSettings(uri=str(old))).save("s", "v1", artifact())
    disguised = f"file://{root}/s/../../models-old/{uri.partition('models-old/')[2]}"
    chained = f"{inside}::{uri}"
    places = (uri, uri.removeprefix("file://"), disguised, chained, "http://127.0.0.1:1/s/v1")
    for place in places:
        for call in (lambda: store.load(place, digest), lambda: store.manifest(place)):  # noqa: B023
            with pytest.raises(StoreError, match=r"is not read.*in store\.also"):
                call()
    moved = ModelStore(StoreSettings(uri=str(root), also=[str(old)]))
    assert moved.load(uri, digest).version == "v1"
    for place in (inside, inside.removeprefix("file://"), uri.removeprefix("file://")):
        assert moved.load(place, digest).version == "v1"
    for place in places[2:]:
        with pytest.raises(StoreError, match="is not read"):
            moved.load(place, digest)


def test_an_unknown_protocol_is_said() -> None:
    with pytest.raises(StoreError, match=r"store\.uri"):
        ModelStore(StoreSettings(uri="nowhere://x"))


def test_a_version_that_cannot_be_looked_at_is_an_error_and_not_garbage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails for a moment must not make a version look half-written."""
    store = ModelStore(StoreSettings(uri=str(tmp_path)), now=lambda: time.time() + 7200)
    uri, digest = store.save("s", "v1", artifact())
    real = os.scandir

    def fails(path: str) -> object:
        if "v1-" in str(path):
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(os, "scandir", fails)
    with pytest.raises(StoreError, match="Input/output error"):
        store.prune("s", Held())
    monkeypatch.undo()
    assert store.load(uri, digest).version == "v1"
