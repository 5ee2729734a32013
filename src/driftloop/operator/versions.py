"""Versions of streams, as far as a person's command names or needs them."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Sequence
from typing import NamedTuple

from driftloop.errors import Fault, StoreError
from driftloop.kafka.contents import event_of
from driftloop.messages import CandidateTrained, ModelPublished, TrainingFinished
from driftloop.operator.streams import near
from driftloop.operator.topics import messages
from driftloop.settings import Settings

SHOWN = 5
"""Streams or versions that are named before the rest is counted."""


class Known(NamedTuple):
    """Versions of a stream.

    Attributes:
        versions: Their names.
        whole: Whether all were seen: topics are compacted, the store may be away.
        newest: The newest publication, or None.
    """

    versions: set[str]
    whole: bool
    newest: ModelPublished | None


def known_versions(settings: Settings, stream: str) -> Known:
    """Versions of a stream, by Driftloop's topics and by the store.

    Raises:
        KafkaUnavailableError: No broker answers.
    """
    known: set[str] = set()
    newest: ModelPublished | None = None
    topics = settings.topics
    for message in messages(settings, [topics.models, topics.trainings]):
        if (message.key() or b"") != stream.encode():
            continue
        event = event_of(message)
        if isinstance(event, ModelPublished | CandidateTrained):
            known |= {event.version, event.parent_version or event.version}
        if isinstance(event, ModelPublished) and (not newest or event.sequence >= newest.sequence):
            newest = event
        elif isinstance(event, TrainingFinished) and event.outcome == "published":
            known |= {event.version} - {None}  # type: ignore[arg-type]  # None is taken out
    if importlib.util.find_spec("safetensors") is None:
        return Known(known, whole=False, newest=newest)
    from driftloop.models import ModelStore  # noqa: PLC0415  # needs an extra

    try:
        stored = ModelStore(settings.store).versions(stream)
    except (StoreError, ImportError):  # object stores come with extras of their own
        return Known(known, whole=False, newest=newest)
    # A store without the stream says little: the trainer may have a folder of another machine.
    known |= {one.version for one in stored if one.complete}
    return Known(known, bool(stored), newest)


def of_version(settings: Settings, stream: str, version: str) -> list[Fault]:
    """Why a version that is named cannot be meant: it was never made.

    Raises:
        KafkaUnavailableError: No broker answers.
    """
    known, whole, _ = known_versions(settings, stream)
    if version in known or not (whole or _beyond(version, known)):
        return []
    rule = f"a version of {stream} that was published, or lies in {settings.store.uri}"
    hint = near(version, known) or (f"there are {_listed(known)}" if known else "there is none yet")
    return [Fault("--version", version, rule, hint)]


def of_parent(known: Known) -> list[Fault]:
    """Why a rollback that names no version cannot be: as the trainer would say once it has it."""
    current = known.newest
    why = "" if current is None else _nowhere(current)
    if current is None or not why:
        return []
    others = known.versions - {current.version}
    hint = f"there are {_listed(others)}" if others else "there is no other version"
    return [Fault("--version", "none", f"given, for {why}", hint)]


class Sorted(NamedTuple):
    """Streams of a rollback of many.

    Attributes:
        able: Those with a version to go back to.
        left_out: The others, with why.
    """

    able: list[str]
    left_out: dict[str, str]

    @property
    def note(self) -> str:
        """The others in words, or empty."""
        if not self.left_out:
            return ""
        named = [f"{stream} ({why})" for stream, why in [*self.left_out.items()][:SHOWN]]
        more = len(self.left_out) - len(named)
        count = f"{len(self.left_out)} streams are" if len(self.left_out) > 1 else "a stream is"
        rest = f" and {more} more" if more else ""
        return f"{count} left out, with nothing to go back to: {', '.join(named)}{rest}"


def with_parents(settings: Settings, streams: Sequence[str]) -> Sorted:
    """Which streams can go back to the parent of their current version.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """
    newest: dict[str, ModelPublished] = {}
    for message in messages(settings, [settings.topics.models]):
        event = event_of(message)
        if message.value() is None:
            newest.pop((message.key() or b"").decode(errors="replace"), None)
        elif isinstance(event, ModelPublished):
            before = newest.get(event.stream)
            if before is None or event.sequence >= before.sequence:
                newest[event.stream] = event
    why = {one: _nowhere(newest[one]) if one in newest else "no version yet" for one in streams}
    able = [one for one in streams if not why[one]]
    return Sorted(able, {one: text for one, text in why.items() if text})


def _nowhere(current: ModelPublished) -> str:
    """Why there is nothing to go back to from a version, or an empty text."""
    if current.action == "rolled-back":
        return f"{current.version} is itself restored"
    return f"{current.version} has no parent" if current.parent_version is None else ""


def _beyond(version: str, known: Collection[str]) -> bool:
    """Whether a version was never made: its number is larger than all that are known."""
    numbers = [int(one[1:]) for one in known if one[:1] == "v" and one[1:].isdecimal()]
    own = version[1:] if version[:1] == "v" else ""
    return bool(numbers) and own.isdecimal() and int(own) > max(numbers)


def _listed(versions: Collection[str]) -> str:
    newest = sorted(versions, key=lambda one: (len(one), one))[-SHOWN:]
    return ", ".join(newest)
