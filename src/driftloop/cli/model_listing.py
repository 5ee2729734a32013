"""``driftloop models list``, ``show`` and ``diff``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table

from driftloop.cli.model_shelf import Shelf, console, figure, note, size
from driftloop.cli.output import ago, print_json
from driftloop.errors import StoreError
from driftloop.models.artifact import ModelArtifact
from driftloop.models.difference import Change, Difference, difference
from driftloop.models.listing import StoredVersion


def show_list(shelf: Shelf, stream: str | None, limit: int, *, json: bool) -> None:
    """List streams, or the versions of one."""
    if stream is None:
        _streams(shelf, json=json)
        return
    found = shelf.versions(stream)
    rows = [_row(shelf, one) for one in (found[:limit] if limit else found)]
    if json:
        print_json({"stream": stream, "note": shelf.note, "found": len(found), "versions": rows})
        return
    note(shelf)
    table = Table(box=None, pad_edge=False, title=stream, title_justify="left")
    for name, justify in (
        *(("version", "left"), ("", "left"), ("age", "right"), ("kind", "left")),
        *(("records", "right"), ("champion", "right"), ("challenger", "right"), ("size", "right")),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        facts = [row["fault"], "", "", ""]
        if not row["fault"]:
            losses = (figure(row["loss_champion"]), figure(row["loss_challenger"]))
            facts = [row["kind"], f"{row['records']:,}", *losses]
        age = ago(shelf.now - row["modified"])
        table.add_row(row["version"] or row["folder"], row["mark"], age, *facts, size(row["size"]))
    console.print(table, soft_wrap=True)
    if len(rows) < len(found):
        console.print(f"{len(found) - len(rows)} older ones are not shown: --limit 0 shows all.")
    console.print(f"\n  driftloop models show {stream} VERSION     all about one", soft_wrap=True)
    console.print(f"  driftloop models diff {stream} OLD NEW     what differs", soft_wrap=True)


def _row(shelf: Shelf, one: StoredVersion) -> dict[str, Any]:
    row: dict[str, Any] = {
        "version": one.version,
        "folder": one.folder.rpartition("/")[2],
        "uri": one.uri,
        "mark": shelf.mark(one),
        "modified": one.modified,
        "size": one.size,
        "fault": "",
    }
    if not one.complete:
        return row | {"fault": "no manifest"}
    try:
        manifest = shelf.store.manifest(one.uri)
    except StoreError as error:
        return row | {"fault": str(error)}
    return row | {
        "kind": manifest.kind,
        "records": manifest.records,
        "loss_champion": (manifest.champion or {}).get("loss"),
        "loss_challenger": manifest.challenger.get("loss"),
    }


def _streams(shelf: Shelf, *, json: bool) -> None:
    rows = list[dict[str, Any]]()
    for stream in shelf.store.streams():
        found = shelf.store.versions(stream)
        whole = [one for one in found if one.complete]
        event = shelf.current(stream)
        rows.append(
            {
                "stream": stream,
                "versions": len(whole),
                "half_written": len(found) - len(whole),
                "newest": whole[0].version if whole else None,
                "current": event.version if event else None,
                "modified": max((one.modified for one in found), default=None),
                "size": sum(one.size for one in found),
            }
        )
    if json:
        print_json({"store": shelf.settings.store.uri, "note": shelf.note, "streams": rows})
        return
    note(shelf)
    if not rows:
        console.print(f"No version lies in {shelf.settings.store.uri} yet.", soft_wrap=True)
        console.print("\n  driftloop trainer   serves retrain requests and writes versions")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("stream", "current", "newest"):
        table.add_column(name)
    for name in ("versions", "age", "size"):
        table.add_column(name, justify="right")
    for row in rows:
        age = ago(shelf.now - row["modified"]) if row["modified"] else ""
        table.add_row(
            *(row["stream"], row["current"] or "-", row["newest"] or "-"),
            *(str(row["versions"]), age, size(row["size"])),
        )
    console.print(table, soft_wrap=True)
    console.print("\n  driftloop models list STREAM   its versions")


def show_version(shelf: Shelf, stream: str, version: str | None, *, json: bool) -> None:
    """Show one version."""
    one = shelf.pick(stream, version)
    artifact, digest = shelf.artifact(one)
    manifest = shelf.store.manifest(one.uri)
    event = shelf.current(stream)
    told = event is not None and event.uri == one.uri
    parent = event.parent_version if event is not None and told else None
    if json:
        facts: dict[str, Any] = {
            "mark": shelf.mark(one),
            "uri": one.uri,
            "sha256": digest,
            "parent": parent,
        }
        facts |= {"modified": one.modified, "size": one.size, "note": shelf.note}
        print_json(facts | {"manifest": msgspec.to_builtins(manifest)})
        return
    note(shelf)
    table = Table.grid(padding=(0, 2))
    mark = shelf.mark(one)
    table.add_row("version", f"{one.version} of {stream}" + (f", {mark}" if mark else ""))
    table.add_row("written", f"{_date(one.modified)} ({ago(shelf.now - one.modified)} ago)")
    table.add_row(
        "parent", parent or ("none" if told else "- (known of the current version alone)")
    )
    table.add_row("kind", f"{artifact.kind}, {artifact.task}, {artifact.loss} loss")
    table.add_row("features", ", ".join(_features(artifact)) or "none")
    table.add_row("weights", ", ".join(_shapes(artifact)) or manifest.file.name)
    table.add_row("trained on", f"{artifact.records:,} records, seed {artifact.seed}")
    for i, text in enumerate(artifact.data):
        table.add_row("data" if i == 0 else "", text)
    for name, metrics in (("challenger", artifact.challenger), ("champion", artifact.champion)):
        shown = ", ".join(f"{key} {figure(value)}" for key, value in (metrics or {}).items())
        table.add_row(name, shown or "-")
    table.add_row("request", artifact.request_id)
    table.add_row("place", one.uri)
    table.add_row("sha256", digest)
    table.add_row("size", size(one.size))
    console.print(table, soft_wrap=True)
    console.print(f"\n  driftloop models export {stream} {one.version} --to DIR", soft_wrap=True)


def _features(artifact: ModelArtifact) -> list[str]:
    encoding = artifact.encoding
    known = zip(encoding.categorical, encoding.vocabulary, strict=True)
    return [*encoding.numeric, *(f"{name} ({len(words)} categories)" for name, words in known)]


def _shapes(artifact: ModelArtifact) -> list[str]:
    return [
        f"{name} {' x '.join(map(str, value.shape))}" for name, value in artifact.weights.items()
    ]


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def show_difference(shelf: Shelf, stream: str, old: str, new: str, *, json: bool) -> None:
    """Compare two versions."""
    first, second = shelf.pick(stream, old), shelf.pick(stream, new)
    found = difference(shelf.artifact(first)[0], shelf.artifact(second)[0])
    if json:
        document = {"stream": stream, "old": first.uri, "new": second.uri, "note": shelf.note}
        parts = {
            name: [part._asdict() for part in parts] for name, parts in found._asdict().items()
        }
        print_json(document | parts)
        return
    note(shelf)
    console.print(f"[bold]{stream}[/]: {first.version} → {second.version}", soft_wrap=True)
    console.print(_changes(found), soft_wrap=True)
    console.print(_moved(found), soft_wrap=True)


def _changes(found: Difference) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for part in ("features", "settings", "metrics", "data"):
        changes: list[Change] = getattr(found, part)
        if not changes:
            table.add_row(part, "the same", "", "")
        for i, change in enumerate(changes):
            table.add_row(part if i == 0 else "", change.what, _text(change.old), _text(change.new))
    return table


def _moved(found: Difference) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("weights", "old", "new", "distance", "of its length"):
        table.add_column(name)
    for one in found.weights:
        share = f"{one.relative:.1%}" if one.relative is not None else "-"
        shapes = (" x ".join(map(str, shape)) if shape else "-" for shape in one[1:3])
        table.add_row(one.name, *shapes, figure(one.distance), share)
    return table


def _text(value: Any) -> str:
    if isinstance(value, float):
        return figure(value)
    if isinstance(value, list | tuple):
        return ", ".join(figure(one) if isinstance(one, float) else str(one) for one in value)
    return "-" if value is None else str(value)
