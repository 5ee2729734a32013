"""The scorer's stateful step under one and two workers, aborted and resumed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main

from driftloop.engine.items import ControlItem, Outgoing
from driftloop.messages import ModelPublished
from driftloop.scorer.flow import ScoreLogic, Shared
from driftloop.scorer.scoring import Batch
from tests.scoring import World, batch, make_world, records

STREAMS = ["streams.s", "streams.t", "streams.u"]


def _none_known(_: str) -> tuple[ModelPublished | None, int]:
    return None, -1


def _flow(
    world: World,
    items: list[Any],
    out: list[tuple[str, Outgoing]],
    fuse: Callable[[Any], Any] = lambda keyed: keyed,
) -> Dataflow:
    flow = Dataflow("scorer-test")
    keyed = op.map("fuse", op.input("in", flow, TestingSource(items, batch_size=2)), fuse)
    shared = Shared(world.settings, _none_known)
    scored = op.stateful_batch("score", keyed, partial(ScoreLogic, shared))
    op.output("out", scored, TestingSink(out))
    return flow


def _version(world: World, stream: str, sequence: int, **options: Any) -> tuple[str, ControlItem]:
    event = world.publish(stream, sequence, float(sequence), **options)
    return stream, ControlItem(stream, event, "driftloop.models", 0, sequence)


def _records(stream: str, first: int, count: int) -> tuple[str, Any]:
    topic = stream.replace("streams.", "features.")
    return stream, batch(first, *records(first, count), topic=topic)


def _run(flow: Dataflow, workers: int, recovery: Path | None = None) -> None:
    cluster_main(
        flow,
        [],
        0,
        worker_count_per_proc=workers,
        epoch_interval=timedelta(0),
        recovery_config=RecoveryConfig(recovery) if recovery else None,
    )


def _of(out: list[tuple[str, Outgoing]], stream: str) -> list[dict[str, Any]]:
    return [orjson.loads(one.value or b"") for key, one in out if key == stream]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Settings with a store of its own."""
    return make_world(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_record_is_predicted_by_the_old_or_the_new_version(
    world: World, workers: int
) -> None:
    """Never without one, never old after new, and each by the version that it names."""
    items: list[Any] = [_version(world, stream, 1) for stream in STREAMS]
    for first in range(0, 4000, 10):
        items += [_records(stream, first, 10) for stream in STREAMS]
        if first == 1000:
            items += [_version(world, stream, 2) for stream in STREAMS]
    out: list[tuple[str, Outgoing]] = []
    _run(_flow(world, items, out), workers)
    for stream in STREAMS:
        rows = _of(out, stream)
        assert [row["id"] for row in rows] == [str(i) for i in range(4000)]
        versions = [row["model_version"] for row in rows]
        assert versions == sorted(versions)
        assert set(versions) == {"v1", "v2"}
        assert all(row["y_pred"] == row["x"]["a"] * int(row["model_version"][1]) for row in rows)


class Fuse:
    """Breaks the flow at the first record of a stream, once."""

    def __init__(self) -> None:
        self.whole = True

    def __call__(self, keyed: tuple[str, Any]) -> tuple[str, Any]:
        """Pass an item on."""
        if self.whole and isinstance(keyed[1], Batch) and keyed[1].offsets[0] == 5:
            self.whole = False
            raise RuntimeError("the fuse blew")
        return keyed


@pytest.mark.timeout(60)
@pytest.mark.parametrize("workers", [1, 2])
def test_an_aborted_flow_resumes_with_its_versions(
    world: World, workers: int, tmp_path: Path
) -> None:
    recovery = tmp_path / "recovery-test"
    recovery.mkdir()
    init_db_dir(recovery, 1)
    items: list[Any] = [_version(world, stream, 1) for stream in STREAMS]
    for first in (0, 5):
        items += [_records(stream, first, 5) for stream in STREAMS]
    out: list[tuple[str, Outgoing]] = []
    flow = _flow(world, items, out, Fuse())
    with pytest.raises(BytewaxRuntimeError):
        _run(flow, workers, recovery)
    _run(flow, workers, recovery)
    for stream in STREAMS:
        found = {int(row["id"]): row.get("model_version") for row in _of(out, stream)}
        assert found == dict.fromkeys(range(10), "v1")


def test_a_version_with_a_wrong_hash_never_serves(world: World) -> None:
    items: list[Any] = [_version(world, "streams.s", 1), _records("streams.s", 0, 5)]
    items += [_version(world, "streams.s", 2, sha256="f" * 64)]
    items += [_records("streams.s", first, 5) for first in range(5, 500, 5)]
    out: list[tuple[str, Outgoing]] = []
    _run(_flow(world, items, out), 1)
    assert {row["model_version"] for row in _of(out, "streams.s")} == {"v1"}


def test_version_events_that_were_known_at_the_start_are_not_applied_again(world: World) -> None:
    second = world.publish("streams.s", 2, 2.0)
    old = _version(world, "streams.s", 1)
    flow = Dataflow("scorer-test")
    items: list[Any] = [old, _records("streams.s", 0, 5), old, _records("streams.s", 5, 5)]
    keyed = op.input("in", flow, TestingSource(items))
    shared = Shared(world.settings, lambda _: (second, 2))
    out: list[tuple[str, Outgoing]] = []
    scored = op.stateful_batch("score", keyed, partial(ScoreLogic, shared))
    op.output("out", scored, TestingSink(out))
    _run(flow, 1)
    assert {row["model_version"] for row in _of(out, "streams.s")} == {"v2"}


def test_bad_records_go_to_the_dead_letter_topic_with_their_coordinates(world: World) -> None:
    items = [("streams.s", batch(7, b"{", *records(8, 1)))]
    out: list[tuple[str, Outgoing]] = []
    _run(_flow(world, items, out), 1)
    assert [one.topic for _, one in out] == ["streams.s", world.settings.topics.dlq]
    headers = dict(out[1][1].headers)
    assert headers["__streams.errors.offset"] == b"7"
    assert headers["__streams.errors.topic"] == b"features.s"
    assert out[1][1].value == b"{"
