"""Checks of topics: Driftloop's own, and streams that must hold what training reads back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from driftloop.doctor.finding import Finding, fail, ok, some, warn
from driftloop.kafka import codes
from driftloop.kafka.ranges import offsets_of, places_of
from driftloop.kafka.rights import Part, is_denial, roles_of
from driftloop.kafka.topics import driftloop_topics, partition_counts
from driftloop.settings import Profile, Settings
from driftloop.settings.base import format_duration, milliseconds, parse_duration

_SECONDS = 10.0
_SAMPLE = 200
Config = Mapping[str, str]


def own_topics(
    settings: Settings, client: Mapping[str, Any], in_view: Sequence[str], part: Part | None
) -> Iterator[Finding]:
    """That the topics that a part uses are there, with the clean-up and partitions they need."""
    names = settings.topics.names
    if part is not None:  # it may have no right to see the others
        names = {role: names[role] for role in roles_of(part, settings)}
    missing = [name for name in names.values() if name not in in_view]
    if missing and settings.topics.create:
        yield warn("topics", f"not there yet: {some(missing, 8)}", "the parts make them at a start")
        refused = _uncreatable(settings, client, missing)
        if refused:
            advice = "grant it, or make them and set topics.create = false (docs/security.md)"
            yield fail("rights: topics", f"missing: Create on {some(refused, 8)}", advice)
    elif missing:
        advice = "make them, or set topics.create = true; without Describe they are not seen"
        yield fail("topics", f"missing: {some(missing, 8)}", advice)
    else:
        yield ok("topics", f"all {len(names)} of Driftloop's own that are used are there")
    there = [name for name in names.values() if name in in_view]
    counts = partition_counts(client, there, timeout=_SECONDS)
    trainer = [names[role] for role in ("retrain", "models", "trainings") if role in names]
    joined = {name: counts.get(name) for name in trainer}
    if len({count for count in joined.values() if count}) > 1:
        shown = ", ".join(f"{name} {count}" for name, count in joined.items())
        advice = "a trainer needs as many of each: make them anew, or add partitions"
        yield fail("topics: partitions", shown, advice)
    found, hidden = configs(client, there)
    if hidden:
        advice = "grant DescribeConfigs on them (docs/security.md)"
        yield warn("topics: clean-up", f"not told for {some(hidden)}", advice)
    wrong = []
    for spec in driftloop_topics(settings.topics, names):
        wanted = spec.config.get("cleanup.policy", "delete")
        policy = found.get(spec.name, {}).get("cleanup.policy", wanted)
        if (wanted == "compact") != ("compact" in policy):
            wrong.append(f"{spec.name} is {policy}, should be {wanted}")
    if wrong:
        advice = "kafka-configs.sh --alter --topic NAME --add-config cleanup.policy=…"
        yield fail("topics: clean-up", "; ".join(wrong), advice)
    elif found:
        yield ok("topics: clean-up", "compacted where the newest counts, else deleted by age")


def _uncreatable(settings: Settings, client: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Those topics that this client may not make; makes none."""
    new = [NewTopic(name, settings.topics.partitions) for name in names]
    admin = AdminClient({"log_level": 2, **client})
    futures = admin.create_topics(new, request_timeout=_SECONDS, validate_only=True)
    errors = {name: future.exception(_SECONDS + 1) for name, future in futures.items()}
    return [
        name
        for name, error in errors.items()
        if isinstance(error, KafkaException) and is_denial(error.args[0])
    ]


def retention(
    settings: Settings, client: Mapping[str, Any], in_view: Sequence[str]
) -> Iterator[Finding]:
    """That each profile's streams keep what a training reads back; a sample of them."""
    own = set(settings.topics.names.values())
    by_profile: dict[str, list[str]] = {}
    for name in in_view:
        found = settings.profile_of(name) if name not in own else None
        if found is not None:
            by_profile.setdefault(found[0], []).append(name)
    for name, topics in by_profile.items():
        sample = topics[:: max(1, len(topics) // _SAMPLE)][:_SAMPLE]
        yield from _of_profile(name, settings.profiles[name], client, sample, len(topics))


def _of_profile(
    name: str, profile: Profile, client: Mapping[str, Any], topics: list[str], total: int
) -> Iterator[Finding]:
    check = f"retention: {name}"
    training = profile.training
    found, hidden = configs(client, topics)
    if hidden:
        advice = "grant DescribeConfigs on them (docs/security.md)"
        yield warn(check, f"not told for {some(hidden)}", advice)
    faults: dict[str, list[str]] = {}
    window = None if training.window is None else milliseconds(training.window)
    for topic, config in found.items():
        kept = int(config.get("retention.ms", "-1"))
        if "compact" in config.get("cleanup.policy", ""):
            faults.setdefault("compacted: records of equal keys go", []).append(topic)
        elif window is not None and 0 <= kept < window:
            days = format_duration(parse_duration(kept / 1000))
            rule = f"kept {days}, and training.window is {format_duration(training.window)}"  # type: ignore[arg-type]
            faults.setdefault(rule, []).append(topic)
    for rule, named in faults.items():
        advice = "lengthen retention.ms of the topic, or shorten training.window"
        if "compacted" in rule:
            advice = "set cleanup.policy=delete: a request names offsets that must stay"
        yield fail(check, f"{some(named)}: {rule}", advice)
    short = _short(client, topics, training.records)
    if short:
        advice = "lengthen the topics' retention, or lower training.records"
        text = f"{some(short)}: fewer than training.records = {training.records:,} records are kept"
        yield warn(check, text, advice)
    if not faults and not short and found:
        looked = f"{len(topics):,} of {total:,} topics" if len(topics) < total else "all topics"
        yield ok(check, f"{looked} keep what a training reads back")


def _short(client: Mapping[str, Any], topics: Sequence[str], records: int | None) -> list[str]:
    """Topics that lost records to retention already, and hold fewer than a training reads."""
    if records is None:
        return []
    places = places_of(client, topics, timeout=_SECONDS)
    admin = AdminClient({"log_level": 2, **client})
    first = offsets_of(admin, places, codes.EARLIEST, _SECONDS)
    end = offsets_of(admin, places, codes.LATEST, _SECONDS)
    held: dict[str, int] = {}
    cut = set()
    for place, begin in first.items():
        held[place[0]] = held.get(place[0], 0) + end.get(place, begin) - begin
        if begin > 0:
            cut.add(place[0])
    return sorted(topic for topic in cut if held[topic] < records)


def configs(
    client: Mapping[str, Any], topics: Sequence[str]
) -> tuple[dict[str, Config], list[str]]:
    """Configuration of each topic, and those of which the broker does not tell it."""
    if not topics:
        return {}, []
    admin = AdminClient({"log_level": 2, **client})
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
    found: dict[str, Config] = {}
    hidden = []
    for one, future in admin.describe_configs(resources, request_timeout=_SECONDS).items():
        try:
            entries = future.result(_SECONDS + 1)
        except KafkaException:
            hidden.append(one.name)
        else:
            found[one.name] = {name: str(entry.value) for name, entry in entries.items()}
    return found, sorted(hidden)
