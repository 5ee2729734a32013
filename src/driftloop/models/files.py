"""Reading and writing where artifacts lie, and what is said when that fails."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from driftloop.errors import ArtifactNotFoundError, StoreError, StoreUnavailableError
from driftloop.models.artifact import MANIFEST

ASIDE = ".aside-"
PROBE = ".probe-"
_FOLDER = "a file stands where a folder must be: remove it, or choose another store.uri"
_RIGHT = "give the trainer's user the right to write there"
_ADVICE = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "raise the quota or free some space",
    errno.EFBIG: "raise the limit on file sizes",
    errno.EROFS: "mount that file system writable, or choose another store.uri",
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.ENOTDIR: _FOLDER,
    errno.EEXIST: _FOLDER,
}
# What does not pass by itself, as a full disk may.
LASTING = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOENT),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)
# What neither passes nor ends the store: the next version may be smaller.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSALS = (PermissionError, NotADirectoryError, FileExistsError)
_MISTAKES = (ImportError, TypeError, ValueError)
_KEYS = (
    "look at the credentials in store.options, and at their rights to read, list, write and "
    "delete there"
)
_ANSWERS = "look whether the store answers"
_S3 = ("s3:", "s3a:")


def open_place(uri: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """The file system of a folder or URL, and its path there.

    Raises:
        StoreError: fsspec does not know the protocol, or lacks what it needs for it.
    """
    try:
        if uri.startswith(_S3):  # s3fs tries five times; its client would do so each of these times
            config = {"retries": {"total_max_attempts": 1}, **options.get("config_kwargs", {})}
            options = {**options, "config_kwargs": config}
        fs, path = fsspec.core.url_to_fs(uri, **options)
    except ImportError as error:
        extra = "driftloop[s3]" if uri.startswith(_S3) else "the package it names"
        raise StoreError(
            f"store.uri: {uri!r} needs a package that is not installed here ({error}): "
            f"pip install '{extra}'"
        ) from error
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"store.uri: a folder or URL that fsspec reads, got {uri!r}: {error}"
        ) from error
    return fs, str(path).rstrip("/")


def is_below(uri: str, root: str) -> bool:
    """Whether an artifact's URI names a place below a root, by its text alone.

    Neither ``..`` nor another URL, which fsspec would chain after ``::``, leads out of it.
    """
    root = f"{root.rstrip('/')}/"
    uri = uri if "://" in uri else f"file://{uri}"
    rest = uri.removeprefix(root)
    return uri.startswith(root) and ".." not in rest.split("/") and "::" not in rest


def is_local(fs: Any) -> bool:
    """Whether files can be renamed at once there."""
    return isinstance(fs, LocalFileSystem)


def holds_any(fs: Any, root: str) -> bool:
    """Whether a store's root is there, and a stream's folder, or anything else, in it.

    What a volume is mounted on is an empty folder while it is not mounted.

    Raises:
        StoreError: The store could not be read.
    """
    if not is_local(fs):
        return is_there(fs, root)
    try:
        with os.scandir(root) as entries:
            return any(not entry.name.startswith((ASIDE, PROBE)) for entry in entries)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(fs, root, error) from error


def write(
    fs: Any, folder: str, parts: Mapping[str, bytes], new: Callable[[], None] = lambda: None
) -> None:
    """Write an artifact's files; the manifest, which makes it one, is the last to be seen.

    Args:
        fs: File system.
        folder: A folder that does not exist, or holds nothing else than some of these.
        parts: Contents by name.
        new: Called before the folder above is made, in a local store; raises to make none.

    Raises:
        StoreUnavailableError: It could not be written now, and may be later.
        StoreError: It could not be written; says where, why, and what to do.
    """
    ordered = sorted(parts.items(), key=lambda part: part[0] == MANIFEST)
    try:
        if is_local(fs):
            _write_local(Path(folder), ordered, new)
            return
        fs.makedirs(folder, exist_ok=True)
        for name, content in ordered:
            fs.pipe_file(f"{folder}/{name}", content)
    except OSError as error:
        raise unwritable(fs, folder, error) from error
    except StoreError:
        raise
    except Exception as error:  # object stores raise what they like
        told = f"cannot write the model to {folder}: {_told(error)}"
        raise _class(error)(told) from error


def _write_local(folder: Path, parts: list[tuple[str, bytes]], new: Callable[[], None]) -> None:
    aside = folder.parent / f"{ASIDE}{uuid.uuid4().hex}"
    try:
        aside.mkdir()
    except FileNotFoundError:  # the stream's first version, or the store is away
        new()
        aside.mkdir(parents=True)
    try:
        for name, content in parts:
            with (aside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        aside.rename(folder)
        _sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def probe(fs: Any, root: str) -> None:
    """Write a small file and remove it.

    A folder that is not there is not made: whether the one above can be written is seen.

    Raises:
        StoreError: It could not be written; says where, why, and what to do.
    """
    file = f"{_there(root) if is_local(fs) else root}/{PROBE}{uuid.uuid4().hex}"
    try:
        if not is_local(fs):
            fs.makedirs(root, exist_ok=True)
        fs.pipe_file(file, b"")
    except OSError as error:
        raise unwritable(fs, root, error) from error
    except Exception as error:  # object stores raise what they like
        raise _class(error)(f"cannot write a model to {root}: {_told(error)}") from error
    with contextlib.suppress(Exception):  # who may write need not be allowed to remove
        fs.rm_file(file)


def _there(root: str) -> str:
    """The folder, or the first above it that is there."""
    place = Path(root)
    while not place.is_symlink() and not place.exists() and place != place.parent:
        place = place.parent
    return str(place)


def read(fs: Any, folder: str, name: str) -> bytes:
    """Contents of a file of an artifact.

    Raises:
        ArtifactNotFoundError: It is not there.
        StoreUnavailableError: It could not be read now, and may be later.
        StoreError: It could not be read.
    """
    place = f"{folder}/{name}"
    try:
        return bytes(fs.cat_file(place))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ArtifactNotFoundError(f"no {name} lies at {folder}") from error
    except Exception as error:  # object stores raise what they like
        raise unreadable(fs, place, error) from error


def is_there(fs: Any, place: str) -> bool:
    """Whether a file is there; asked of the store itself, not of a listing.

    Raises:
        StoreError: The store could not be read.
    """
    try:
        fs.invalidate_cache()
        fs.info(place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except Exception as error:  # object stores raise what they like
        raise unreadable(fs, place, error) from error
    return True


def remove(fs: Any, folder: str, names: list[str]) -> None:
    """Remove an artifact or what is left of one; a reader finds it whole or not at all.

    Args:
        fs: File system.
        folder: Its folder.
        names: Its files, as paths below the folder.

    Raises:
        StoreError: It could not be removed.
    """
    try:
        if is_local(fs):
            place = Path(folder)
            gone = place.parent / f"{ASIDE}{uuid.uuid4().hex}"
            with contextlib.suppress(FileNotFoundError):  # another one removes it
                place.rename(gone)
                shutil.rmtree(gone)
            return
        # Without its manifest it is no artifact any more, however far this gets.
        for name in sorted(names, key=lambda one: one != MANIFEST):
            with contextlib.suppress(FileNotFoundError):
                fs.rm_file(f"{folder}/{name}")
    except OSError as error:
        reason = _reason(fs, error)
        raise StoreError(f"cannot remove {folder}: {reason}") from error
    except Exception as error:  # object stores raise what they like
        raise StoreError(f"cannot remove {folder}: {_told(error)}") from error


def unreadable(fs: Any, place: str, error: Exception) -> StoreError:
    """What is said when the store cannot be read."""
    reason = _reason(fs, error) if isinstance(error, OSError) else _told(error)
    if isinstance(error, NotADirectoryError | FileExistsError):
        reason = f"{reason}; {_FOLDER}"
    return _class(error)(f"cannot read {place}: {reason}")


def _class(error: Exception) -> type[StoreError]:
    """Whether to wait may cure it; what is not there may come back."""
    if isinstance(error, FileNotFoundError):
        return StoreUnavailableError
    lasting = error.errno in (*LASTING, *_FULL) if isinstance(error, OSError) else False
    refused = lasting or isinstance(error, (*_REFUSALS, *_MISTAKES))
    return StoreError if refused else StoreUnavailableError


def unwritable(fs: Any, folder: str, error: OSError) -> StoreError:
    """What is said when the store cannot be written."""
    if is_local(fs):
        advice = _ADVICE.get(error.errno or 0, "look at the disk or mount it lies on")
        reason = error.strerror or str(error)
        return _class(error)(f"cannot write the model to {folder}: {reason}; {advice}")
    if isinstance(error, FileNotFoundError):
        bucket = folder.partition("/")[0]
        reason = f"{error.strerror or error}; make {bucket}, or choose another store.uri"
        return StoreUnavailableError(f"cannot write the model to {folder}: {reason}")
    return _class(error)(f"cannot write the model to {folder}: {_reason(fs, error)}")


def _reason(fs: Any, error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if is_local(fs):
        return reason
    return f"{reason}; {_KEYS if isinstance(error, PermissionError) else _ANSWERS}"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}; {_ANSWERS}"
