"""The recovery folder: made when it is missing, refused when the flow no longer fits it.

Bytewax 0.21 has a defect that is mended here. A process that is killed after it wrote snapshots of
an epoch, and before that epoch was complete, resumes rightly from older ones. But the written ones
stay. Once the resumed flow has passed that epoch without touching a key, the key's old snapshot
counts as complete: after the next resumption its records are counted twice. So snapshots that were
never completed are deleted before every start.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from bytewax.dataflow import Dataflow
from bytewax.recovery import init_db_dir

from driftloop.engine.control import ControlSource
from driftloop.engine.sink import KafkaSink
from driftloop.engine.source import StreamSource
from driftloop.errors import RecoveryError

LAYOUT_FILE = "layout.json"
FORMAT = 1
# Partitions of a folder that all processes share; written in parallel, fixed when it is made.
_SHARED_PARTITIONS = 4


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recovery folder was made for.

    Attributes:
        format: Version of this file.
        flow: The flow's id.
        partitions: Number of Bytewax's recovery partitions.
        parts: Number of parts of each source and sink, by step.
    """

    format: int
    flow: str
    partitions: int
    parts: dict[str, int]


def parts_of(flow: Dataflow) -> dict[str, int]:
    """Number of parts of each of the flow's sources and sinks of Driftloop, by step id."""
    found: dict[str, int] = {}

    def visit(steps: list[Any]) -> None:
        for step in steps:
            end = getattr(step, "source", None) or getattr(step, "sink", None)
            if isinstance(end, StreamSource):
                found[step.step_id] = end.shards
            elif isinstance(end, ControlSource):
                found[step.step_id] = 1
            elif isinstance(end, KafkaSink):
                found[step.step_id] = end.parts
            visit(step.substeps)

    visit(flow.substeps)
    return found


def prepare(
    folder: Path, flow: Dataflow, *, process: int | None = None, processes: int | None = None
) -> None:
    """Make the folder if it is missing, else check that the flow can resume from it.

    Args:
        folder: The folder.
        flow: The flow.
        process: This process's number when each process has a folder of its own.
        processes: How many processes there are then.

    Raises:
        RecoveryError: The folder was made for another flow, number of parts or of processes.
    """
    count = _SHARED_PARTITIONS if processes is None else processes
    wanted = Layout(FORMAT, flow.flow_id, count, parts_of(flow))
    file = folder / LAYOUT_FILE
    if file.exists() and process is None:
        discard_unfinished(folder)
    if not file.exists():
        _make(folder, wanted, process)
        return
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Layout)
    except (OSError, msgspec.MsgspecError) as error:
        raise RecoveryError(f"{file} cannot be read: {error}") from error
    faults = []
    if found.format != FORMAT:
        faults.append(f"its format is {found.format}, this version reads {FORMAT}")
    if found.flow != wanted.flow:
        faults.append(f"it belongs to flow {found.flow!r}, not to {wanted.flow!r}")
    if process is not None and found.partitions != wanted.partitions:
        faults.append(f"it belongs to {found.partitions} processes, now there are {processes}")
    faults += [
        f"step {step} had {number} parts, now has {wanted.parts[step]}"
        for step, number in found.parts.items()
        if step in wanted.parts and wanted.parts[step] != number
    ]
    if faults:
        raise RecoveryError(
            f"recovery folder {folder} does not fit this flow: {'; '.join(faults)}. "
            "Set it as it was, or name another folder to start afresh"
        )
    if set(wanted.parts) - set(found.parts):
        merged = msgspec.structs.replace(found, parts={**wanted.parts, **found.parts})
        _write(file, merged)


def discard_unfinished(folder: Path) -> int:
    """Delete the snapshots of epochs that were never completed.

    Args:
        folder: A recovery folder that holds all partitions, and that no flow uses now.

    Returns:
        How many were deleted.

    Raises:
        RecoveryError: A partition cannot be read.
    """
    files = sorted(folder.glob("part-*.sqlite3"))
    executions: dict[int, tuple[int, int]] = {}
    fronts: dict[tuple[int, int], int] = {}
    deleted = 0
    try:
        for file in files:
            with closing(sqlite3.connect(file)) as store:
                for number, workers, epoch in store.execute(
                    "SELECT ex_num, worker_count, resume_epoch FROM exs"
                ):
                    executions[number] = (workers, epoch)
                for number, worker, epoch in store.execute(
                    "SELECT ex_num, worker_index, worker_frontier FROM fronts"
                ):
                    fronts[number, worker] = max(epoch, fronts.get((number, worker), 0))
        if not executions:
            return 0
        # As Bytewax computes it: the least advanced worker of the last execution.
        last = max(executions)
        workers, began = executions[last]
        resume = min(max(fronts.get((last, worker), 0), began) for worker in range(workers))
        for file in files:
            with closing(sqlite3.connect(file)) as store, store:
                deleted += store.execute(
                    "DELETE FROM snaps WHERE snap_epoch >= ?", (resume,)
                ).rowcount
    except sqlite3.Error as error:
        raise RecoveryError(
            f"recovery folder {folder} cannot be read: {error}; restore it, or empty it to start "
            "afresh"
        ) from error
    return deleted


def _make(folder: Path, layout: Layout, process: int | None) -> None:
    if list(folder.glob("part-*.sqlite3")):
        raise RecoveryError(
            f"recovery folder {folder} holds partitions but no {LAYOUT_FILE}: it was not made by "
            "Driftloop, or not completely; name another folder, or empty it to start afresh"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        init_db_dir(aside, layout.partitions)  # type: ignore[no-untyped-call]
        for file in sorted(aside.glob("part-*.sqlite3")):
            if process is None or file.stem == f"part-{process}":
                file.rename(folder / file.name)
        shutil.rmtree(aside)
        _write(folder / LAYOUT_FILE, layout)
    except OSError as error:
        raise RecoveryError(
            f"recovery folder {folder} cannot be made: {error.strerror}; it must be writable"
        ) from error


def _write(file: Path, layout: Layout) -> None:
    aside = file.with_suffix(".tmp")
    aside.write_text(json.dumps(msgspec.to_builtins(layout), indent=1) + "\n", encoding="utf-8")
    aside.replace(file)


@contextmanager
def locked(folder: Path, process: int | None = None) -> Iterator[None]:
    """Hold the folder: two flows at once would spoil it.

    Raises:
        RecoveryError: Another flow holds it.
    """
    name = "lock" if process is None else f"lock-{process}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / name).open("w", encoding="utf-8")
    except OSError as error:
        raise RecoveryError(
            f"recovery folder {folder} cannot be made: {error.strerror}; it must be writable"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RecoveryError(
                f"recovery folder {folder} is used by a flow that is running; stop it first"
            ) from error
        yield
