"""The store in a folder and on a real S3-compatible server: the same promises."""

from __future__ import annotations

import time

import pytest

from driftloop.errors import ArtifactCorruptedError, ArtifactNotFoundError
from driftloop.models import ModelStore
from driftloop.models.files import open_place
from driftloop.models.retention import Held
from tests.artifacts import artifact
from tests.store.conftest import Place

LATER = 2 * 3600.0


def later(place: Place, **changes: object) -> ModelStore:
    """The same store two hours from now."""
    return ModelStore(place(**changes), now=lambda: time.time() + LATER)


def fill(store: ModelStore, stream: str, count: int) -> list[tuple[str, str]]:
    return [
        store.save(stream, f"v{i}", artifact(version=f"v{i}", stream=stream, seed=i))
        for i in range(1, count + 1)
    ]


def test_versions_are_listed_newest_first_and_load(place: Place) -> None:
    store = ModelStore(place())
    assert store.streams() == []
    assert store.versions("streams.a") == []
    saved = fill(store, "streams.a", 11)
    fill(store, "topic:3", 1)
    assert store.streams() == ["streams.a", "topic:3"]
    found = store.versions("streams.a")
    assert [one.version for one in found] == [f"v{i}" for i in range(11, 0, -1)]
    assert [one.uri for one in found] == [uri for uri, _ in reversed(saved)]
    assert all(one.complete and one.size > 500 and one.stream == "streams.a" for one in found)
    assert all(abs(time.time() - one.modified) < 60 for one in found)
    for one, (uri, digest) in zip(found, reversed(saved), strict=True):
        assert store.load(uri, digest).version == one.version
        assert store.load_stored(one)[1] == digest


def test_the_newest_and_the_held_stay_and_the_others_go(place: Place) -> None:
    store = ModelStore(place())
    saved = fill(store, "s", 8)
    fill(store, "t", 4)
    held = Held({"v2": "pinned", "v6": "current"}, {saved[2][0]: "parent"})
    gone = later(place, keep=2).prune("s", held)
    assert {judged.stored.version for judged in gone} == {"v1", "v4", "v5"}
    assert [one.version for one in store.versions("s")] == ["v8", "v7", "v6", "v3", "v2"]
    assert len(store.versions("t")) == 4, "other streams are left alone"
    for i in (2, 3, 6, 7, 8):
        assert store.load(*saved[i - 1]).seed == i
    with pytest.raises(ArtifactNotFoundError):
        store.load(*saved[0])


def test_nothing_young_is_removed_and_zero_keeps_all(place: Place) -> None:
    store = ModelStore(place(keep=1))
    fill(store, "s", 3)
    assert store.prune("s", Held()) == []
    assert later(place, keep=0).prune("s", Held()) == []
    assert len(store.versions("s")) == 3


def test_half_written_versions_go_after_the_grace_and_not_before(place: Place) -> None:
    settings = place()
    store = ModelStore(settings)
    uri, digest = store.save("s", "v1", artifact())
    fs, root = open_place(settings.uri, settings.resolved())
    for folder in (".aside-0123", "v2-01234567-0123456789ab"):
        fs.makedirs(f"{root}/s/{folder}", exist_ok=True)
        fs.pipe_file(f"{root}/s/{folder}/weights.safetensors", b"half")
    assert sorted(one.complete for one in store.versions("s")) == [False, False, True]
    assert store.prune("s", Held()) == []
    gone = later(place).prune("s", Held({"v2": "current"}))
    assert {judged.reason for judged in gone} == {"half-written"}
    assert [one.uri for one in store.versions("s")] == [uri]
    assert store.load(uri, digest).version == "v1"


def test_a_version_that_might_be_pruned_before_it_is_published_is_written_anew(
    place: Place,
) -> None:
    """What a save returns is younger than half the grace, whatever lay there before."""
    old = ModelStore(place()).save("s", "v1", artifact())
    assert ModelStore(place()).save("s", "v1", artifact()) == old
    again = later(place).save("s", "v1", artifact())
    assert again[0] != old[0]
    assert again[1] == old[1]


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer", "gone", "swapped"])
def test_damage_is_found_on_load(place: Place, name: str, damage: str) -> None:
    settings = place()
    store = ModelStore(settings)
    uri, digest = store.save("s", "v1", artifact())
    other = store.save("s", "v2", artifact(version="v2", weights=shifted()))
    (one,) = (one for one in store.versions("s") if one.version == "v1")
    fs, folder = open_place(uri, settings.resolved())
    file = f"{folder}/{name}"
    content = bytearray(fs.cat_file(file))
    if damage == "gone":
        fs.rm_file(file)
        with pytest.raises(ArtifactNotFoundError, match=name):
            store.load(uri, digest)
        return
    swapped = fs.cat_file(f"{open_place(other[0], settings.resolved())[1]}/{name}")
    bad = {"cut": content[:-1], "empty": b"", "longer": bytes(content) + b" ", "swapped": swapped}
    if damage == "flip":
        content[len(content) // 2] ^= 1
    fs.pipe_file(file, bytes(bad.get(damage, content)))
    with pytest.raises(ArtifactCorruptedError, match="sha256"):
        store.load(uri, digest)
    with pytest.raises(ArtifactCorruptedError, match=r"sha256|parse"):
        store.load_stored(one)


def shifted() -> dict[str, object]:
    return {name: value + 1 for name, value in artifact().weights.items()}
