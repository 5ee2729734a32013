"""The model store: artifacts in a local folder, or wherever fsspec writes.

An artifact is a folder ``<store>/<stream>/<version>-<request>`` of ``model.json`` and
``weights.safetensors``, or the file of a plug-in's format. In a local folder it appears at once,
whole: it is written aside, then renamed. Object stores cannot rename: there the manifest, which
makes an artifact, comes last. Nothing that was written is ever overwritten. Every load verifies
both hashes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from driftloop.errors import ArtifactCorruptedError, ArtifactNotFoundError, StoreError
from driftloop.models.artifact import (
    MANIFEST,
    ModelArtifact,
    build,
    dump,
    parse_manifest,
    sha256,
)
from driftloop.settings import StoreSettings

_UNSAFE = re.compile(r"[^A-Za-z0-9._@-]")
_ADVICE = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "raise the quota or free some space",
    errno.EFBIG: "raise the limit on file sizes",
    errno.EROFS: "mount that file system writable, or choose another store.uri",
    errno.EACCES: "give the trainer's user the right to write there",
    errno.EPERM: "give the trainer's user the right to write there",
    errno.ENOTDIR: "a file stands where a folder must be: remove it, or choose another store.uri",
    errno.EEXIST: "a file stands where a folder must be: remove it, or choose another store.uri",
}
# What does not pass by itself, as a full disk may.
LASTING = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOENT),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)


class ModelStore:
    """Where model artifacts lie.

    Args:
        settings: `uri` is a folder or a URL that fsspec reads, `options` go to its file system.

    Raises:
        SettingsError: A secret among the options cannot be read.
        StoreError: fsspec does not know the protocol, or lacks what it needs for it.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._options = settings.resolved()
        self._fs, self._root = self._open(settings.uri)

    def save(self, stream: str, version: str, artifact: ModelArtifact) -> tuple[str, str]:
        """Write an artifact.

        Args:
            stream: Stream id.
            version: As ``v3``.
            artifact: What to write. The same artifact again is left as it is.

        Returns:
            URI of its folder, readable from any working directory, and the sha256 of its manifest.

        Raises:
            StoreError: It could not be written; says where, why, and what to do.
        """
        manifest, weights = dump(artifact)
        digest = sha256(manifest)
        name = f"{version}-{artifact.request_id[:8] or digest[:8]}"
        folder = f"{self._root}/{_safe(stream)}/{_safe(name)}"
        try:
            if self._fs.exists(folder):
                if self._holds(folder, manifest, artifact.file, weights):
                    return self._fs.unstrip_protocol(folder), digest
                # Left by a trainer that died, or by one that was cut off: theirs stays theirs.
                folder = f"{folder}-{digest[:8]}-{uuid.uuid4().hex[:4]}"
            if isinstance(self._fs, LocalFileSystem):
                _write_local(Path(folder), manifest, artifact.file, weights)
            else:
                self._fs.makedirs(folder, exist_ok=True)
                self._fs.pipe_file(f"{folder}/{artifact.file}", weights)
                self._fs.pipe_file(f"{folder}/{MANIFEST}", manifest)
        except OSError as error:
            raise _unwritable(folder, error) from error
        except Exception as error:  # object stores raise what they like
            raise StoreError(f"cannot write the model to {folder}: {error!r}") from error
        return self._fs.unstrip_protocol(folder), digest

    def probe(self) -> None:
        """Write a small file and remove it.

        Raises:
            StoreError: It could not be written; says where, why, and what to do.
        """
        file = f"{self._root}/.probe-{uuid.uuid4().hex}"
        try:
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(file, b"")
        except OSError as error:
            raise _unwritable(self._root, error) from error
        except Exception as error:  # object stores raise what they like
            raise StoreError(f"cannot write a model to {self._root}: {error!r}") from error
        with contextlib.suppress(Exception):  # who may write need not be allowed to remove
            self._fs.rm_file(file)

    def reach(self) -> None:
        """See that the store can be read; it need not exist yet.

        Raises:
            StoreError: It cannot; says where and why.
        """
        try:
            self._fs.exists(self._root)
        except Exception as error:  # object stores raise what they like
            raise StoreError(f"cannot read the model store {self._root}: {error!r}") from error

    def load(self, uri: str, digest: str) -> ModelArtifact:
        """Read and verify an artifact.

        Args:
            uri: As `save` returned it.
            digest: The sha256 of its manifest.

        Raises:
            ArtifactNotFoundError: Nothing lies there.
            ArtifactCorruptedError: What lies there has another hash, or does not parse.
            StoreError: The store could not be read.
        """
        fs, folder = self._open(uri)
        manifest = _read(fs, folder, MANIFEST)
        if sha256(manifest) != digest:
            raise ArtifactCorruptedError(
                f"{uri}: {MANIFEST} must have the sha256 {digest} that was published, got "
                f"{sha256(manifest)}"
            )
        parsed = parse_manifest(manifest, uri)
        return build(parsed, _read(fs, folder, parsed.file.name), uri)

    def find(self, stream: str, version: str) -> list[tuple[str, str]]:
        """Artifacts of a stream's version, as `save` returned them; usually one.

        Their manifests name stream and version; `load` verifies the rest.

        Raises:
            StoreError: The store could not be read.
        """
        parent = f"{self._root}/{_safe(stream)}"
        try:
            folders = [str(one).rstrip("/") for one in self._fs.ls(parent, detail=False)]
        except FileNotFoundError:
            return []
        except Exception as error:  # object stores raise what they like
            raise StoreError(f"cannot read {parent}: {error!r}") from error
        found = []
        for folder in sorted(folders):
            if not folder.rpartition("/")[2].startswith(f"{_safe(version)}-"):
                continue
            with contextlib.suppress(ArtifactNotFoundError, ArtifactCorruptedError):
                manifest = _read(self._fs, folder, MANIFEST)
                parsed = parse_manifest(manifest, folder)
                if (parsed.stream, parsed.version) == (stream, version):
                    found.append((self._fs.unstrip_protocol(folder), sha256(manifest)))
        return found

    def _open(self, uri: str) -> tuple[Any, str]:
        try:
            fs, path = fsspec.core.url_to_fs(uri, **self._options)
        except (ValueError, ImportError, TypeError) as error:
            raise StoreError(
                f"store.uri: a folder or URL that fsspec reads, got {uri!r}: {error}"
            ) from error
        return fs, str(path).rstrip("/")

    def _holds(self, folder: str, manifest: bytes, file: str, weights: bytes) -> bool:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = self._fs.cat_file(f"{folder}/{MANIFEST}")
            return bool(found == manifest and self._fs.cat_file(f"{folder}/{file}") == weights)
        return False


def _safe(name: str) -> str:
    """A stream id as a folder's name; ':' of 'topic:partition' becomes '@', which no topic has."""
    safe = _UNSAFE.sub("_", name.replace(":", "@"))
    return safe if safe.strip(".") else f"_{safe}"


def _write_local(folder: Path, manifest: bytes, file: str, weights: bytes) -> None:
    aside = folder.parent / f".aside-{uuid.uuid4().hex}"
    aside.mkdir(parents=True)
    try:
        for name, content in ((file, weights), (MANIFEST, manifest)):
            with (aside / name).open("wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
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


def _read(fs: Any, folder: str, name: str) -> bytes:
    place = f"{folder}/{name}"
    try:
        return bytes(fs.cat_file(place))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ArtifactNotFoundError(f"no {name} lies at {folder}") from error
    except OSError as error:
        raise StoreError(f"cannot read {place}: {error.strerror or error}") from error
    except Exception as error:  # object stores raise what they like
        raise StoreError(f"cannot read {place}: {error!r}") from error


def _unwritable(folder: str, error: OSError) -> StoreError:
    advice = _ADVICE.get(error.errno or 0, "look at the disk or mount it lies on")
    reason = error.strerror or str(error)
    return StoreError(f"cannot write the model to {folder}: {reason}; {advice}")
