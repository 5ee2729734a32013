"""Decisions made again: records are read from where the stream's state may have begun."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from driftloop.explain.compare import differences
from driftloop.explain.given import Rows
from driftloop.explain.place import (
    beginnings,
    control_events,
    first_window,
    recorded_evidence,
    window_number,
)
from driftloop.explain.records import Topic
from driftloop.explain.replay import Replay
from driftloop.explain.replay import Window as Again
from driftloop.explain.target import Target, window_of
from driftloop.explain.trail import Trail
from driftloop.explain.verdict import Difference
from driftloop.messages import Evidence, RetrainRequested, event_id
from driftloop.policy.evidence import fleet_evidence, place
from driftloop.settings import Profile

NUMBERS = 100_000
"""Numbers of windows that are tried to find that of an id."""

RESTARTS = 2
"""Places at which a state began anew that are tried, at most."""

RowsFrom = Callable[[Mapping[int, int]], Iterable[Rows]]
"""Gives a stream's records from an offset of each partition on."""


@dataclass(slots=True)
class Attempt:
    """What came out when records were read from somewhere.

    Attributes:
        replay: All of it.
        first: From where, by partition.
        began: The same in words.
        request: The request, if it came out under its id.
        evidence: The evidence, likewise.
        window: The window of the decision, whatever was decided on it.
    """

    replay: Replay
    first: Mapping[int, int]
    began: str
    request: RetrainRequested | None = None
    evidence: Evidence | None = None
    window: Again | None = None

    @property
    def found(self) -> bool:
        """Whether the decision came out under its id."""
        return self.request is not None or self.evidence is not None


class Attempts:
    """Decides again on a stream's records.

    Args:
        target: What is to come out.
        trail: Events of the stream.
        name: Name of its profile.
        profile: The profile.
        topic: What is there of its topic.
        rows: Its records.
    """

    def __init__(
        self,
        target: Target,
        trail: Trail,
        name: str,
        profile: Profile,
        topic: Topic,
        rows: RowsFrom,
    ) -> None:
        self._target, self._trail, self._name = target, trail, name
        self._profile, self._topic, self._rows = profile, topic, rows
        decided = target.decided
        assert decided is not None  # noqa: S101  # for the type checker: asked before
        self._decided = decided
        self._stream = decided.stream
        self._at = decided.closed_at if isinstance(decided, Evidence) else decided.decided_at

    def best(self) -> Attempt:
        """What comes out from the topic's beginning, or from where the state began anew."""
        low = self._topic.low
        words = "the topic's beginning"
        if not self._topic.whole:
            words = f"what is left of the topic, from offset {min(low.values(), default=0)}"
        attempt = self._attempt(low, words)
        for start, words in [] if self.same(attempt) else self._others():
            again = self._attempt(dict.fromkeys(low, start), words)
            if self.same(again) or (again.found and not attempt.found):
                attempt = again
                break
        return attempt

    def _others(self) -> list[tuple[int, str]]:
        """Other places to begin at: offset, and what it is."""
        low = next(iter(self._topic.low.values()), 0)
        starts = beginnings(self._trail, self._stream, self._profile, self._at)[:RESTARTS]
        found = [
            (start, f"offset {start}, where the stream's state began anew")
            for start in starts
            if start > low
        ]
        first = first_window(self._trail, low)
        if not self._topic.whole and first is not None and first > low:
            found.append((first, f"offset {first}, the first window of what is left of the topic"))
        return found

    def _attempt(self, first: Mapping[int, int], words: str) -> Attempt:
        replay = Replay(
            self._stream,
            self._topic.name,
            self._name,
            self._profile,
            control_events(self._trail),
            recorded_evidence(self._trail),
        )
        attempt = Attempt(replay, first, words)
        looked = [0, 0, 0]

        def done(state: Replay) -> bool:
            requests = state.requests[looked[0] :]
            windows, alarms = state.windows[looked[1] :], state.alarms[looked[2] :]
            looked[:] = [len(state.requests), len(state.windows), len(state.alarms)]
            for one in requests:
                if self._is_request(one):
                    attempt.request = one
            for window in windows:
                if self._is_window(window):
                    attempt.window = window
                if window.evidence.id == self._decided.id:
                    attempt.evidence, attempt.window = window.evidence, window
            for alarm in alarms:
                if alarm.id == self._decided.id:
                    attempt.evidence = alarm
            return attempt.found or self._passed(state)

        replay.run(self._rows(first), done)
        return self._numbered(attempt)

    def _is_request(self, one: RetrainRequested) -> bool:
        decided = self._decided
        if isinstance(decided, Evidence):
            kind = f"fleet-{decided.decision}"
            made = event_id(one.stream, one.profile_hash, kind, (one.id,))
            return decided.kind == "fleet" and made == decided.id
        return one.id == decided.id

    def _is_window(self, window: Again) -> bool:
        """Whether it is the window of the decision, as far as ranges tell."""
        behind, ranges = self._target.evidence, window.output.ranges
        if behind is not None:
            alike = ("loss" in behind.metrics) == ("loss" in window.evidence.metrics)
            return behind.kind == "window" and alike and behind.window == ranges
        decided = self._decided
        wanted = window_of(decided) if isinstance(decided, RetrainRequested) else decided.window
        return bool(wanted) and wanted == ranges and bool(window.requests)

    def _passed(self, state: Replay) -> bool:
        return bool(state.windows) and state.windows[-1].output.opened_at > self._at

    def pair(self, attempt: Attempt) -> tuple[RetrainRequested | Evidence, ...] | None:
        """What was recorded, and what came out, of what the stream itself decides."""
        decided, request = self._decided, attempt.request
        if request is not None and isinstance(decided, RetrainRequested):
            return _own(decided), _own(request)
        if request is not None and isinstance(decided, Evidence):
            again = fleet_evidence(request, decided.decision, [], decided.closed_at)
            own = [one for one in decided.results if one.family != "fleet"]
            return msgspec.structs.replace(decided, results=own), again
        if attempt.evidence is not None:
            return self._decided, attempt.evidence
        return None

    def differences(self, attempt: Attempt) -> list[Difference]:
        """What came out otherwise."""
        pair = self.pair(attempt)
        return [] if pair is None else differences(*pair)

    def same(self, attempt: Attempt) -> bool:
        """Whether it came out, and the same."""
        return attempt.found and not self.differences(attempt)

    def _numbered(self, attempt: Attempt) -> Attempt:
        """Give windows the number of the event where those before them are gone."""
        window, behind = attempt.window, self._target.evidence
        if attempt.found or window is None or behind is None or self._topic.whole:
            return attempt
        number = window_number(behind, self._stream, self._profile, NUMBERS)
        if number is None:
            return attempt
        identity = (number, *place(window.output)[1:])
        if isinstance(self._decided, Evidence):
            evidence = msgspec.structs.replace(window.evidence, id=behind.id)
            return replace(attempt, evidence=evidence)
        for request in window.requests:
            for kind in ("retrain", "retrain-features"):
                name = event_id(self._stream, self._profile.hash, kind, identity)
                if name == self._decided.id:
                    return replace(attempt, request=msgspec.structs.replace(request, id=name))
        return attempt


def _own(request: RetrainRequested) -> RetrainRequested:
    """A request as the stream made it, without what a fleet or a person added."""
    own = [one for one in request.grounds if one.family != "fleet" and one.criterion != "approval"]
    return msgspec.structs.replace(request, grounds=own)
