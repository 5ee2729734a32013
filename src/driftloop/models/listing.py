"""What lies in a store: one listing of one stream's folder, however many others there are."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from driftloop.models.artifact import MANIFEST
from driftloop.models.files import is_local, unreadable

_UNSAFE = re.compile(r"[^A-Za-z0-9._@-]")
_SEQUENCE = re.compile(r"^v(\d+)")


class StoredVersion(NamedTuple):
    """A folder of a stream: a version, or what is left of one.

    Attributes:
        stream: Stream id, read from the folder's name.
        version: As ``v3``; empty for a folder that was left aside.
        folder: Its path in the file system.
        uri: As version events name it.
        files: Names of its files.
        size: Bytes of its files.
        modified: Seconds since the epoch at which its newest file was written.
        complete: Whether its manifest is there.
    """

    stream: str
    version: str
    folder: str
    uri: str
    files: tuple[str, ...]
    size: int
    modified: float
    complete: bool

    @property
    def sequence(self) -> int:
        """The number in its version; -1 where there is none."""
        match = _SEQUENCE.match(self.version)
        return int(match[1]) if match else -1


def folder_of(stream: str) -> str:
    """A stream's folder; ':' of 'topic:partition' becomes '@', which no topic has.

    >>> folder_of("orders.lyon:3"), folder_of("..")
    ('orders.lyon@3', '_..')
    """
    safe = _UNSAFE.sub("_", stream.replace(":", "@"))
    return safe if safe.strip(".") else f"_{safe}"


def stream_of(folder: str) -> str:
    """The stream of a folder; exact for every name that Kafka takes.

    >>> stream_of("orders.lyon@3")
    'orders.lyon:3'
    """
    return folder.replace("@", ":")


def stream_folders(fs: Any, root: str) -> list[str]:
    """Names of the folders of all streams, sorted; empty where nothing was ever written.

    Raises:
        StoreError: The store could not be read.
    """
    try:
        fs.invalidate_cache()  # others write there too
        found = fs.ls(root, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except Exception as error:  # object stores raise what they like
        raise unreadable(fs, root, error) from error
    names = (_last(one["name"]) for one in found if one["type"] == "directory")
    return sorted(name for name in names if not name.startswith("."))


def stored(fs: Any, folder: str) -> list[StoredVersion]:
    """All folders of a stream's folder, newest version first.

    In an object store it takes one request a thousand files.

    Raises:
        StoreError: The store could not be read.
    """
    try:
        fs.invalidate_cache()  # others write there too
        found = _local(folder) if is_local(fs) else fs.find(folder, withdirs=True, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except Exception as error:  # object stores raise what they like
        raise unreadable(fs, folder, error) from error
    return _grouped(fs, folder, found)


def look(fs: Any, folder: str) -> StoredVersion | None:
    """What lies at a version's own folder, or None.

    Raises:
        StoreError: The store could not be read.
    """
    stream = folder.rpartition("/")[0]
    try:
        fs.invalidate_cache()  # others write there too
        if is_local(fs):
            found = {folder: _facts(Path(folder).stat())} | _inside(folder)
        else:
            found = fs.find(folder, withdirs=True, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # object stores raise what they like
        raise unreadable(fs, folder, error) from error
    return next(iter(_grouped(fs, stream, found)), None)


def _local(folder: str) -> dict[str, dict[str, Any]]:
    """What `find` of fsspec gives; but an error is one, where `find` leaves the place out."""
    found: dict[str, dict[str, Any]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another one removes it just now
                if entry.is_dir():
                    found |= {entry.path: _facts(entry.stat())} | _inside(entry.path)
    return found


def _inside(folder: str) -> dict[str, dict[str, Any]]:
    with os.scandir(folder) as entries:
        return {entry.path: _facts(entry.stat()) for entry in entries}


def _facts(found: os.stat_result) -> dict[str, Any]:
    kind = "directory" if stat.S_ISDIR(found.st_mode) else "file"
    return {"type": kind, "size": found.st_size, "mtime": found.st_mtime}


def _grouped(fs: Any, folder: str, found: dict[str, dict[str, Any]]) -> list[StoredVersion]:
    grouped: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for path, info in found.items():
        name, _, file = str(path).removeprefix(f"{folder}/").partition("/")
        if path.rstrip("/") == folder or (not file and info["type"] != "directory"):
            continue
        grouped.setdefault(name, []).append((file, info))
    versions = [_version(fs, folder, name, parts) for name, parts in grouped.items()]
    return newest_first(versions)


def newest_first(versions: Iterable[StoredVersion]) -> list[StoredVersion]:
    """Versions by their number, then by when they were written, the newest first."""
    return sorted(versions, key=lambda one: (-one.sequence, -one.modified, one.folder))


def _version(
    fs: Any, folder: str, name: str, parts: list[tuple[str, dict[str, Any]]]
) -> StoredVersion:
    files = [(file, info) for file, info in parts if file and info["type"] == "file"]
    times = [_moment(info) for _, info in parts]
    path = f"{folder}/{name}"
    return StoredVersion(
        stream=stream_of(_last(folder)),
        version="" if name.startswith(".") else name.partition("-")[0],
        folder=path,
        uri=fs.unstrip_protocol(path),
        files=tuple(sorted(file for file, _ in files)),
        size=sum(int(info.get("size") or 0) for _, info in files),
        # What tells no time counts as new: nothing is removed for it.
        modified=max((one for one in times if one is not None), default=time.time()),
        complete=any(file == MANIFEST for file, _ in files),
    )


def _moment(info: dict[str, Any]) -> float | None:
    found = info.get("mtime", info.get("LastModified", info.get("created")))
    if isinstance(found, datetime):
        return found.timestamp()
    return float(found) if isinstance(found, int | float) else None


def _last(path: str) -> str:
    return str(path).rstrip("/").rpartition("/")[2]
