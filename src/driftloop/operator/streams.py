"""Which streams a person means: one by its name, those that match a pattern, or of an incident."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from driftloop.errors import Fault
from driftloop.kafka.contents import event_of
from driftloop.messages import FleetIncident, incident_scope
from driftloop.operator.topics import messages, topic_names
from driftloop.readmodel.alike import alike
from driftloop.settings import Settings

FEWEST_DIGITS = 8
"""Of an incident's id, from which on a prefix is enough."""


class Chosen(NamedTuple):
    """What a person named.

    Attributes:
        streams: The streams, sorted.
        scope: As `driftloop.messages.Command` has it.
        incident: The incident's id, or empty.
        faults: Why nothing was found.
        note: What should be known before it is confirmed, or empty.
    """

    streams: list[str]
    scope: str = ""
    incident: str = ""
    faults: tuple[Fault, ...] = ()
    note: str = ""


def existing(settings: Settings) -> list[str]:
    """The streams whose topics are there, sorted.

    Raises:
        KafkaUnavailableError: No broker answers.
    """
    own = set(settings.topics.names.values())
    streams: list[str] = []
    for topic, partitions in topic_names(settings).items():
        found = None if topic in own else settings.profile_of(topic)
        if found is None:
            continue
        if found[1].partitions == "each":
            streams += [f"{topic}:{number}" for number in range(partitions)]
        else:
            streams.append(topic)
    return sorted(streams)


def near(text: str, known: Iterable[str]) -> str:
    """A hint that names what is there and alike, or an empty text.

    >>> near("orders.lyn", ["orders.lyon", "sales"])
    'did you mean orders.lyon?'
    """
    found = alike(text, known)
    return f"did you mean {' or '.join(found)}?" if found else ""


def choose(settings: Settings, *, stream: str, pattern: str, incident: str) -> Chosen:
    """The streams that are there of what was named; exactly one of the three is given.

    Args:
        settings: The configuration.
        stream: A topic, or ``topic:partition``.
        pattern: As a shell has it: ``*``, ``?`` and ``[…]``, over the whole name.
        incident: Id of a `FleetIncident`, or the beginning of one.

    Raises:
        KafkaUnavailableError: No broker answers.
        KafkaError: The broker refuses.
    """
    known = existing(settings)
    if incident:
        return _of_incident(settings, incident, known)
    if pattern:
        found = [one for one in known if fnmatchcase(one, pattern)]
        rule = f"a pattern of at least one of the {len(known)} streams that are there"
        faults = () if found else (Fault("--pattern", pattern, rule, near(pattern, known)),)
        return Chosen(found, pattern, faults=faults)
    if stream in known:
        return Chosen([stream])
    matched = settings.profile_of(stream.partition(":")[0]) is not None
    rule = (
        f"a topic that exists on {settings.kafka.bootstrap_servers}"
        if matched
        else "a topic that a profile matches"
    )
    return Chosen([], faults=(Fault("STREAM", stream, rule, near(stream, known)),))


def _of_incident(settings: Settings, named: str, known: list[str]) -> Chosen:
    by_id: dict[str, FleetIncident] = {}
    for message in messages(settings, [settings.topics.incidents]):
        event = event_of(message)
        if isinstance(event, FleetIncident):
            by_id[event.id] = event
    enough = len(named) >= FEWEST_DIGITS
    found = [one for one in by_id.values() if one.id == named or (enough and _begins(one, named))]
    if len(found) != 1:
        rule = (
            f"the id of one of {len(by_id)} incidents, or at least its first {FEWEST_DIGITS} digits"
        )
        return Chosen([], faults=(Fault("--incident", named, rule, near(named, by_id)),))
    opened = found[0]
    if not opened.streams:  # it is its end that was named
        begun = [
            one
            for one in by_id.values()
            if one.action == "opened"
            and (one.profile, one.opened_at) == (opened.profile, opened.opened_at)
        ]
        opened = begun[0] if begun else opened
    there = set(known)
    streams = sorted(one for one in opened.streams if one in there)
    note = ""
    if opened.moved > len(streams):
        note = f"the incident moved {opened.moved} streams; it names {len(opened.streams)} of them"
        note += f", of which {len(streams)} are there"
    faults = (
        ()
        if streams
        else (Fault("--incident", named, "an incident of which at least one stream is there"),)
    )
    return Chosen(streams, incident_scope(opened.id), opened.id, faults, note)


def _begins(event: FleetIncident, named: str) -> bool:
    return event.id.startswith(named)
