"""The broker's note and folder survive what a crash leaves."""

from __future__ import annotations

from pathlib import Path

from driftloop.kafka.broker_state import BrokerFolder, BrokerState, new_cluster_id


def _state() -> BrokerState:
    return BrokerState(
        how="java", cluster="c", port=20001, controller_port=20002, heap="64m", pid=7, start="x"
    )


def test_the_note_reads_back_as_it_was_written(tmp_path: Path) -> None:
    folder = BrokerFolder(tmp_path)
    folder.root.mkdir()
    folder.write(_state())
    assert folder.read() == _state()
    assert [path.name for path in folder.root.iterdir()] == ["broker.json"], "nothing lies aside"


def test_no_note_and_a_broken_note_are_none(tmp_path: Path) -> None:
    folder = BrokerFolder(tmp_path)
    assert folder.read() is None
    folder.root.mkdir()
    (folder.root / "broker.json").write_text('{"how": "java"')
    assert folder.read() is None
    (folder.root / "broker.json").write_text('{"how": "java"}')
    assert folder.read() is None


def test_the_cluster_of_the_data_is_found(tmp_path: Path) -> None:
    folder = BrokerFolder(tmp_path)
    assert folder.cluster() is None
    folder.data.mkdir(parents=True)
    (folder.data / "meta.properties").write_text("#\nversion=1\ncluster.id=abc\nnode.id=1\n")
    assert folder.cluster() == "abc"


def test_faults_are_told_before_last_lines(tmp_path: Path) -> None:
    folder = BrokerFolder(tmp_path)
    folder.root.mkdir()
    folder.log.write_text("a start\nERROR port: Address already in use\n" + "INFO bye\n" * 20)
    assert folder.faults() == "  ERROR port: Address already in use"
    folder.log.write_text("INFO one\nINFO two\n")
    assert folder.faults(count=1) == "  INFO two"


def test_cluster_ids_have_kafkas_form() -> None:
    """22 characters of URL-safe base 64; the tools would read a leading dash as an option."""
    made = {new_cluster_id() for _ in range(500)}
    assert len(made) == 500
    assert all(len(one) == 22 and one[0] != "-" for one in made)
