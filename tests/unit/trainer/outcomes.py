"""What lies on the topic of outcomes, drawn from seeded random numbers."""

from __future__ import annotations

import random
from typing import Any

from driftloop.messages import CandidateTrained, Cost, Event
from tests.unit.trainer.requests import DAY_MS, NOON, finished, judged, request

STREAMS = [f"streams.{i}" for i in range(5)]


def candidate(name: str, stream: str, **more: Any) -> CandidateTrained:
    given: dict[str, Any] = {
        "profile": "numbers",
        "profile_hash": "p",
        "version": "v2",
        "sequence": 2,
        "parent_version": "v1",
        "parent_uri": "memory:v1",
        "parent_sha256": "0",
        "kind": "linear",
        "uri": "memory:v2",
        "sha256": "1",
        "format": "safetensors",
        "champion": {"loss": 2.0},
        "challenger": {"loss": 1.0},
        "data": [],
        "cost": Cost(seconds=3.0, records=100, device="cpu"),
        "trained_at": NOON,
        "promised": 0.5,
    }
    return CandidateTrained(id=f"candidate-{name}", stream=stream, request_id=name, **given | more)


def events(seed: int, many: int = 300) -> list[Event]:
    """Outcomes, trials and judgements of some streams over weeks, in the order of the topic."""
    draw = random.Random(seed)
    found: list[Event] = []
    open_: list[tuple[str, str]] = []
    for i in range(many):
        stream, at = draw.choice(STREAMS), NOON + i * DAY_MS // 7
        one = request(f"{seed}-{i}", stream, profile=draw.choice(["numbers", "curves"]))
        if draw.random() < 0.2:
            found.append(candidate(one.id, stream, trained_at=at, promised=draw.random()))
            open_.append((one.id, stream))
            continue
        outcome = draw.choice(["published", "published", "rejected", "failed"])
        done = finished(
            one, outcome, seconds=draw.uniform(0, 9), promised=draw.choice([None, 0.3, 2.0]), at=at
        )
        after = [done, judged(one, draw.choice([None, 0.1, 1.5]))]
        found += draw.sample(after, 2) if draw.random() < 0.2 else after[: draw.randint(1, 2)]
        if open_ and draw.random() < 0.5:
            name, stream = open_.pop(draw.randrange(len(open_)))
            ended = request(name, stream)
            found.append(finished(ended, outcome, seconds=1.0, promised=0.4, at=at))
            found.append(judged(ended, 0.2))
    return found
