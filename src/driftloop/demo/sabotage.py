"""``driftloop demo --sabotage``: a bad version is published on purpose, and what is made of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from driftloop.demo.flights import DAY_MS
from driftloop.messages import Cost, ModelPublished, event_id
from driftloop.models import ModelArtifact, ModelStore

ROUTE = "LAX"
"""Forty flights a day: a bad version is known in a week."""

AFTER_DAYS = 45
"""Days from the start of February until the bad version is due: models are settled by then."""

SNOOZE_DAYS = 30
"""For so long the route's retrains are snoozed: else the next one may come before the verdict, and
take the bad version's place."""

REQUEST = "sabotage"
"""In place of a request's id: nobody asked for this version."""


@dataclass(slots=True)
class Sabotage:
    """What happened.

    Attributes:
        route: Whose model was spoilt.
        due_ms: Event time from which on it is done.
        version: The bad version, once it is published.
        parent: The version that it replaced.
        at_ms: Event time at which it was published.
        back_ms: Event time at which the parent was published again.
        flights: Flights that were compared until then.
        added: Minutes of error that it added to each of them, on average.
        snoozed: When its retrains were snoozed, by the monotonic clock; 0 before.
    """

    route: str
    due_ms: int
    version: str = ""
    parent: str = ""
    at_ms: int = 0
    back_ms: int = 0
    flights: int = 0
    added: float = 0.0
    snoozed: float = 0.0

    def text(self) -> str:
        """In a sentence without an end, for page and terminal."""
        if not self.version:
            return f"No version of {self.route} was spoilt: the replay was too short"
        told = f"{self.version} of {self.route} was published on purpose with spoilt weights"
        if not self.back_ms:
            return f"{told}; it was not rolled back before the replay ended, or replaced before"
        days = (self.back_ms - self.at_ms) / DAY_MS
        found = f" after {self.flights:,} flights, each {self.added:.0f} min worse" * (
            self.flights > 0
        )
        return f"{told}. Driftloop went back to {self.parent} {days:.1f} days later{found}"


def choose_route(routes: tuple[str, ...], flights: list[int]) -> str:
    """`ROUTE`, or the busiest where it is not replayed.

    Args:
        routes: Those that are replayed.
        flights: Of each.
    """
    return ROUTE if ROUTE in routes else routes[int(np.argmax(flights))]


def publish_spoilt(store: ModelStore, current: ModelPublished) -> ModelPublished:
    """Store the current version with its weights halved, and return the event that publishes it.

    Args:
        store: Where versions lie.
        current: The version that serves, and becomes the parent.

    Raises:
        StoreError: The store cannot be read or written.
    """
    artifact = spoil(store.load(current.uri, current.sha256), current.sequence + 1)
    uri, digest = store.save(current.stream, artifact.version, artifact)
    return msgspec.structs.replace(
        current,
        id=event_id(current.stream, "sabotage", "model", [current.id]),
        version=artifact.version,
        sequence=current.sequence + 1,
        parent_version=current.version,
        parent_uri=current.uri,
        parent_sha256=current.sha256,
        uri=uri,
        sha256=digest,
        champion=None,
        challenger={},
        cost=Cost(seconds=0.0, records=0, device="sabotage"),
        request_id=REQUEST,
        action="trained",
        detail="published on purpose, to see it rolled back",
        published_at=round(time.time() * 1000),
    )


def spoil(artifact: ModelArtifact, sequence: int) -> ModelArtifact:
    """A model that follows its features half as far as it should, around nine tenths of the mean.

    Args:
        artifact: A model that is good.
        sequence: Of the version that it is to be.
    """
    mean, scale = artifact.target
    return replace(
        artifact,
        version=f"v{sequence}",
        request_id=REQUEST,
        weights={name: value / 2 for name, value in artifact.weights.items()},
        target=(0.9 * mean, scale),
    )
