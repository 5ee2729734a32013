"""Building commands: all that can be seen to be wrong is told before anything is sent."""

from __future__ import annotations

import importlib.util
import time
import uuid
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

from driftloop.errors import Fault, SettingsError, StoreError
from driftloop.kafka.contents import event_of
from driftloop.messages import (
    Action,
    CandidateTrained,
    Command,
    ModelPublished,
    TrainingFinished,
)
from driftloop.operator.streams import Chosen, choose, near
from driftloop.operator.topics import messages
from driftloop.settings import Settings

ACTIONS: tuple[Action, ...] = get_args(Action)
VERSIONED = ("pin", "rollback")
"""What a version may be named for."""
ABOUT_REQUESTS = ("approve", "reject", "dismiss")
"""What a request may be named for."""


def build(
    settings: Settings,
    action: str,
    *,
    stream: str = "",
    pattern: str = "",
    incident: str = "",
    who: str,
    why: str,
    until: int | str | None = None,
    version: str | None = None,
    request_id: str | None = None,
    via: str = "cli",
    on_note: Callable[[str], None] = lambda _: None,
) -> list[Command]:
    """The commands of an order, one a stream, issued now; nothing is sent yet.

    Args:
        settings: The configuration.
        action: What to do.
        stream: For one stream: a topic, or ``topic:partition``.
        pattern: Instead: for all that match, as a shell has it: ``flights.*``.
        incident: Instead: for the streams that an incident names, by its id or the beginning of it.
        who: Who orders it.
        why: For the audit.
        until: End of a snooze in event time: ms since the epoch, or RFC 3339.
        version: The version to pin or to go back to.
        request_id: The request that is approved, rejected or dismissed.
        via: Where it is given.
        on_note: Told what should be known before it is sent.

    Returns:
        At least one command; those of a pattern or incident share `Command.batch`.

    Raises:
        SettingsError: With all faults: an unknown action, stream or version with what is alike;
            options that do not go together; someone that the configured key does not sign for.
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """
    many = bool(pattern or incident)
    faults = _of_options(
        action, many=many, until=until, version=version, request_id=request_id, why=why
    )
    if [bool(stream), bool(pattern), bool(incident)].count(True) != 1:
        faults.append(Fault("STREAM", repr(stream), "a stream, or --pattern, or --incident"))
    faults += _of_signer(settings, who)
    end: int | None = None
    if until is not None:
        try:
            end = to_ms(until)
        except (ValueError, OverflowError):
            faults.append(Fault("--until", str(until), "RFC 3339, or ms since the epoch"))
    if faults:
        raise SettingsError(faults)
    chosen = choose(settings, stream=stream, pattern=pattern, incident=incident)
    faults = list(chosen.faults)
    if not faults and version is not None:
        faults += _of_version(settings, stream, version)
    if not faults and stream and action == "rollback" and version is None:
        faults += of_parent(_known(settings, stream))
    if faults:
        raise SettingsError(faults)
    if chosen.note:
        on_note(chosen.note)
    about = request_id
    if action == "dismiss" and incident:
        about = chosen.incident
    return _commands(chosen, action, who, why, end, version, about, via)


def _commands(chosen: Chosen, action: str, who: str, why: str, *more: Any) -> list[Command]:
    until, version, request_id, via = more
    (known,) = (one for one in ACTIONS if one == action)
    now = round(time.time() * 1000)
    batch = uuid.uuid4().hex if chosen.scope else ""
    return [
        Command(
            id=uuid.uuid4().hex,
            stream=one,
            action=known,
            who=who,
            why=why,
            issued_at=now,
            until=until,
            version=version,
            request_id=request_id,
            scope=chosen.scope,
            batch=batch,
            via=via,
        )
        for one in chosen.streams
    ]


def _of_options(
    action: str,
    *,
    many: bool,
    until: int | str | None,
    version: str | None,
    request_id: str | None,
    why: str,
) -> list[Fault]:
    faults = []
    if action not in ACTIONS:
        hint = near(action, ACTIONS)
        return [Fault("ACTION", action, f"one of {', '.join(ACTIONS)}", hint)]
    if not why.strip():
        faults.append(Fault("--why", repr(why), "a reason, for the audit"))
    for option, value, actions in (
        ("--until", until, ("snooze",)),
        ("--version", version, VERSIONED),
        ("--request", request_id, ABOUT_REQUESTS),
    ):
        if value is not None and action not in actions:
            faults.append(Fault(option, str(value), f"given with {' or '.join(actions)} only"))
        elif value is not None and many and option != "--until":
            faults.append(Fault(option, str(value), "given for one stream only"))
    return faults


def _of_signer(settings: Settings, who: str) -> list[Fault]:
    commands = settings.commands
    if not who.strip():
        return [Fault("--who", repr(who), "who orders it")]
    if commands.signing() is None:
        if commands.require_signature:
            rule = (
                "set, with commands.secret: this configuration requires signatures "
                "('driftloop config key NAME' makes a key)"
            )
            return [Fault("commands.key_id", repr(commands.key_id), rule)]
        return []
    if who == commands.key_id or commands.key_id in commands.delegates:
        return []
    rule = f"{commands.key_id}, whose key signs here (commands.delegates may sign for others)"
    return [Fault("--who", who, rule)]


def _of_version(settings: Settings, stream: str, version: str) -> list[Fault]:
    known, whole, _ = _known(settings, stream)
    if version in known or not (whole or _beyond(version, known)):
        return []
    rule = f"a version of {stream} that was published, or lies in {settings.store.uri}"
    hint = near(version, known) or (f"there are {_listed(known)}" if known else "there is none yet")
    return [Fault("--version", version, rule, hint)]


def of_parent(known: Known) -> list[Fault]:
    """Why a rollback that names no version cannot be: as the trainer would say once it has it."""
    current = known.newest
    if current is None:
        return []
    why = ""
    if current.action == "rolled-back":
        why = f"{current.version} is itself restored"
    elif current.parent_version is None:
        why = f"{current.version} has no parent"
    if not why:
        return []
    others = known.versions - {current.version}
    hint = f"there are {_listed(others)}" if others else "there is no other version"
    return [Fault("--version", "none", f"given, for {why}", hint)]


def _beyond(version: str, known: Collection[str]) -> bool:
    """Whether a version was never made: its number is larger than all that are known."""
    numbers = [int(one[1:]) for one in known if one[:1] == "v" and one[1:].isdecimal()]
    own = version[1:] if version[:1] == "v" else ""
    return bool(numbers) and own.isdecimal() and int(own) > max(numbers)


def _listed(versions: Collection[str]) -> str:
    newest = sorted(versions, key=lambda one: (len(one), one))[-5:]
    return ", ".join(newest)


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


def _known(settings: Settings, stream: str) -> Known:
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


def to_ms(moment: int | str) -> int:
    """A moment as milliseconds since the epoch; one without a zone is in UTC.

    Raises:
        ValueError: It is neither a whole number nor RFC 3339.

    >>> to_ms("2026-01-01T00:00:00Z"), to_ms("2026-01-01"), to_ms("1767225600000"), to_ms(5)
    (1767225600000, 1767225600000, 1767225600000, 5)
    """
    if isinstance(moment, int):
        return moment
    if moment.isdecimal():
        return int(moment)
    found = datetime.fromisoformat(moment)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return round(found.timestamp() * 1000)
