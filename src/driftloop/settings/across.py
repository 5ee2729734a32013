"""Faults between sections: keys that are sound by themselves and do not fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from driftloop.errors import Fault
from driftloop.settings.base import is_address
from driftloop.settings.faults import Found
from driftloop.settings.models import Settings

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SCHEME = re.compile(r"^[A-Za-z_]+://")


def across(settings: Settings) -> list[Found]:
    """All such faults."""
    return [
        *_servers(settings),
        *_topics(settings),
        *_scorer(settings),
        *_recovery(settings),
        *_budget(settings),
        *_profiles(settings),
    ]


def _found(place: str, value: str, rule: str, *others: str) -> Found:
    path = tuple(place.split("."))
    keys = tuple(tuple(one.split(".")) for one in others)
    return Found(Fault(place, value, rule), path, (path, *keys))


def _servers(settings: Settings) -> Iterator[Found]:
    servers = settings.kafka.bootstrap_servers
    for one in servers.split(","):
        if not is_address(_SCHEME.sub("", one.strip())):
            rule = "host:port, or several with a comma between them"
            yield _found("kafka.bootstrap_servers", repr(servers), rule)
            return


def _topics(settings: Settings) -> Iterator[Found]:
    first: dict[str, str] = {}
    for role, name in settings.topics.names.items():
        if not _TOPIC.fullmatch(name) or name in {".", ".."}:
            rule = "a topic's name: letters, digits, '.', '_' and '-', at most 249"
            yield _found(f"topics.{role}", repr(name), rule)
        elif name in first:
            other = f"topics.{first[name]}"
            rule = f"a topic of its own, other than that of {other}"
            yield _found(f"topics.{role}", repr(name), rule, other)
        first.setdefault(name, role)


def _scorer(settings: Settings) -> Iterator[Found]:
    topics, output = settings.scorer.topics, settings.scorer.output
    try:
        re.compile(topics)
    except re.error as error:
        yield _found("scorer.topics", repr(topics), f"a regular expression ({error})")
        return
    try:
        # An empty match, so that all groups are there and none needs a text.
        re.sub(f"(?:{topics})|", output, "")
    except (re.error, IndexError) as error:
        rule = f"a name that may use the groups of scorer.topics ({error})"
        yield _found("scorer.output", repr(output), rule, "scorer.topics")


def _recovery(settings: Settings) -> Iterator[Found]:
    monitor, scorer = settings.monitor.recovery, settings.scorer.recovery
    if monitor and scorer and Path(monitor).absolute() == Path(scorer).absolute():
        rule = "a folder of its own, other than monitor.recovery"
        yield _found("scorer.recovery", repr(scorer), rule, "monitor.recovery")


def _budget(settings: Settings) -> Iterator[Found]:
    for name, seconds in settings.trainer.budget.profiles.items():
        if name not in settings.profiles:
            place = f"trainer.budget.profiles.{name}"
            rule = f"the name of a profile (known: {', '.join(settings.profiles)})"
            path = ("trainer", "budget", "profiles", name)
            yield Found(Fault(place, repr(seconds), rule), path, (path,))


def _profiles(settings: Settings) -> Iterator[Found]:
    first: dict[str, str] = {}
    for name, profile in settings.profiles.items():
        place, pattern = f"profiles.{name}.topics", profile.topics
        path = ("profiles", name, "topics")
        own = [topic for topic in settings.topics.names.values() if profile.matches(topic)]
        if not pattern:
            rule = "a regular expression that matches topics"
        elif pattern in first:
            rule = f"a pattern of its own: profile {first[pattern]!r} takes all these topics"
        elif own:
            rule = f"a pattern that leaves out Driftloop's own topics, as {own[0]}"
        else:
            first[pattern] = name
            continue
        yield Found(Fault(place, repr(pattern), rule), path, (path,))
