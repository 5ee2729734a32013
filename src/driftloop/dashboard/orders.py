"""Commands as the pages offer them: which there are, what they ask for, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from driftloop import operator
from driftloop.errors import Fault, SettingsError
from driftloop.messages.commands import Action, Command
from driftloop.readmodel import Queries
from driftloop.readmodel.rows import CommandRow, RequestRow
from driftloop.settings import Settings

LEAST_WHY, MOST_WHY = 3, 1000
"""Characters of a reason."""

MOST_TARGETS = 20_000

ACTIONS: dict[str, tuple[str, str]] = {
    "retrain": (
        "Retrain",
        "Requests a new model on the newest records. It must pass the gate, as any other.",
    ),
    "rollback": (
        "Roll back",
        "Publishes the earlier version again; scorers take it over in mid-stream.",
    ),
    "approve": ("Approve retrain", "Sends the retrain that waits to the trainer."),
    "reject": ("Reject retrain", "Drops the retrain that waits."),
    "dismiss": (
        "False alarm",
        "Says after the fact that this retrain was needless; it is counted against the promise.",
    ),
    "snooze": (
        "Snooze",
        "No retrains until then, in the stream's own time; evidence is still gathered.",
    ),
    "resume": ("Resume", "Ends a snooze, or brings a retired stream back."),
    "pin": ("Pin", "Keeps the version in use: nothing is retrained or rolled back until unpinned."),
    "unpin": ("Unpin", "Lets the policy decide again."),
    "reset-reference": (
        "Reset reference",
        "Forgets the reference and the evidence so far; both begin anew with the next records.",
    ),
    "retire": ("Retire", "The stream is watched no more, until it is resumed."),
}
"""Words of the button, and what the action does."""

TAKES_VERSION = frozenset({"rollback", "pin"})
TAKES_UNTIL = frozenset({"snooze"})
DANGER = frozenset({"rollback", "retire", "reject"})


@dataclass(frozen=True, slots=True)
class Order:
    """What a form asks for.

    Attributes:
        action: One of `ACTIONS`.
        stream: The stream, or empty.
        pattern: A pattern of streams, or empty.
        incident: Id of an incident, or empty.
        version: The version meant, or None.
        request_id: The request meant, or None.
        until: End of a snooze, as the form has it: ``2026-01-31T12:00``.
        why: The reason.
    """

    action: str
    stream: str = ""
    pattern: str = ""
    incident: str = ""
    version: str | None = None
    request_id: str | None = None
    until: str = ""
    why: str = ""

    @property
    def many(self) -> bool:
        """Whether more than one stream may be meant."""
        return bool(self.pattern or self.incident)

    @property
    def target(self) -> str:
        """What is meant, in words."""
        if self.incident:
            return f"all streams of incident {self.incident[:8]}"
        return f"all streams that match {self.pattern}" if self.pattern else self.stream


def until_ms(order: Order) -> int | None:
    """End of a snooze in ms, or None.

    Raises:
        SettingsError: It is no time.
    """
    if order.action not in TAKES_UNTIL or not order.until:
        return None
    try:
        found = datetime.fromisoformat(order.until)
    except ValueError as error:
        fault = Fault("until", repr(order.until), "a time, as 2026-01-31T12:00")
        raise SettingsError([fault], "the form") from error
    return round(found.replace(tzinfo=found.tzinfo or UTC).timestamp() * 1000)


def build(
    settings: Settings, order: Order, who: str, on_note: Callable[[str], None] = lambda _: None
) -> list[Command]:
    """The commands of a form, checked; `on_note` is told what should be known before.

    Raises:
        SettingsError: With every fault.
        KafkaError: Kafka does not answer.
    """
    faults = []
    if order.action not in get_args(Action):
        faults.append(Fault("action", repr(order.action), f"one of {', '.join(ACTIONS)}"))
    if not LEAST_WHY <= len(order.why) <= MOST_WHY:
        rule = f"a reason of {LEAST_WHY} to {MOST_WHY} characters, for the audit"
        faults.append(Fault("why", f"{len(order.why)} characters", rule))
    if order.action == "snooze" and not order.until:
        faults.append(Fault("until", "nothing", "when the snooze ends"))
    until = until_ms(order)
    if faults:
        raise SettingsError(faults, "the form")
    return list(
        operator.build(
            settings,
            order.action,
            stream=order.stream,
            pattern=order.pattern,
            incident=order.incident,
            who=who,
            why=order.why,
            until=until,
            version=order.version,
            request_id=order.request_id,
            via="dashboard",
            on_note=on_note,
        )
    )


def send(settings: Settings, commands: Sequence[Command]) -> None:
    """Send them.

    Raises:
        KafkaError: They could not be sent.
    """
    operator.send(settings, commands)


@dataclass(frozen=True, slots=True)
class Told:
    """A command, and what came of it so far.

    Attributes:
        command: As the read model has it; None while it has not read it.
        followed: Requests and orders that followed from it.
    """

    id: str
    command: CommandRow | None
    followed: list[RequestRow]

    @property
    def settled(self) -> bool:
        """Whether no more is to come."""
        if self.command is None or not self.command.outcome:
            return False
        if self.command.outcome != "accepted":
            return True
        return bool(self.followed) and all(one.outcome for one in self.followed)


def followed(queries: Queries, command: CommandRow) -> list[RequestRow]:
    """Requests and orders that followed from a command."""
    found = [queries.request(one) for one in command.led_to]
    return [one for one in found if one is not None]
