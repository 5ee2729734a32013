"""What a stream costs does not depend on how many others there are: calls are counted."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from driftloop.models import ModelStore
from driftloop.models.retention import Held
from driftloop.settings import StoreSettings
from tests.artifacts import artifact
from tests.s3 import BUCKET, S3Server

_WATCHED = {"open", "os.scandir", "os.listdir", "os.rename", "os.remove", "os.mkdir"}
_counting: list[Counter[str]] = []


def _hook(event: str, args: tuple[object, ...]) -> None:
    if _counting and event in _WATCHED and "models" in str(args[0]):
        _counting[-1][event] += 1


sys.addaudithook(_hook)


def calls(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often the file system was asked: what Python audits, and `os.stat`, which it does not."""
    counted: Counter[str] = Counter()
    for name in ("stat", "lstat"):
        real = getattr(os, name)

        def told(*args: object, real: Callable[..., object] = real, **named: object) -> object:
            counted["stat"] += 1
            return real(*args, **named)

        monkeypatch.setattr(os, name, told)
    _counting.append(counted)
    try:
        work()
    finally:
        _counting.pop()
        monkeypatch.undo()
    return dict(counted)


def clone(folder: Path, streams: int, versions: int) -> None:
    """Give so many further streams the versions of stream ``s`` (hard links: it is quick)."""
    first = next(iter((folder / "s").iterdir()))
    for i in range(streams):
        for j in range(versions):
            target = folder / f"other.{i}" / f"v{j}-01234567-0123456789ab"
            target.mkdir(parents=True)
            for file in first.iterdir():
                (target / file.name).hardlink_to(file)


def test_a_stream_costs_the_same_alone_and_among_three_thousand_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The benchmark shows it for 100,000; 3,000 are quickly made."""
    counted = []
    for size in (0, 300):
        settings = StoreSettings(uri=str(tmp_path / str(size) / "models"), keep=3)
        store = ModelStore(settings)
        saved = [store.save("s", f"v{i}", artifact(version=f"v{i}")) for i in range(1, 6)]
        clone(tmp_path / str(size) / "models", size, 10)
        works: list[Callable[[], object]] = [
            lambda store=store: store.versions("s"),
            lambda store=store, saved=saved: store.load(*saved[2]),
            lambda store=store: store.save("s", "v6", artifact(version="v6")),
            lambda store=store: store.prune("s", Held()),
        ]
        counted.append([calls(work, monkeypatch) for work in works])
    assert counted[0] == counted[1]
    assert all(counted[0]), "something was counted"
    listing = counted[0][0]
    assert listing["os.scandir"] == 1 + 5, "the stream's folder, and each of its versions"


def test_a_stream_in_a_bucket_is_listed_by_one_request(s3: S3Server) -> None:
    settings = StoreSettings(uri=f"s3://{BUCKET}/counted-models", options=s3.options())
    store = ModelStore(settings)
    saved = [store.save("s", f"v{i}", artifact(version=f"v{i}")) for i in range(1, 6)]
    clone(s3.bucket / "counted-models", 30, 10)
    before = requests(store)
    assert len(store.versions("s")) == 5
    listed = requests(store)
    assert listed - before == {"ListObjectsV2": 1}
    assert store.load(*saved[2]).version == "v3"
    assert requests(store) - listed == {"GetObject": 2}


_seen: dict[int, Counter[str]] = {}


def requests(store: ModelStore) -> Counter[str]:
    """How many requests of each kind a store's client has sent."""
    client = store._fs.s3
    if id(client) not in _seen:
        seen = _seen[id(client)] = Counter()

        def count(operation_name: str, **_: object) -> None:
            seen[operation_name] += 1

        client.meta.events.register("before-call.s3", lambda model, **_: count(model.name))
    return Counter(_seen[id(client)])
