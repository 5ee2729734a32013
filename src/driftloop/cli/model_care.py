"""``driftloop models export``, ``verify`` and ``prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from driftloop.cli.model_shelf import Shelf, console, note, size
from driftloop.cli.output import ago, print_json
from driftloop.cli.settings import tell
from driftloop.errors import DriftloopError, KafkaUnavailableError, StoreError
from driftloop.models import ModelStore, onnx
from driftloop.models.listing import StoredVersion
from driftloop.models.retention import Judged


def export(
    shelf: Shelf,
    stream: str,
    version: str | None,
    to: Path,
    format_: str,
    *,
    force: bool,
    json: bool,
) -> None:
    """Write a verified copy of a version."""
    one = shelf.pick(stream, version)
    artifact, digest = shelf.artifact(one)
    if format_ == "onnx":
        content = onnx.export(artifact)
        name = f"{one.folder.split('/')[-2]}-{one.version}.onnx"
        files = {to if to.suffix == ".onnx" else to / name: content}
    else:
        parts = shelf.store.contents(one.uri, digest)
        single = [name for name in parts if to.suffix and name.endswith(to.suffix)]
        if to.suffix == ".safetensors" and single:
            files = {to: parts[single[0]]}
        else:
            files = {to / name: content for name, content in parts.items()}
    there = [str(file) for file in files if file.exists()]
    if there and not force:
        tell(f"--to: {', '.join(there)} is there already; --force replaces it")
        raise typer.Exit(2)
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    if json:
        print_json(
            {
                "stream": stream,
                "version": one.version,
                "uri": one.uri,
                "sha256": digest,
                "files": [str(file) for file in files],
            }
        )
        return
    note(shelf)
    for file, content in files.items():
        console.print(f"Wrote {file} ({size(len(content))})", soft_wrap=True, markup=False)


def verify(shelf: Shelf, stream: str | None, version: str | None, *, json: bool) -> None:
    """Read versions again; exit status 1 when one is at fault."""
    streams = shelf.store.streams() if stream is None else [stream]
    checked, faults = set[tuple[str, str]](), list[dict[str, str]]()
    for name in streams:
        found = shelf.versions(name) if stream is not None else shelf.store.versions(name)
        chosen = [shelf.pick(name, version)] if version is not None else found
        for one in (one for one in chosen if one.complete):
            checked.add((name, one.uri))
            why = _fault(shelf, one)
            if why:
                faults.append({"stream": name, "version": one.version, "uri": one.uri, "why": why})
    if version is None:
        faults += _elsewhere(shelf, stream, checked)
    if json:
        print_json({"checked": len(checked), "faults": faults, "note": shelf.note})
    else:
        note(shelf)
        for fault in faults:
            tell(f"{fault['stream']} {fault['version']}: {fault['why']}")
        count = f"{len(faults)} at fault" if faults else "none at fault"
        console.print(f"{len(checked)} versions of {len(streams)} streams verified: {count}.")
        if faults:
            console.print(
                "\n  Restore the files from a backup; or retrain: driftloop stream retrain STREAM"
            )
    if faults:
        raise typer.Exit(1)


def _fault(shelf: Shelf, one: StoredVersion) -> str:
    try:
        _, digest = shelf.store.load_stored(one)
    except StoreError as error:
        return str(error)
    event = shelf.current(one.stream)
    if event is not None and event.uri == one.uri and event.sha256 != digest:
        return f"published with the sha256 {event.sha256}, got {digest}"
    return ""


def _elsewhere(
    shelf: Shelf, stream: str | None, checked: set[tuple[str, str]]
) -> list[dict[str, str]]:
    """Current versions that were not among the checked: gone, or in another place."""
    faults = []
    for name, event in shelf.published.items():
        if stream not in {None, name} or (name, event.uri) in checked:
            continue
        try:
            shelf.store.load(event.uri, event.sha256)
        except StoreError as error:
            why = f"the current version cannot be read: {error}"
            faults.append({"stream": name, "version": event.version, "uri": event.uri, "why": why})
    return faults


def prune(shelf: Shelf, stream: str | None, keep: int | None, *, yes: bool, json: bool) -> None:
    """Remove, or show, what retention leaves no place for."""
    if shelf.cause is not None:
        raise KafkaUnavailableError(
            f"nothing is removed while it is not known what is current and pinned: {shelf.cause}"
        )
    settings = shelf.settings.store
    if keep is not None:
        settings = settings.model_copy(update={"keep": keep})
    store = ModelStore(settings)
    streams = store.streams() if stream is None else [stream]
    if stream is not None:
        shelf.versions(stream)
    if yes and streams and not any(shelf.current(name) for name in streams):
        topic, servers = shelf.settings.topics.models, shelf.settings.kafka.bootstrap_servers
        raise DriftloopError(
            f"{topic} on {servers} names no version of these streams, so nothing is removed: is "
            "that the Kafka of this store?"
        )
    judged = [one for name in streams for one in store.plan(name, shelf.held(name))]
    if yes:
        gone = [one for name in streams for one in store.prune(name, shelf.held(name))]
    else:
        gone = [one for one in judged if not one.keep]
    if json:
        kept = [_document(one) for one in judged if one.keep]
        print_json(
            {
                "removed": yes,
                "keep": settings.keep,
                "kept": kept,
                "gone": [_document(one) for one in gone],
            }
        )
        return
    again = " ".join(
        [
            "driftloop models prune",
            *([stream] if stream else []),
            *(["--keep", str(keep)] if keep else []),
            "--yes",
        ]
    )
    _show(shelf, judged, gone, settings.keep, "" if yes else again)


def _document(one: Judged) -> dict[str, Any]:
    stored = one.stored
    return {
        "stream": stored.stream,
        "version": stored.version,
        "uri": stored.uri,
        "size": stored.size,
        "modified": stored.modified,
        "reason": one.reason,
    }


def _show(shelf: Shelf, judged: list[Judged], gone: list[Judged], keep: int, again: str) -> None:
    if not gone:
        rule = f"the newest {keep} of each stream stay" if keep else "store.keep = 0 keeps all"
        console.print(f"Nothing to remove of {len(judged)} versions: {rule}.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("stream", "version", "age", "size", "why"):
        table.add_column(name)
    for one in gone:
        stored = one.stored
        age = ago(shelf.now - stored.modified)
        table.add_row(stored.stream, stored.version or "-", age, size(stored.size), one.reason)
    console.print(table, soft_wrap=True)
    total = f"{len(gone)} of {len(judged)} versions, {size(sum(one.stored.size for one in gone))}"
    if not again:
        console.print(f"\nRemoved {total}.")
        return
    console.print(f"\nNothing was removed yet. These are {total}.")
    console.print(f"\n  {again}   remove them", soft_wrap=True)
