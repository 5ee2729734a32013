"""A trainer's part in the store, as a process of its own: saves, loads, prunes, and says so."""

from __future__ import annotations

import json
import sys

from driftloop.models import ModelStore
from driftloop.models.retention import Held
from driftloop.settings import StoreSettings
from tests.artifacts import artifact


def save(store: ModelStore, seeds: list[int], rounds: int) -> list[list[str]]:
    """Save versions of one stream, each loaded at once; one artifact for each seed."""
    saved = []
    for i in range(1, rounds + 1):
        for seed in seeds:
            made = artifact(version=f"v{i}", seed=seed)
            uri, digest = store.save("s", f"v{i}", made)
            assert store.load(uri, digest).seed == seed
            saved.append([uri, digest])
    return saved


def main() -> None:
    """Do what the first line of standard input orders, once the second line comes."""
    order = json.loads(sys.stdin.readline())
    settings = StoreSettings(**order["settings"])
    store = ModelStore(settings)
    print("ready", flush=True)  # noqa: T201  # told to the test
    sys.stdin.readline()
    if "seeds" in order:
        print(json.dumps(save(store, order["seeds"], order["rounds"])))  # noqa: T201
        return
    held = Held(order["held"])
    removed = sum(len(store.prune("s", held)) for _ in range(order["prune"]))
    print(removed)  # noqa: T201


if __name__ == "__main__":
    main()
