"""The old version serves until the new one is loaded and verified."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from driftloop.errors import StoreError
from driftloop.messages import ModelPublished
from driftloop.models import ModelArtifact
from driftloop.scorer.versions import ATTEMPTS, VersionFollower
from tests.scoring import World


class Later(Executor):
    """Runs what was submitted when told to, so that a test chooses when a load is done."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []
        self.eager = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Keep a call, or run it at once."""
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        if self.eager:
            self.run()
        return future

    def run(self) -> None:
        """Run all calls that wait."""
        waiting, self.waiting = self.waiting, []
        for future, call in waiting:
            try:
                future.set_result(call())
            except StoreError as error:
                future.set_exception(error)


class Setup:
    """A follower with a clock and an executor that the test moves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.executor = Later()
        self.now = 0.0
        self.follower = self.fresh()

    def fresh(self) -> VersionFollower:
        """Another follower of the same stream."""
        store = self.world.store
        return VersionFollower("streams.s", store.load, self.executor, lambda: self.now)

    def version(self) -> str | None:
        """Version that the next record gets."""
        model: ModelArtifact | None = self.follower.model()
        return model.version if model else None

    def publish(self, sequence: int, **options: Any) -> ModelPublished:
        """A version event."""
        return self.world.publish("streams.s", sequence, float(sequence), **options)


@pytest.fixture
def setup(world: World) -> Setup:
    """A follower whose first records find no model."""
    made = Setup(world)
    assert made.version() is None
    return made


def test_the_old_version_serves_while_the_new_one_is_loaded(setup: Setup) -> None:
    setup.follower.offer(setup.publish(1))
    setup.executor.run()
    assert setup.version() == "v1"
    setup.follower.offer(setup.publish(2))
    assert setup.version() == "v1"
    setup.executor.run()
    assert setup.version() == "v2"


def test_a_wrong_hash_is_tried_again_then_given_up_and_the_old_version_stays(setup: Setup) -> None:
    setup.follower.offer(setup.publish(1))
    setup.executor.run()
    setup.executor.eager = True
    setup.follower.offer(setup.publish(2, sha256="0" * 64))
    for _ in range(ATTEMPTS):
        assert setup.version() == "v1"
        setup.now += 60.0
    assert setup.follower.coming is None
    assert setup.follower.wake_after() is None
    assert setup.version() == "v1"
    setup.follower.offer(setup.publish(3))
    assert setup.version() == "v3"


def test_a_version_is_asked_for_until_a_store_that_is_away_is_back(setup: Setup) -> None:
    setup.executor.eager = True
    setup.follower.offer(setup.publish(1))
    assert setup.version() == "v1"
    root = Path(setup.world.settings.store.uri)
    newer = setup.publish(2)
    root.rename(root.with_name("aside"))
    setup.follower.offer(newer)
    waits = []
    for _ in range(3 * ATTEMPTS):
        assert setup.version() == "v1"
        wait = setup.follower.wake_after()
        assert wait is not None
        waits.append(wait)
        setup.now += wait
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert max(waits) == waits[-1] == 32.0
    root.with_name("aside").rename(root)
    assert setup.version() == "v2"
    assert setup.follower.wake_after() is None


def test_a_newer_version_replaces_one_that_is_still_loading(setup: Setup) -> None:
    setup.follower.offer(setup.publish(1))
    setup.follower.offer(setup.publish(2))
    setup.executor.run()
    assert setup.version() == "v2"


def test_a_stream_without_records_loads_nothing_until_one_comes(world: World) -> None:
    setup = Setup(world)
    setup.follower.offer(setup.publish(1))
    assert setup.executor.waiting == []
    setup.executor.eager = True
    assert setup.version() == "v1"


def test_a_tombstone_retires_the_model(setup: Setup) -> None:
    setup.executor.eager = True
    setup.follower.offer(setup.publish(1))
    assert setup.version() == "v1"
    setup.follower.offer(None)
    assert setup.version() is None


def test_a_restored_stream_has_its_model_with_its_first_record(setup: Setup) -> None:
    setup.executor.eager = True
    setup.follower.offer(setup.publish(1))
    setup.version()
    setup.executor.eager = False
    setup.follower.offer(setup.publish(2))
    snapshot = setup.follower.snapshot()
    assert [event.version if event else None for event in snapshot] == ["v1", "v2"]
    setup.executor.waiting.clear()
    setup.executor.eager = True
    setup.follower = setup.fresh()
    setup.follower.restore(*snapshot)
    assert setup.follower.snapshot() == snapshot
    assert setup.version() == "v1"
    assert setup.version() == "v2"


def test_a_restored_stream_whose_newer_version_is_bad_keeps_the_old_one(setup: Setup) -> None:
    setup.executor.eager = True
    old, bad = setup.publish(1), setup.publish(2, sha256="0" * 64)
    setup.follower = setup.fresh()
    setup.follower.restore(old, bad)
    assert [setup.version() for _ in range(3)] == ["v1", "v1", "v1"]
