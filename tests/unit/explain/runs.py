"""A stream run by the monitor's own code from raw messages, and its events as they are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from driftloop.detection.stream import StreamTracker
from driftloop.explain.attempt import Attempt
from driftloop.explain.check import Checker
from driftloop.explain.given import Rows
from driftloop.explain.records import Topic
from driftloop.explain.target import belongs
from driftloop.explain.trail import Noted, Trail
from driftloop.explain.verdict import Check
from driftloop.messages import Event, Evidence, FleetIncident, RetrainRequested, StreamStatus
from driftloop.policy import FleetDecider, StreamDecider, StreamTester
from driftloop.records import RecordDecoder
from driftloop.settings import Profile

STREAM = "streams.a"
START_MS = 1_700_000_000_000
NAME = "numbers"


def profile_of(**changes: Any) -> Profile:
    """Two numbers and a category, windows of 40 records."""
    given: dict[str, Any] = {
        "loss": "squared",
        "features": {"numeric": ["a", "b"], "categorical": ["c"]},
        "window": {"kind": "count", "records": 40},
        "training": {"records": 200},
        "policy": {"cost": 10, "min_records": 60},
    }
    return Profile.model_validate({**given, **changes})


def messages(
    records: int = 600,
    *,
    seed: int = 0,
    jump: float = 0.5,
    versions: Sequence[int] | None = (0,),
    late: int = 0,
) -> list[bytes]:
    """Records whose features and labels change after the share `jump` of them.

    Args:
        records: How many.
        seed: Other records by another seed.
        jump: Where they change.
        versions: Records at which a new version predicts; None: none is named.
        late: Records by which a label comes later, in a record of its own; 0: with the record.
    """
    generator = np.random.default_rng(seed)
    values: list[tuple[float, bytes]] = []
    for i in range(records):
        changed = i >= jump * records
        a, b = generator.standard_normal(2)
        a += 1.5 * changed
        record: dict[str, Any] = {
            "id": str(i),
            "ts": START_MS + 60_000 * i,
            "x": {"a": a, "b": b, "c": "uvw"[int(generator.integers(3 - changed))]},
            "y_pred": a - 2 * b,
        }
        label = a - 2 * b + 3.0 * changed * a + 0.3 * generator.standard_normal()
        if versions is not None:
            record["model_version"] = f"v{sum(i >= first for first in versions)}"
        if not late:
            record["y"] = label
        else:
            ts = START_MS + 60_000 * (i + late)
            values.append(
                (i + late - 0.5, json.dumps({"id": str(i), "ts": ts, "y": label}).encode())
            )
        values.append((float(i), json.dumps(record).encode()))
    return [value for _, value in sorted(values, key=lambda one: one[0])]


@dataclass
class Run:
    """A run of the flow's code.

    Attributes:
        profile: Of the stream.
        values: Its messages.
        controls: Control events, by the offset before which the monitor sees them.
        events: What was decided, each with the wall-clock time at which it was written.
    """

    profile: Profile
    values: Sequence[bytes]
    controls: Mapping[int, Sequence[Event]] = field(default_factory=dict)
    answer: Callable[[RetrainRequested, int], Event | None] = lambda _request, _offset: None
    delay: int = 25
    begin: int = 0
    events: list[Noted] = field(default_factory=list)

    def play(self) -> Run:
        """Decide on all records, a few at a time, as the flow does."""
        tracker = StreamTracker(STREAM, self.profile)
        tester = StreamTester(self.profile)
        decider = StreamDecider(STREAM, NAME, self.profile)
        fleet = FleetDecider(NAME, self.profile)
        decoder = RecordDecoder(self.profile)
        due: dict[int, list[Event]] = {at: list(many) for at, many in self.controls.items()}

        def take(outputs: Iterable[Any], offset: int) -> None:
            for output in outputs:
                found = decider.decide(tester.test(output))
                for item in decider.for_fleet:
                    found += fleet.take(item)
                for event in found:
                    self._write(event, offset)
                    if isinstance(event, RetrainRequested):
                        outcome = self.answer(event, offset)
                        if outcome is not None:
                            self._write(outcome, offset + self.delay - 1)
                            due.setdefault(offset + self.delay, []).append(outcome)

        for offset in range(self.begin, len(self.values)):
            for event in due.pop(offset, []):
                if not any(event is one.event for one in self.events):
                    self._write(event, offset)
                take(tracker.control(event), offset)  # type: ignore[arg-type]
            rows, dead = decoder.decode(
                STREAM, 0, [self.values[offset]], [offset], [self._clock(offset)]
            )
            take(tracker.records(rows, 1, len(dead)), offset)
        return self

    def _clock(self, offset: int) -> int:
        return START_MS + 86_400_000 + 1000 * offset

    def _write(self, event: Event, offset: int) -> None:
        if not isinstance(event, StreamStatus):
            self.events.append(Noted(event, self._clock(offset)))

    @property
    def requests(self) -> list[RetrainRequested]:
        """Requests that went out."""
        return [one.event for one in self.events if isinstance(one.event, RetrainRequested)]

    @property
    def evidence(self) -> list[Evidence]:
        """All evidence."""
        return [one.event for one in self.events if isinstance(one.event, Evidence)]

    @property
    def trail(self) -> Trail:
        """What is on Driftloop's topics."""
        found = Trail()
        for one in self.events:
            if isinstance(one.event, Evidence):
                found.evidence.setdefault(one.event.id, one)
            else:
                found.noted.append(one)
            if isinstance(one.event, RetrainRequested | FleetIncident):
                found.fleet.append(one)
        return found

    def check(
        self,
        asked: Event,
        *,
        trail: Trail | None = None,
        profile: Profile | None = None,
        low: int = 0,
        piece: int = 150,
    ) -> tuple[Check, Attempt | None]:
        """Decide on an event again.

        Args:
            asked: The event.
            trail: What is on the topics, if other than what was written.
            profile: Of the configuration, if other than that of the run.
            low: First record that has not expired.
            piece: Records that are read at a time.
        """
        trail = self.trail if trail is None else trail
        used = self.profile if profile is None else profile
        decoder = RecordDecoder(used)

        def rows(first: Mapping[int, int]) -> Iterator[Rows]:
            for start in range(first[0], len(self.values), piece):
                part = self.values[start : start + piece]
                offsets = range(start, start + len(part))
                stamps = np.array([self._clock(offset) for offset in offsets])
                columns, dead = decoder.decode(STREAM, 0, part, offsets, stamps)
                yield Rows(columns, stamps, 1, len(dead))

        topic = Topic(STREAM, 1, {0: low}, {0: len(self.values)})
        return Checker(belongs(asked, trail), trail, NAME, used, topic, rows).run()
