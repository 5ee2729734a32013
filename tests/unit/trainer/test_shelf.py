"""A store that is away for a while: its folder is moved away and brought back."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from driftloop.errors import ArtifactNotFoundError, StoreError, StoreUnavailableError, TrainingError
from driftloop.messages import ModelPublished
from driftloop.models import ModelArtifact, ModelStore
from driftloop.models.files import unreadable, unwritable
from driftloop.records import Columns
from driftloop.settings import StoreSettings
from driftloop.trainer import shelf
from driftloop.trainer.history import Current
from driftloop.trainer.job import Check
from driftloop.trainer.load import Wanted
from driftloop.trainer.work import Result, Trainer
from tests.artifacts import artifact
from tests.unit.trainer.test_work import _load, _profile, _request, _run, _trainer


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "PAUSES", (0.0, 0.0))


class Volume:
    """A store's folder that can be away."""

    def __init__(self, folder: Path) -> None:
        self.root, self.aside = folder / "store", folder / "aside"
        self.settings = StoreSettings(uri=str(self.root))
        self.store = ModelStore(self.settings)

    def leave(self) -> None:
        self.root.rename(self.aside)

    def come_back(self) -> None:
        self.aside.rename(self.root)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


def _first(volume: Volume) -> ModelPublished:
    (result,) = _run(_trainer(_profile(), store=volume.store), [_request(1)])  # type: ignore[arg-type]
    assert result.published is not None
    return result.published


def _away(volume: Volume, *, mount_point: bool) -> None:
    volume.leave()
    if mount_point:  # what an unmounted volume leaves
        volume.root.mkdir()


@pytest.mark.parametrize("mount_point", [False, True])
def test_a_store_that_is_away_gives_the_round_back_before_anything_is_loaded(
    volume: Volume, *, mount_point: bool
) -> None:
    before = _first(volume)
    _away(volume, mount_point=mount_point)
    loaded = []

    def load(wanted: Mapping[str, Wanted], check: Check) -> Mapping[str, Columns | TrainingError]:
        loaded.append(wanted)
        return _load(wanted, check)

    trainer = _trainer(_profile(), load, ModelStore(volume.settings))  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailableError, match="mount or restore it"):
        _run(trainer, [_request(1)], before)
    assert not loaded
    if mount_point:
        volume.root.rmdir()
    assert not volume.root.exists(), "nothing is made in its place"
    volume.come_back()
    (result,) = _run(trainer, [_request(1)], before)
    assert result.finished.outcome in {"published", "rejected"}, result.finished
    assert result.finished.champion is not None


class LeavingAt(ModelStore):
    """Its volume leaves just before a version is read for the first time."""

    volume: Volume
    place = ""

    def load(self, uri: str, digest: str) -> ModelArtifact:
        if uri == self.place and self.volume.root.exists():
            self.volume.leave()
        return super().load(uri, digest)


def test_a_champion_is_not_judged_without_its_parent_because_the_store_is_away(
    volume: Volume,
) -> None:
    first = _first(volume)
    found = replace(volume.store.load(first.uri, first.sha256), version="v2")
    uri, digest = volume.store.save(first.stream, "v2", found)
    champion = msgspec.structs.replace(
        first,
        version="v2",
        sequence=2,
        parent_version="v1",
        uri=uri,
        sha256=digest,
        parent_uri=first.uri,
        parent_sha256=first.sha256,
    )
    store = LeavingAt(volume.settings)
    store.volume, store.place = volume, first.uri
    trainer = _trainer(_profile(), store=store)  # type: ignore[arg-type]

    def run() -> Result:
        current = Current(champion, 2, judged=False)
        return trainer.run([_request(1)], lambda _: current)[0]

    with pytest.raises(StoreUnavailableError, match="mount or restore it"):
        run()
    store.place = ""
    volume.come_back()
    assert "not compared" not in run().finished.detail


def test_a_champion_of_another_place_is_refused_with_what_to_do(
    volume: Volume, tmp_path: Path
) -> None:
    before = _first(Volume(tmp_path / "other"))
    volume.store.save("s9", "v1", artifact())
    (result,) = _run(_trainer(_profile(), store=volume.store), [_request(1)], before)  # type: ignore[arg-type]
    assert (result.finished.outcome, result.finished.reason) == ("failed", "champion-unreadable")
    assert "name the folder above them in store.also" in result.finished.detail


class Leaving(ModelStore):
    """Its volume leaves just before the first save, with all that was trained."""

    volume: Volume
    saves = 0

    def save(self, stream: str, version: str, artifact: ModelArtifact) -> tuple[str, str]:
        self.saves += 1
        if self.saves == 1:
            self.volume.leave()
        return super().save(stream, version, artifact)


def _leaving(volume: Volume) -> tuple[Leaving, Trainer]:
    store = Leaving(volume.settings)
    store.volume = volume
    return store, _trainer(_profile(), store=store)  # type: ignore[arg-type]


def test_a_save_is_tried_again_for_a_moment_and_nothing_is_trained_twice(volume: Volume) -> None:
    _first(volume)
    store, trainer = _leaving(volume)
    requests = [_request(2), _request(3)]

    def check() -> None:
        if store.saves and volume.aside.exists():
            volume.come_back()

    results = trainer.run(requests, lambda _: Current(None, 0), check)
    assert [one.finished.outcome for one in results] == ["published", "published"]
    assert store.saves == 3, "the first one twice"


def test_a_save_that_stays_away_gives_the_round_back_and_the_next_asks_before_it_trains(
    volume: Volume,
) -> None:
    _first(volume)
    store, trainer = _leaving(volume)
    with pytest.raises(StoreUnavailableError):
        _run(trainer, [_request(2)])
    assert store.saves == 3, "once, and once after each pause"
    assert not volume.root.exists(), "nothing is made in its place"
    with pytest.raises(StoreUnavailableError):
        _run(trainer, [_request(2)])
    assert store.saves == 3, "not trained and saved while it is known to be away"
    volume.come_back()
    (result,) = _run(trainer, [_request(2)])
    assert result.finished.outcome == "published"


def test_nothing_is_made_in_place_of_a_store_that_left_before_it_was_used(volume: Volume) -> None:
    _first(volume)
    trainer = _trainer(_profile(), store=ModelStore(volume.settings))  # type: ignore[arg-type]
    volume.leave()
    with pytest.raises(StoreUnavailableError, match="mount or restore it"):
        _run(trainer, [_request(2)])
    assert not volume.root.exists()


def test_a_file_in_place_of_the_store_ends_the_request_without_a_tombstone(
    volume: Volume,
) -> None:
    before = _first(volume)
    volume.leave()
    volume.root.write_text("")
    (result,) = _run(_trainer(_profile(), store=volume.store), [_request(1)], before)  # type: ignore[arg-type]
    assert (result.finished.outcome, result.finished.reason) == ("failed", "champion-unreadable")
    assert "a file stands where a folder must be" in result.finished.detail
    assert "tombstone" not in result.finished.detail


def test_a_version_that_is_gone_from_a_store_that_is_there_ends_its_request_alone(
    volume: Volume,
) -> None:
    before = _first(volume)
    Path(before.uri.removeprefix("file://")).rename(volume.root / "elsewhere")
    (result,) = _run(_trainer(_profile(), store=volume.store), [_request(1)], before)  # type: ignore[arg-type]
    assert result.finished.reason == "champion-missing"
    assert "only if it is lost for good, send a tombstone" in result.finished.detail


def test_what_the_store_gives_of_others_and_never_of_this_ends_its_request_alone(
    volume: Volume,
) -> None:
    """As a bad sector below one file does, while the store as a whole answers."""
    volume.store.save("s", "v1", artifact())

    def sector() -> None:
        raise unreadable(volume.store._fs, "model.json", OSError(errno.EIO, "I/O error"))

    with pytest.raises(StoreError, match="the store answers otherwise") as caught:
        shelf.settled(volume.store, sector)
    assert not isinstance(caught.value, StoreUnavailableError)
    volume.leave()
    with pytest.raises(StoreUnavailableError):
        shelf.settled(volume.store, sector)


@pytest.mark.parametrize(
    ("number", "passes"),
    [
        *((one, True) for one in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOENT)),
        *((one, False) for one in (errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.ENOSPC)),
        *((one, False) for one in (errno.EFBIG, errno.EDQUOT, errno.EEXIST, errno.ELOOP)),
    ],
)
def test_which_faults_are_waited_for(volume: Volume, number: int, *, passes: bool) -> None:
    error = OSError(number, "told")
    for made in (unreadable, unwritable):
        found = made(volume.store._fs, "place", error)
        assert isinstance(found, StoreUnavailableError) is passes


def test_a_new_store_is_made_by_its_first_version_and_not_by_a_probe(volume: Volume) -> None:
    volume.store.probe()
    volume.store.expect()
    assert not volume.root.exists()
    assert list(volume.root.parent.iterdir()) == []
    uri, digest = volume.store.save("s", "v1", artifact())
    assert volume.store.load(uri, digest).version == "v1"
    with pytest.raises(ArtifactNotFoundError):
        volume.store.load(f"{uri}-other", digest)
