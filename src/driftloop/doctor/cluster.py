"""Checks of the Kafka cluster: that it answers, its clock, and the rights of this client."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftloop.doctor.finding import Finding, fail, ok, some, warn
from driftloop.errors import KafkaError
from driftloop.kafka import rights
from driftloop.kafka.groups import group_members
from driftloop.kafka.rights import Operation, Part, Right
from driftloop.kafka.waiting import hint
from driftloop.logs import client_logger
from driftloop.settings import Settings

_SECONDS = 10.0
_SKEW_MS = 5_000
_CHUNK = 500


def broker(settings: Settings, client: Mapping[str, Any]) -> tuple[list[str] | None, list[Finding]]:
    """Names of the topics in view, or None where no broker answers; and what was found."""
    servers = settings.kafka.bootstrap_servers
    reasons: list[str] = []
    properties: dict[str, Any] = {
        **client,
        "log_level": 2,
        "error_cb": lambda error: reasons.append(f"{error.name()}: {error.str()}"),
    }
    admin = AdminClient(properties, logger=client_logger())
    try:
        seen = admin.list_topics(timeout=_SECONDS)
    except KafkaException as error:
        admin.poll(0)
        # That all are down follows from why the first is.
        causes = [one for one in reasons if not one.startswith("_ALL_BROKERS_DOWN")]
        why = (causes or reasons or [f"{error.args[0].name()}: {error.args[0].str()}"])[0]
        return None, [fail("broker", f"none answers at {servers}: {why}", _advice(servers, why))]
    count = len(seen.brokers)
    topics = sorted(name for name in seen.topics if not name.startswith("__"))
    text = f"{count} broker{'s' * (count != 1)} at {servers}, {len(topics):,} topics in view"
    return topics, [ok("broker", text), _log_in(client, servers)]


def _advice(servers: str, why: str) -> str:
    if why.startswith("_AUTHENTICATION"):
        return "see sasl.mechanism, sasl.username and sasl.password of kafka.properties"
    if why.startswith("_SSL") or _listens(servers):
        return "see that security.protocol and ssl.ca.location of kafka.properties fit the broker"
    return hint(servers)


def _listens(servers: str) -> bool:
    """Whether something accepts connections there, be it a broker or not."""
    host, _, port = servers.split(",", maxsplit=1)[0].strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2.0).close()
    except (OSError, ValueError):
        return False
    return True


def _log_in(client: Mapping[str, Any], servers: str) -> Finding:
    protocol = str(client.get("security.protocol", "plaintext")).upper()
    user = client.get("sasl.username")
    if protocol not in {"PLAINTEXT", "SASL_PLAINTEXT"}:
        return ok("log-in", f"{protocol}{f' as {user}' if user else ''}")
    if all(_loopback(one) for one in servers.split(",")):
        return ok("log-in", f"{protocol}, on this machine alone")
    return warn(
        "log-in",
        f"{protocol}: what is sent can be read on the way",
        "set security.protocol to SSL or SASL_SSL (docs/security.md)",
    )


def _loopback(server: str) -> bool:
    host = server.strip().rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def clock(settings: Settings, client: Mapping[str, Any], topics: list[str]) -> Iterator[Finding]:
    """Compare this machine's clock with the newest timestamp that the broker holds."""
    own = [name for name in settings.topics.names.values() if name in topics]
    admin = AdminClient({"log_level": 2, **client})
    newest = -1
    described = admin.describe_topics(TopicCollection(own), request_timeout=_SECONDS) if own else {}
    places = []
    for name, future in described.items():
        try:
            count = len(future.result(_SECONDS + 1).partitions)
        except KafkaException:
            continue  # told under rights
        places += [TopicPartition(name, one) for one in range(count)]
    if places:
        spec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
        futures = admin.list_offsets(dict.fromkeys(places, spec), request_timeout=_SECONDS)
        for future in futures.values():
            if future.exception(_SECONDS + 1) is None:
                newest = max(newest, future.result().timestamp)
    if newest < 0:
        yield ok("clock", "no event yet to compare it with")
        return
    ahead = newest - time.time() * 1000
    if ahead > _SKEW_MS:
        yield warn(
            "clock",
            f"the newest event is {ahead / 1000:.0f} s ahead of this machine's clock",
            "set the clocks by NTP: here, on the brokers, and where events are written",
        )
    else:
        yield ok("clock", f"not behind the newest event, which is {_age(-ahead / 1000)} old")


def _age(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def own_rights(
    settings: Settings, client: Mapping[str, Any], topics: list[str], part: Part | None
) -> Iterator[Finding]:
    """Rights on Driftloop's own topics, groups and transactional ids."""
    for one in (part,) if part is not None else rights.PARTS:
        needed = rights.needed(one, settings)
        lacking = rights.missing(client, needed, timeout=_SECONDS)
        check = f"rights: {one}"
        if not lacking:
            known = [right for right in needed if right.resource != "topic" or right.name in topics]
            what = f"all {len(needed)}" if known == needed else f"{len(known)} of {len(needed)}"
            rest = "" if known == needed else ", the others once their topics are there"
            yield ok(check, f"{what} on Driftloop's own topics and groups{rest}")
            continue
        found = "missing: " + "; ".join(map(str, lacking))
        if part is None:
            yield warn(check, found, f"of no matter unless this client is the {one}'s")
        else:
            yield fail(check, found, rights.PAGE)
    if part == "trainer":
        yield _transactions(settings, client)


def _transactions(settings: Settings, client: Mapping[str, Any]) -> Finding:
    """Whether the trainer may write transactions; one that runs is left alone."""
    check, group = "rights: transactions", settings.trainer.group
    name = settings.trainer.instance
    if name and name in group_members(client, group):
        return ok(check, f"trainer {name!r} runs, and does")
    instance = f"driftloop-trainer-{name or f'{socket.gethostname()}-{os.getpid()}'}"
    producer = Producer(
        {**client, "transactional.id": instance, "log_level": 2}, logger=client_logger()
    )
    try:
        producer.init_transactions(_SECONDS)
    except KafkaException as error:
        code = error.args[0].code()
        if code == ClientError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            return fail(check, f"missing: Write on transactional id {instance}", rights.PAGE)
        return fail(check, f"{instance}: {error.args[0].str()}", "look at the brokers' logs")
    return ok(check, f"may write as {instance}")


def stream_rights(
    settings: Settings, client: Mapping[str, Any], topics: list[str], part: Part | None
) -> Iterator[Finding]:
    """Rights on the topics of streams and features."""
    own = set(settings.topics.names.values())
    streams = [one for one in topics if one not in own and settings.profile_of(one) is not None]
    if not streams:
        patterns = " or ".join(profile.topics for profile in settings.profiles.values())
        yield warn(
            "streams",
            f"no topic in view matches {patterns}",
            "make one, mend profiles.*.topics, or grant Describe: without it none is seen",
        )
        return
    yield ok("streams", f"{len(streams):,} topics match: {some(streams)}")
    yield _on_all("streams", streams, "Write" if part == "scorer" else "Read", client)
    if part != "scorer":
        return
    pattern = re.compile(settings.scorer.topics)
    features = [one for one in topics if one not in own and pattern.fullmatch(one)]
    if features:
        yield ok("features", f"{len(features):,} topics match: {some(features)}")
        yield _on_all("features", features, "Read", client)
    else:
        yield warn(
            "features",
            f"no topic in view matches {settings.scorer.topics}",
            "make one, mend scorer.topics, or grant Describe: without it none is seen",
        )


def _on_all(what: str, names: list[str], wanted: Operation, client: Mapping[str, Any]) -> Finding:
    """Whether a right is there on each of many topics."""
    needed = [Right("topic", name, wanted) for name in names]
    lacking: list[str] = []
    for start in range(0, len(needed), _CHUNK):
        part = needed[start : start + _CHUNK]
        lacking += [one.name for one in rights.missing(client, part, timeout=_SECONDS)]
    check = f"rights: {what}"
    if lacking:
        return fail(check, f"missing: {wanted} on {some(lacking)}", rights.PAGE)
    return ok(check, f"{wanted} on all of them")


def guarded(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Findings, and as the last one what ended the check early."""
    try:
        yield from findings
    except KafkaException as error:
        cause = error.args[0]
        yield fail(check, f"{cause.name()}: {cause.str()}", "look at the brokers' logs")
    except KafkaError as error:
        yield fail(check, str(error), rights.PAGE if "not allowed" in str(error) else "try again")
