"""All checks, in the order in which one rests on another."""

from __future__ import annotations

from collections.abc import Iterator

from driftloop.doctor import cluster, local, topics
from driftloop.doctor.finding import Finding
from driftloop.kafka.rights import Part
from driftloop.settings import Settings


def examine(settings: Settings, part: Part | None = None) -> Iterator[Finding]:
    """Look at everything that a part needs.

    It writes nothing that stays: for the trainer a file in the store, which it removes, and an
    empty transaction under the trainer's name, unless one of that name runs.

    Args:
        settings: The configuration, without faults.
        part: Whose needs; None for what all of them need, where missing rights only warn.
    """
    yield local.versions()
    yield from local.extras(settings, part)
    client = settings.kafka.client()
    in_view, found = cluster.broker(settings, client)
    yield from found
    if in_view is not None:
        checks = {
            "rights": cluster.own_rights(settings, client, in_view, part),
            "rights: streams": cluster.stream_rights(settings, client, in_view, part),
            "topics": topics.own_topics(settings, client, in_view, part),
            "retention": topics.retention(settings, client, in_view),
            "clock": cluster.clock(settings, client, in_view),
        }
        for name, findings in checks.items():
            yield from cluster.guarded(name, findings)
    yield from local.store(settings, part, kafka=in_view is not None)
    yield from local.disk(settings, part)
    yield from local.heartbeats(settings, part)
    yield from local.graphics(settings, part)  # the slowest: it imports torch
