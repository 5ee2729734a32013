"""What a stream costs does not depend on how many others there are: calls are counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.store import VERSIONS, calls, clone, fill, works
from driftloop.models import ModelStore
from driftloop.settings import StoreSettings
from tests.artifacts import artifact
from tests.s3 import BUCKET, S3Server


def test_a_stream_costs_the_same_alone_and_among_three_thousand_versions(
    tmp_path: Path,
) -> None:
    """The benchmark shows it for 100,000; 3,000 are quickly made."""
    counted = []
    for size in (10, 3000):
        folder = tmp_path / str(size)
        store, saved = fill(folder, size)
        done = works(store, saved)
        counted.append({name: calls(work, folder) for name, work in done.items()})
        everything = calls(lambda: [store.versions(one) for one in store.streams()], folder)  # noqa: B023
        assert everything["os.scandir"] >= size, "what costs more with each version is counted"
    assert counted[0] == counted[1]
    assert counted[0]["list"]["os.scandir"] == 1 + VERSIONS, "its folder, and each version's"
    assert all(counted[0].values())


def test_a_stream_in_a_bucket_is_listed_by_one_request(s3: S3Server) -> None:
    settings = StoreSettings(uri=f"s3://{BUCKET}/counted", options=s3.options())
    store = ModelStore(settings)
    saved = [store.save("s", f"v{i}", artifact(version=f"v{i}")) for i in range(1, 6)]
    folder = s3.bucket / "counted"
    clone(next((folder / "s").iterdir()), folder, 30, 10)
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
