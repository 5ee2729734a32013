"""The recovery folder: made once, refused when it does not fit, cleared of unfinished epochs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource

from driftloop.engine import ControlSource, KafkaSink, StreamSource, run_flow
from driftloop.engine._recovery import discard_unfinished, locked, parts_of, prepare
from driftloop.errors import RecoveryError

CLIENT = {"bootstrap.servers": "127.0.0.1:1"}


def flow_of(shards: int = 8, parts: int = 4, name: str = "f") -> Dataflow:
    flow = Dataflow(name)
    records = op.input("in", flow, StreamSource(CLIENT, bool, name="s", shards=shards))
    op.input("control", flow, ControlSource(CLIENT, ["t"], name="c"))
    op.output("out", op.map("key", records, lambda _: None), KafkaSink(CLIENT, parts=parts))
    return flow


def test_parts_are_found_by_step() -> None:
    assert parts_of(flow_of()) == {"f.in": 8, "f.control": 1, "f.out": 4}


def test_a_folder_is_made_once_and_fits_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    prepare(folder, flow_of())
    before = sorted(path.name for path in folder.iterdir())
    assert before == ["layout.json", *(f"part-{n}.sqlite3" for n in range(4))]
    prepare(folder, flow_of())
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"shards": 16}, "step f.in had 8 parts, now has 16"),
        ({"parts": 5}, "step f.out had 4 parts, now has 5"),
        ({"name": "g"}, "it belongs to flow 'f', not to 'g'"),
    ],
)
def test_another_layout_is_refused_with_rule_value_and_place(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    prepare(tmp_path, flow_of())
    with pytest.raises(RecoveryError) as raised:
        prepare(tmp_path, flow_of(**changed))  # type: ignore[arg-type]
    assert said in str(raised.value)
    assert str(tmp_path) in str(raised.value)
    assert "name another folder to start afresh" in str(raised.value)


def test_each_process_of_a_given_cluster_keeps_its_own_partition(tmp_path: Path) -> None:
    for process in range(3):
        folder = tmp_path / str(process)
        prepare(folder, flow_of(), process=process, processes=3)
        assert [path.name for path in folder.glob("*.sqlite3")] == [f"part-{process}.sqlite3"]
        prepare(folder, flow_of(), process=process, processes=3)
    with pytest.raises(RecoveryError, match="belongs to 3 processes, now there are 4"):
        prepare(tmp_path / "0", flow_of(), process=0, processes=4)


def test_partitions_without_a_layout_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "part-0.sqlite3").touch()
    with pytest.raises(RecoveryError, match=r"holds partitions but no layout\.json"):
        prepare(tmp_path, flow_of())


def test_an_unreadable_layout_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "layout.json").write_text("{")
    with pytest.raises(RecoveryError, match="cannot be read"):
        prepare(tmp_path, flow_of())


def test_a_folder_serves_one_flow_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RecoveryError, match="used by a flow that is running"):
        locked(tmp_path).__enter__()
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecoveryError, match="must be writable"):
        locked(tmp_path / "file" / "folder").__enter__()


class Count(op.StatefulBatchLogic[int, int, int]):
    """Counts what came for a key."""

    def __init__(self, state: int | None) -> None:
        self.count = state or 0

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        self.count += len(values)
        return [self.count], self.RETAIN

    def snapshot(self) -> int:
        return self.count


def counting(items: list[object], found: list[tuple[str, int]]) -> Dataflow:
    flow = Dataflow("count")
    stream = op.input("in", flow, TestingSource(items))
    counted = op.stateful_batch("count", stream, Count)
    op.output("out", counted, TestingSink(found))
    return flow


def test_a_snapshot_of_an_epoch_that_was_not_completed_is_not_resumed_from(tmp_path: Path) -> None:
    """Bytewax alone takes it once a later execution has passed that epoch, and counts twice."""
    first: list[object] = [("a", 1), ("b", 1), TestingSource.EOF()]
    second = [*first, *[("b", 1)] * 6, TestingSource.ABORT()]
    found: list[tuple[str, int]] = []
    run_flow(counting(second, found), recovery=tmp_path, epoch_seconds=0)
    began = _resume_epoch(tmp_path)
    # What a process leaves that is killed after it wrote 'a', before it completed the epoch.
    written = 0
    for file in tmp_path.glob("part-*.sqlite3"):
        with closing(sqlite3.connect(file)) as store, store:
            written += store.execute(
                "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) "
                "SELECT step_id, state_key, ?, ? FROM snaps "
                "WHERE step_id = 'count.count' AND state_key = 'a' LIMIT 1",
                (began + 1, b"\x80\x04K\x63."),  # the number 99, pickled
            ).rowcount
    assert written == 1
    # Each record is an epoch of its own: this passes the epoch without touching 'a', and dies.
    run_flow(counting(second, found), recovery=tmp_path, epoch_seconds=0)
    assert _resume_epoch(tmp_path) > began + 1
    run_flow(counting([*second, ("a", 1)], found), recovery=tmp_path)
    assert found[-1] == ("a", 2)


def _resume_epoch(folder: Path) -> int:
    fronts = []
    for file in folder.glob("part-*.sqlite3"):
        with closing(sqlite3.connect(file)) as store:
            fronts += store.execute("SELECT ex_num, worker_frontier FROM fronts").fetchall()
    return int(max(fronts)[1])


def test_complete_snapshots_are_kept(tmp_path: Path) -> None:
    run_flow(counting([("a", 1)], []), recovery=tmp_path)
    assert discard_unfinished(tmp_path) == 0


def test_a_damaged_partition_is_an_error(tmp_path: Path) -> None:
    prepare(tmp_path, flow_of())
    (tmp_path / "part-1.sqlite3").write_bytes(b"no database, but long enough to be one" * 100)
    with pytest.raises(RecoveryError, match="cannot be read"):
        prepare(tmp_path, flow_of())
