"""The model store: artifacts in a local folder, or wherever fsspec writes.

An artifact is a folder ``<store>/<stream>/<version>-<request>-<sha256>`` of ``model.json`` and
``weights.safetensors``, or the file of a plug-in's format. In a local folder it appears at once,
whole: it is written aside, then renamed. Object stores cannot rename: there the manifest, which
makes an artifact, comes last. The name tells the content, so trainers that write at once never mix
their files, and nothing that was written is ever overwritten by something else. Every load verifies
both hashes.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from driftloop.errors import (
    ArtifactCorruptedError,
    ArtifactNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from driftloop.models import files
from driftloop.models.artifact import (
    MANIFEST,
    Manifest,
    ModelArtifact,
    build,
    dump,
    parse_manifest,
    sha256,
)
from driftloop.models.files import LASTING
from driftloop.models.listing import (
    StoredVersion,
    folder_of,
    look,
    stored,
    stream_folders,
    stream_of,
)
from driftloop.models.measures import measured
from driftloop.models.retention import Held, Judged, plan
from driftloop.settings import StoreSettings

__all__ = ["LASTING", "ModelStore"]


class ModelStore:
    """Where model artifacts lie.

    Args:
        settings: `uri` is a folder or a URL that fsspec reads, `options` go to its file system;
            versions of other places are read below one of `also` alone; `keep` and `grace` say
            what `prune` leaves.
        now: Seconds since the epoch.

    Raises:
        SettingsError: A secret among the options cannot be read.
        StoreError: fsspec does not know the protocol, or lacks what it needs for it.
    """

    def __init__(self, settings: StoreSettings, *, now: Callable[[], float] = time.time) -> None:
        self._options = settings.resolved()
        self._fs, self._root = files.open_place(settings.uri, self._options)
        self._also = settings.also
        self._keep, self._grace = settings.keep, settings.grace.total_seconds()
        self._now = now
        self._known = False  # whether anything was ever found in the root
        if files.is_local(self._fs):  # a folder may leave before it is first used
            with contextlib.suppress(StoreError):
                self._known = files.holds_any(self._fs, self._root)

    @measured("save")
    def save(self, stream: str, version: str, artifact: ModelArtifact) -> tuple[str, str]:
        """Write an artifact.

        Args:
            stream: Stream id.
            version: As ``v3``.
            artifact: What to write. The same artifact again is left as it is, unless it is so old
                that it might be pruned before it is published: then it is written once more.

        Returns:
            URI of its folder, readable from any working directory, and the sha256 of its manifest.

        Raises:
            StoreUnavailableError: It could not be written now, and may be later.
            StoreError: It could not be written; says where, why, and what to do.
        """
        manifest, weights = dump(artifact)
        parts = {artifact.file: weights, MANIFEST: manifest}
        digest = sha256(manifest)
        request = re.sub(r"[^A-Za-z0-9]", "", artifact.request_id)[:8] or "none"
        name = folder_of(f"{version}-{request}-{digest[:12]}")
        folder = f"{self._root}/{folder_of(stream)}/{name}"
        there = self._state(folder, parts)
        if there == "other":
            folder = f"{folder}-{uuid.uuid4().hex[:8]}"
        if there != "same":
            try:
                files.write(self._fs, folder, parts, self.expect)
            except StoreError:
                # Another trainer may have written the same at the same time.
                if self._state(folder, parts) != "same":
                    raise
        self._known = True
        return self._fs.unstrip_protocol(folder), digest

    def _state(self, folder: str, parts: Mapping[str, bytes]) -> str:
        """What lies at a folder: ``none``, ``same`` (whole and young), or ``other``."""
        try:
            found = look(self._fs, folder)
        except StoreError:
            found = None  # writing says why
        if found is None:
            return "none"
        young = self._now() - found.modified < self._grace / 2
        if young and not files.is_local(self._fs) and set(found.files) < set(parts):
            return "none"  # the same is being written, or was left half-way: write the rest
        with contextlib.suppress(StoreError):
            same = all(files.read(self._fs, folder, name) == parts[name] for name in parts)
            return "same" if same and young else "other"
        return "other"

    @measured("probe")
    def probe(self) -> None:
        """Write a small file and remove it; a root that is not there yet is not made.

        Raises:
            StoreError: It could not be written; says where, why, and what to do.
        """
        files.probe(self._fs, self._root)

    def owns(self, uri: str) -> bool:
        """Whether an artifact's URI lies below the root."""
        return files.is_below(uri, self._fs.unstrip_protocol(self._root))

    @property
    def known(self) -> bool:
        """Whether anything was found in the root."""
        return self._known

    @measured("expect")
    def expect(self, uris: Iterable[str] = ()) -> None:
        """See that the root is there and not empty, unless the store is new.

        Args:
            uris: Of artifacts that were published. Where one of them lies below the root, or this
                object has found anything there before, the store is not new.

        Raises:
            StoreUnavailableError: The root is away, as a volume that is not mounted, or cannot be
                read now. What does not pass is left to reading and writing, which tell of it.
        """
        try:
            found = files.holds_any(self._fs, self._root)
        except StoreUnavailableError:
            raise
        except StoreError:
            return
        if not found and (self._known or any(map(self.owns, uris))):
            raise StoreUnavailableError(
                f"{self._root}, where versions lie, is not there, or empty: mount or restore it"
            )
        self._known = self._known or found

    @measured("reach")
    def reach(self) -> None:
        """See that the store can be read; it need not exist yet.

        Raises:
            StoreError: It cannot; says where and why.
        """
        files.is_there(self._fs, self._root)

    def find(self, stream: str, version: str) -> list[tuple[str, str]]:
        """Artifacts of a stream's version, as `save` returned them; usually one.

        Their manifests name stream and version; `load` verifies the rest.

        Raises:
            StoreError: The store could not be read.
        """
        found = []
        for one in sorted(self.versions(stream), key=lambda one: one.folder):
            if one.version != version or not one.complete:
                continue
            with contextlib.suppress(ArtifactNotFoundError, ArtifactCorruptedError):
                manifest = files.read(self._fs, one.folder, MANIFEST)
                parsed = parse_manifest(manifest, one.uri)
                if (parsed.stream, parsed.version) == (stream, version):
                    found.append((one.uri, sha256(manifest)))
        return found

    @measured("load")
    def load(self, uri: str, digest: str) -> ModelArtifact:
        """Read and verify an artifact.

        Args:
            uri: As `save` returned it.
            digest: The sha256 of its manifest.

        Raises:
            ArtifactNotFoundError: Nothing lies there, in a store that is there.
            ArtifactCorruptedError: What lies there has another hash, or does not parse.
            StoreUnavailableError: The store is away, or cannot be read now.
            StoreError: The store could not be read; or the artifact lies elsewhere.
        """
        return self._load(uri, digest)[0]

    def load_stored(self, one: StoredVersion) -> tuple[ModelArtifact, str]:
        """Read and verify a version that `versions` listed; return it and its manifest's sha256.

        Raises:
            ArtifactNotFoundError: A file of it is missing.
            ArtifactCorruptedError: It does not parse, a file has another hash than the manifest
                says, or the manifest another than the folder's name says.
            StoreError: The store could not be read.
        """
        artifact, digest, _ = self._load(one.uri, None)
        named = one.folder.rpartition("/")[2].split("-")
        if len(named) > 2 and not digest.startswith(named[2]):
            raise ArtifactCorruptedError(
                f"{one.uri}: {MANIFEST} must have the sha256 that the folder's name begins, "
                f"{named[2]}, got {digest}"
            )
        return artifact, digest

    def manifest(self, uri: str) -> Manifest:
        """The manifest of an artifact, whose files are not read; raises as `load` does."""
        fs, folder = self._place(uri)
        return parse_manifest(files.read(fs, folder, MANIFEST), uri)

    def contents(self, uri: str, digest: str) -> dict[str, bytes]:
        """The verified files of an artifact by name; raises as `load` does."""
        return self._load(uri, digest)[2]

    def _place(self, uri: str) -> tuple[Any, str]:
        """The file system of an artifact and its folder there.

        Whoever may write events must not say what this process reads and whom it asks, so nothing
        is opened that neither the root nor another trusted place holds.
        """
        if not self.owns(uri):
            roots = (files.open_place(one, self._options) for one in self._also)
            if not any(files.is_below(uri, fs.unstrip_protocol(path)) for fs, path in roots):
                raise StoreError(
                    f"{uri} is not read, as it does not lie below store.uri, {self._root}: if "
                    "versions that you trust lie there, name the folder above them in store.also"
                )
        return files.open_place(uri, self._options)

    def _load(self, uri: str, digest: str | None) -> tuple[ModelArtifact, str, dict[str, bytes]]:
        fs, folder = self._place(uri)
        try:
            manifest = files.read(fs, folder, MANIFEST)
        except ArtifactNotFoundError:
            self.expect([uri])
            raise
        self._known = self._known or self.owns(uri)
        found = sha256(manifest)
        if digest is not None and found != digest:
            raise ArtifactCorruptedError(
                f"{uri}: {MANIFEST} must have the sha256 {digest} that was published, got {found}"
            )
        parsed = parse_manifest(manifest, uri)
        weights = files.read(fs, folder, parsed.file.name)
        parts = {MANIFEST: manifest, parsed.file.name: weights}
        return build(parsed, weights, uri), found, parts

    def streams(self) -> list[str]:
        """Ids of all streams that have a folder.

        Raises:
            StoreError: The store could not be read.
        """
        return [stream_of(name) for name in stream_folders(self._fs, self._root)]

    def versions(self, stream: str) -> list[StoredVersion]:
        """What lies in a stream's folder, newest version first; half-written ones too.

        It costs what that stream has, not what the store has.

        Raises:
            StoreError: The store could not be read.
        """
        return stored(self._fs, f"{self._root}/{folder_of(stream)}")

    def plan(self, stream: str, held: Held) -> list[Judged]:
        """What `prune` would do; `driftloop.models.retention.plan` says by which rules.

        Raises:
            StoreError: The store could not be read.
        """
        found = self.versions(stream)
        return plan(found, held, keep=self._keep, grace=self._grace, now=self._now())

    def prune(self, stream: str, held: Held) -> list[Judged]:
        """Remove what may go of a stream.

        Args:
            stream: Stream id.
            held: What must stay, known after the stream's last version was published.

        Returns:
            What was removed, and why.

        Raises:
            StoreError: The store could not be read, or something could not be removed.
        """
        gone = [judged for judged in self.plan(stream, held) if not judged.keep]
        for judged in gone:
            # A listing may leave a file out that it could not look at: no ground to remove it.
            manifest = f"{judged.stored.folder}/{MANIFEST}"
            if not judged.stored.complete and files.is_there(self._fs, manifest):
                raise StoreError(f"{manifest} is there, but was not listed: nothing is removed")
            files.remove(self._fs, judged.stored.folder, list(judged.stored.files))
        return gone
