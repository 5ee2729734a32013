"""The store as ``driftloop models`` sees it: what lies there, and what Kafka says of it."""

from __future__ import annotations

import difflib
import time
from typing import NoReturn

import typer
from rich.console import Console

from driftloop.cli import reach
from driftloop.cli.settings import tell
from driftloop.errors import KafkaError, KafkaUnavailableError
from driftloop.kafka.held import HeldVersions
from driftloop.messages import ModelPublished
from driftloop.models import ModelArtifact, ModelStore
from driftloop.models.listing import StoredVersion
from driftloop.models.retention import Held
from driftloop.settings import Settings

console = Console(highlight=False)


class Shelf:
    """A store, and the versions that Kafka holds.

    Args:
        settings: The configuration.
        offline: Whether Kafka is left alone.

    Attributes:
        note: Why it is not known what is current and pinned; empty where it is.
        cause: The error that says so, or None.
    """

    def __init__(self, settings: Settings, *, offline: bool) -> None:
        self.settings = settings
        self.store = ModelStore(settings.store)
        self.now = time.time()
        self.note = ""
        self.cause: KafkaError | None = None
        self._held: HeldVersions | None = None
        if offline:
            self.note = "offline: what is current and pinned is not told"
            return
        try:
            self._held = self._read()
        except KafkaError as error:
            self.cause = error
            self.note = f"{error}: what is current and pinned is not told (--offline does not ask)"

    def _read(self) -> HeldVersions:
        silent = reach.missing(self.settings)
        if silent:
            raise KafkaUnavailableError(silent)
        client = self.settings.kafka.client()
        topics, grace = self.settings.topics, self.settings.store.grace.total_seconds()
        verifier = self.settings.commands.verifier()
        held = HeldVersions(client, topics.models, topics.commands, recent=grace, verifier=verifier)
        try:
            held.catch_up()
        finally:
            held.close()
        return held

    def held(self, stream: str) -> Held:
        """What must stay of a stream, as far as is known."""
        return self._held.of(stream, self.now) if self._held is not None else Held()

    def current(self, stream: str) -> ModelPublished | None:
        """The newest version event of a stream, as far as is known."""
        return self._held.current.get(stream) if self._held is not None else None

    @property
    def published(self) -> dict[str, ModelPublished]:
        """The newest version event of every stream, as far as is known."""
        return dict(self._held.current) if self._held is not None else {}

    def mark(self, one: StoredVersion) -> str:
        """A word on a version: why it is held, or what is wrong with it."""
        if not one.complete:
            return "half-written"
        reason = self.held(one.stream).reason(one)
        event = self.current(one.stream)
        if reason == "current" and event is not None and event.uri != one.uri:
            return "not published"  # the same version, by a trainer that did not come to publish
        return reason

    def versions(self, stream: str) -> list[StoredVersion]:
        """Versions of a stream, newest first; a stream without any ends the command."""
        found = self.store.versions(stream)
        if not found:
            known = self.store.streams()
            refuse(
                f"STREAM: no version of {stream!r} lies in {self.settings.store.uri}",
                stream,
                known,
                "driftloop models list names all streams",
            )
        return found

    def pick(self, stream: str, version: str | None) -> StoredVersion:
        """One version of a stream: the named, else the current, else the newest."""
        found = [one for one in self.versions(stream) if one.complete]
        event = self.current(stream)
        if version is None:
            named = [one for one in found if event is not None and one.uri == event.uri] or found
        else:
            named = [one for one in found if version in {one.version, _name(one)}]
            named.sort(key=lambda one: event is None or one.uri != event.uri)
        if not named:
            refuse(
                f"VERSION: {stream} has no version {version!r} in {self.settings.store.uri}",
                version or "",
                [one.version for one in found],
                f"driftloop models list {stream} names all versions",
            )
        return named[0]

    def artifact(self, one: StoredVersion) -> tuple[ModelArtifact, str]:
        """A verified version, and the sha256 of its manifest."""
        return self.store.load_stored(one)


def _name(one: StoredVersion) -> str:
    return one.folder.rpartition("/")[2]


def refuse(text: str, name: str, known: list[str], otherwise: str) -> NoReturn:
    """Say what is not there, and what was probably meant; exit status 2."""
    close = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=3, cutoff=0.5)
    tell(f"{text}; did you mean {' or '.join(close)}?" if close else f"{text}; {otherwise}")
    raise typer.Exit(2)


def note(shelf: Shelf) -> None:
    """Say what is not known, beside the output."""
    if shelf.note:
        Console(stderr=True, highlight=False).print(
            f"Note: {shelf.note}", soft_wrap=True, markup=False
        )


def size(count: int) -> str:
    """Bytes for people.

    >>> size(999), size(12_345), size(3_000_000)
    ('999 B', '12.3 kB', '3.0 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def figure(value: float | None) -> str:
    """A number for people; a hyphen for none."""
    return "-" if value is None else f"{value:.4g}"
