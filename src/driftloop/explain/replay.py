"""A stream's records through the monitor's own code again, until a decision comes out.

Records alone do not decide everything: outcomes of trainings, commands and publications count from
where the monitor saw them, which no event tells. They are placed by what is known:

1. The command that led to a request, behind the newest record that the request trains on. A
   version before the first record of the first window that is its own; where it had none, before
   the first record that names it, behind its publication.
2. All else behind every window whose evidence was written before the event was.
3. Where the evidence of the next window then comes out otherwise, as late as it must have been seen
   for the evidence to be as it is.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from driftloop.detection.outputs import Closed, FeatureWindow, LossWindow, Ordered, Output
from driftloop.detection.stream import StreamTracker
from driftloop.explain.compare import differences
from driftloop.explain.given import ControlEvent, Recorded, Rows, Seen
from driftloop.messages import (
    Command,
    Event,
    Evidence,
    ModelPublished,
    RetrainRequested,
    TrainingFinished,
)
from driftloop.policy import FleetObservation, StreamDecider, StreamTester
from driftloop.policy.commands import FOREVER
from driftloop.records import Columns
from driftloop.settings import Profile

CHUNK = 512
"""Records given to the code at a time, at most."""

TRIES = 6
"""Places of events that are tried for one window, at most."""


@dataclass(slots=True)
class Window:
    """A window that closed again.

    Attributes:
        output: The window itself.
        evidence: What was said of it.
        requests: Requests that followed from it, or that it proposed to the fleet or to a person.
        same: Whether its recorded evidence says the same; None where there is none.
    """

    output: Closed
    evidence: Evidence
    requests: list[RetrainRequested]
    same: bool | None


class Replay:
    """One stream, decided again.

    Args:
        stream: Its id.
        topic: Its topic.
        name: Name of its profile.
        profile: The profile.
        controls: Events that it was given, in any order.
        recorded: Evidence by id.

    Attributes:
        windows: Every window that closed.
        requests: Every request, with those that were proposed.
        alarms: Evidence of detectors' alarms.
        notes: What is uncertain about the places of events.
        records: Records that were read.
    """

    def __init__(
        self,
        stream: str,
        topic: str,
        name: str,
        profile: Profile,
        controls: Iterable[Seen] = (),
        recorded: Mapping[str, Recorded] | None = None,
    ) -> None:
        self.windows: list[Window] = []
        self.requests: list[RetrainRequested] = []
        self.alarms: list[Evidence] = []
        self.notes: list[str] = []
        self.records = 0
        self._recorded = recorded or {}
        self._tracker = StreamTracker(topic, profile)
        self._tester = StreamTester(profile)
        self._decider = StreamDecider(stream, name, profile)
        ordered = sorted(controls, key=lambda one: one.at)
        self._fixed = sorted(
            (one for one in ordered if one.before is not None), key=lambda one: one.before or 0
        )
        self._loose = [one for one in ordered if one.before is None]
        self._told: dict[str, list[Output]] = {}  # what the tracker made of an event, once

    def run(self, rows: Iterable[Rows], done: Callable[[Replay], bool]) -> bool:
        """Feed records until `done`, asked after each chunk; whether it said so."""
        for piece in rows:
            if self._feed(piece, done):
                return True
        for one in self._fixed:
            self._control(one.event)
        self._fixed = []
        self._let_go(len(self._loose))
        return done(self)

    def _feed(self, piece: Rows, done: Callable[[Replay], bool]) -> bool:
        columns, start = piece.columns, 0
        self._tracker.counters.dead_letters += piece.dead
        if piece.partitions > 1 and self._fixed:  # no offset tells a place among several
            self._loose = sorted([*self._loose, *self._fixed], key=lambda one: one.at)
            self._fixed = []
        while start < len(columns):
            end = min(start + min(CHUNK, self._tracker.room), len(columns))
            while self._fixed and piece.partitions == 1:
                cut = self._cut(columns, start)
                if cut > start:
                    end = min(end, cut)
                    break
                self._control(self._fixed.pop(0).event)
            end = self._named_by(piece, start, end)
            chunk = columns.select(slice(start, end))
            stamp = int(piece.stamps[start:end].max())
            for output in self._tracker.records(chunk, piece.partitions):
                self._take(output, stamp)
            self.records += end - start
            start = end
            if done(self):
                return True
        return False

    def _cut(self, columns: Columns, start: int) -> int:
        """Index of the record before which the next event of a known place was seen."""
        one = self._fixed[0]
        cut = max(start, int(np.searchsorted(columns.offsets, one.before or 0)))
        newest = self._tracker.newest_ts or 0.0
        if one.until is None or newest >= one.until:
            return cut
        reached = np.maximum.accumulate(columns.ts[start:]) >= one.until
        first = int(np.argmax(reached)) if reached.any() else len(reached)
        return max(cut, min(start + first + 1, len(columns)))

    def _named_by(self, piece: Rows, start: int, end: int) -> int:
        """Give publications of no known place before the first record that names their version.

        A version that was taken back before it closed a window leaves no other trace, and without
        its publication the records of a rollback would count as stale.

        Returns:
            Where the chunk that begins at `start` ends: before the next such record.
        """
        names, stamps = piece.columns.versions[start:end], piece.stamps[start:end].tolist()
        for one in [one for one in self._loose if isinstance(one.event, ModelPublished)]:
            wanted, at = one.event.version, one.at
            named = (
                name == wanted and stamp >= at for name, stamp in zip(names, stamps, strict=True)
            )
            first = next((start + i for i, found in enumerate(named) if found), end)
            if first == start:
                self._loose.remove(one)
                self._control(one.event)
            else:
                end = min(end, first)
        return end

    # Events

    def _control(self, event: ControlEvent) -> None:
        name = f"{type(event).__name__} {event.id}"
        if name not in self._told:
            self._told[name] = self._tracker.control(event)
        for output in self._told[name]:
            self._plain(output)

    def _let_go(self, count: int) -> None:
        for one in self._loose[:count]:
            self._control(one.event)
        del self._loose[:count]

    def _plain(self, output: Output) -> list[Event]:
        """Test and decide on what needs no place to be found for."""
        events = self._decider.decide(self._tester.test(output))
        self.requests += [one for one in events if isinstance(one, RetrainRequested)]
        self.alarms += [one for one in events if isinstance(one, Evidence) and one.kind == "alarm"]
        return events

    # Windows

    def _take(self, output: Output, stamp: int) -> None:
        if not isinstance(output, LossWindow | FeatureWindow):
            self._plain(output)
            return
        if not self._loose:
            self._close(output)
            return
        before = pickle.dumps((self._tester, self._decider))
        first = self._outcome(output)
        recorded = self._recorded.get(first.evidence.id)
        by = stamp if recorded is None else recorded.at
        eligible = sum(one.at <= by for one in self._loose)
        if not eligible:
            self._keep(first)
            return
        loose = list(self._loose)
        if recorded is None and any(_retires(one.event) for one in loose[:eligible]):
            self._back(before, loose)
            self._let_go(eligible)
            if self._tracker.retired:
                return  # the window never closed
            loose, eligible = list(self._loose), 0
            before = pickle.dumps((self._tester, self._decider))
        chosen = eligible
        for count in [*range(eligible, -1, -1)][:TRIES]:
            self._back(before, loose)
            self._let_go(count)
            found = self._outcome(output)
            if recorded is None or found.same:
                chosen = count
                break
        else:
            self._back(before, loose)
            self._let_go(eligible)
            found = self._outcome(output)
        if chosen != eligible:
            names = ", ".join(_named(one.event) for one in loose[chosen:eligible])
            self.notes.append(
                f"{names}: written before the evidence of the window that closed at "
                f"{found.output.closed_at}, and taken as seen behind it, for that evidence says so"
            )
        self._keep(found)

    def _back(self, state: bytes, loose: Sequence[Seen]) -> None:
        # Our own bytes, from a moment ago.
        self._tester, self._decider = pickle.loads(state)  # noqa: S301
        self._loose = list(loose)

    def _close(self, output: LossWindow | FeatureWindow) -> None:
        self._keep(self._outcome(output))

    def _keep(self, window: Window) -> None:
        self.windows.append(window)
        self.requests += window.requests

    def _outcome(self, output: LossWindow | FeatureWindow) -> Window:
        """Test and decide on a window."""
        events = self._decider.decide(self._tester.test(output))
        requests = [one for one in events if isinstance(one, RetrainRequested)]
        requests += [
            item.request
            for item in self._decider.for_fleet
            if isinstance(item, FleetObservation) and item.request is not None
        ]
        evidence = next(one for one in events if isinstance(one, Evidence))
        if evidence.decision == "awaiting-approval":
            requests += self._proposed()
        recorded = self._recorded.get(evidence.id)
        same = None if recorded is None else not differences(recorded.event, evidence)
        return Window(output, evidence, requests, same)

    def _proposed(self) -> list[RetrainRequested]:
        """What waits for a person, as it would go out; nothing changes."""
        stream, newest = self._decider.stream, self._tracker.newest_ts or 0.0
        command = Command(
            id="explain", stream=stream, action="approve", who="", why="", issued_at=FOREVER
        )
        order = Ordered(command, [], 0, None, int(newest), self._tracker.counters)
        # Our own bytes, from a moment ago.
        decider = pickle.loads(pickle.dumps(self._decider))  # noqa: S301
        events: list[Event] = decider.decide(order)
        return [
            msgspec.structs.replace(
                one, grounds=[g for g in one.grounds if g.criterion != "approval"]
            )
            for one in events
            if isinstance(one, RetrainRequested)
        ]


def _named(event: ControlEvent) -> str:
    if isinstance(event, Command):
        return f"command {event.action} {event.id[:8]}"
    if isinstance(event, TrainingFinished):
        return f"outcome {event.outcome} of {event.request_id[:8]}"
    return f"version {event.version}"


def _retires(event: ControlEvent) -> bool:
    return isinstance(event, Command) and event.action == "retire"
