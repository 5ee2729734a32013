"""Building commands: all that can be seen to be wrong is told before anything is sent."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

from driftloop.errors import Fault, SettingsError
from driftloop.messages import Action, Command
from driftloop.operator.streams import Chosen, choose, near
from driftloop.operator.versions import known_versions, of_parent, of_version, with_parents
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
        At least one command; those of a pattern or incident share `Command.batch`. Of a rollback of
        many, streams without a version to go back to are left out, and told.

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
        faults += of_version(settings, stream, version)
    if not faults and stream and action == "rollback" and version is None:
        faults += of_parent(known_versions(settings, stream))
    if faults:
        raise SettingsError(faults)
    if chosen.note:
        on_note(chosen.note)
    if many and action == "rollback":
        chosen = _that_can_go_back(settings, chosen, on_note)
    about = request_id
    if action == "dismiss" and incident:
        about = chosen.incident
    return _commands(chosen, action, who, why, end, version, about, via)


def _that_can_go_back(settings: Settings, chosen: Chosen, on_note: Callable[[str], None]) -> Chosen:
    """Those of many streams whose rollback would not fail at the trainer, the others told."""
    found = with_parents(settings, chosen.streams)
    if not found.able:
        option = "--incident" if chosen.incident else "--pattern"
        rule = "a pattern or an incident with a stream that has a version to go back to"
        raise SettingsError([Fault(option, chosen.incident or chosen.scope, rule, found.note)])
    if found.note:
        on_note(found.note)
    return chosen._replace(streams=found.able)


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
