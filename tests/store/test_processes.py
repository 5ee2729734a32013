"""Trainers in processes of their own write, load and prune at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from driftloop.models import ModelStore
from driftloop.models.retention import Held
from driftloop.settings import StoreSettings
from tests.artifacts import artifact
from tests.store.conftest import Place

ROOT = Path(__file__).parents[2]


def together(orders: list[dict[str, Any]]) -> list[Any]:
    """Run a process for each order, all let go at the same moment; give what each says."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.store.writer"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            )
            for _ in orders
        ]
        for one in processes:
            stack.callback(one.kill)
        for one, order in zip(processes, orders, strict=True):
            assert one.stdin is not None
            one.stdin.write(json.dumps(order) + "\n")
            one.stdin.flush()
        for one in processes:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n", one.stderr and one.stderr.read()
        ended = []
        for one in processes:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        for one in processes:
            out, err = one.communicate(timeout=120)
            assert one.returncode == 0, err
            ended.append(json.loads(out))
        return ended


def plain(settings: StoreSettings) -> dict[str, Any]:
    return {"uri": settings.uri, "options": settings.options, "keep": settings.keep}


def test_the_same_and_different_versions_saved_at_once_are_all_whole(place: Place) -> None:
    """Four processes: two save the same bytes, two others under the same names."""
    settings = place()
    orders = [
        {"settings": plain(settings), "seeds": seeds, "rounds": 3}
        for seeds in ([1, 2], [1, 2], [3], [4])
    ]
    saved = together(orders)
    assert saved[0] == saved[1], "the same artifact has one place, whoever writes it"
    store = ModelStore(settings)
    distinct = {uri: digest for one in saved for uri, digest in one}
    assert len(distinct) == 3 * 4
    found = store.versions("s")
    assert {one.uri for one in found} == set(distinct)
    for one in found:
        assert store.load_stored(one)[1] == distinct[one.uri]


def test_pruning_beside_saving_takes_nothing_that_is_young_or_held(place: Place) -> None:
    settings = place(keep=1)
    store = ModelStore(settings)
    old = [store.save("s", f"v{i}", artifact(version=f"v{i}")) for i in range(1, 9)]
    place.backdate(2 * 3600)
    orders: list[dict[str, Any]] = [
        {"settings": plain(settings), "seeds": [7], "rounds": 9},
        {"settings": plain(settings), "seeds": [8], "rounds": 9},
        {"settings": plain(settings), "prune": 20, "held": {"v3": "pinned"}},
        {"settings": plain(settings), "prune": 20, "held": {"v3": "pinned"}},
    ]
    first, second, *_ = together(orders)
    store.prune("s", Held({"v3": "pinned"}))  # v8 was the newest until v9 came
    for uri, digest in [*first, *second, old[2]]:
        assert store.load(uri, digest)
    left = {one.uri for one in store.versions("s")}
    assert left == {uri for uri, _ in [*first, *second, old[2]]}
