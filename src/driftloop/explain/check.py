"""Whether a decision comes out the same when its records are read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from driftloop.explain.compare import differences, exact
from driftloop.explain.fleet import fleet_rules
from driftloop.explain.model import Check, Difference
from driftloop.explain.place import (
    beginnings,
    control_events,
    recorded_evidence,
    window_number,
)
from driftloop.explain.records import Topic
from driftloop.explain.replay import Replay, Rows
from driftloop.explain.replay import Window as Again
from driftloop.explain.target import Target, window_of
from driftloop.explain.trail import Trail
from driftloop.messages import Evidence, OffsetRange, RetrainRequested, event_id
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
        request: The request, if it came out under its id.
        evidence: The evidence, likewise.
        window: The window of the decision, whatever was decided on it.
    """

    replay: Replay
    first: Mapping[int, int]
    request: RetrainRequested | None = None
    evidence: Evidence | None = None
    window: Again | None = None

    @property
    def found(self) -> bool:
        """Whether the decision came out under its id."""
        return self.request is not None or self.evidence is not None


class Checker:
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

    def run(self) -> tuple[Check, Attempt | None]:
        """The outcome, and what it rests on; None where nothing could be read."""
        fault = self._hopeless()
        if fault is not None:
            return fault, None
        attempt = self._attempt(self._topic.low)
        if not self._same(attempt):
            starts = beginnings(self._trail, self._stream, self._profile, self._at)
            for start in starts[:RESTARTS]:
                if start <= next(iter(self._topic.low.values()), 0):
                    continue
                again = self._attempt(dict.fromkeys(self._topic.low, start))
                if self._same(again) or (again.found and not attempt.found):
                    attempt = again
                    break
        return self._judge(attempt), attempt

    def _hopeless(self) -> Check | None:
        """Why nothing can be decided again, or None."""
        decided, profile = self._decided, self._profile
        if isinstance(decided, RetrainRequested) and decided.profile_hash != profile.hash:
            return Check(
                "not-possible",
                "Another policy decided it: the profile's settings have changed since.",
                missing=(
                    f"The settings of then: the event has the profile hash {decided.profile_hash}, "
                    f"profile {self._name} of this configuration has {profile.hash}. Give the file "
                    "of then with --config; another release may also hash settings otherwise.",
                ),
                fleet=fleet_rules(decided.grounds, profile.fleet),
            )
        if not self._topic.partitions:
            return Check(
                "not-possible",
                "The stream's topic is gone.",
                missing=(f"Topic {self._topic.name}: it was deleted, or this is another cluster.",),
            )
        return None

    # Reading again

    def _attempt(self, first: Mapping[int, int]) -> Attempt:
        replay = Replay(
            self._stream,
            self._topic.name,
            self._name,
            self._profile,
            control_events(self._trail),
            recorded_evidence(self._trail),
        )
        attempt = Attempt(replay, first)
        looked = [0, 0, 0]

        def done(state: Replay) -> bool:
            lists = (state.requests, state.windows, state.alarms)
            new = [many[seen:] for many, seen in zip(lists, looked, strict=True)]
            looked[:] = [len(many) for many in lists]
            for one in new[0]:
                if self._is_request(one):
                    attempt.request = one
            for window in new[1]:
                if self._is_window(window):
                    attempt.window = window
                if window.evidence.id == self._decided.id:
                    attempt.evidence, attempt.window = window.evidence, window
            for alarm in new[2]:
                if alarm.id == self._decided.id:
                    attempt.evidence = alarm
            return attempt.found or self._passed(state)

        replay.run(self._rows(first), done)
        return attempt

    def _is_request(self, one: RetrainRequested) -> bool:
        decided = self._decided
        if isinstance(decided, Evidence):
            kind = f"fleet-{decided.decision}"
            made = event_id(one.stream, one.profile_hash, kind, (one.id,))
            return decided.kind == "fleet" and made == decided.id
        return one.id == decided.id

    def _is_window(self, window: Again) -> bool:
        """Whether it is the window of the decision, as far as ranges tell."""
        behind = self._target.evidence
        if behind is not None:
            return behind.kind == "window" and behind.window == window.output.ranges
        decided = self._decided
        wanted = window_of(decided) if isinstance(decided, RetrainRequested) else decided.window
        return bool(wanted) and wanted == window.output.ranges

    def _passed(self, state: Replay) -> bool:
        return bool(state.windows) and state.windows[-1].output.opened_at > self._at

    # Comparing

    def _pair(self, attempt: Attempt) -> tuple[RetrainRequested | Evidence, ...] | None:
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

    def _differences(self, attempt: Attempt) -> list[Difference]:
        pair = self._pair(attempt)
        return [] if pair is None else differences(*pair)

    def _same(self, attempt: Attempt) -> bool:
        return attempt.found and not self._differences(attempt)

    def _judge(self, attempt: Attempt) -> Check:
        topic, replay = self._topic, attempt.replay
        known = [window.same for window in replay.windows if window.same is not None]
        base = Check(
            "same",
            "",
            notes=tuple(dict.fromkeys(replay.notes)),
            fleet=self._fleet(),
            began=self._began(attempt),
            records=replay.records,
            windows=len(replay.windows),
            ranges=tuple(
                str(OffsetRange(topic.name, partition, low, topic.high[partition] - 1))
                for partition, low in sorted(attempt.first.items())
                if topic.high[partition] > low
            ),
            evidence=(len(known), sum(known)),
        )
        attempt = self._numbered(attempt)
        if attempt.found:
            return self._compared(attempt, base)
        return self._otherwise(attempt, base)

    def _fleet(self) -> tuple:  # type: ignore[type-arg]
        decided, evidence = self._decided, self._target.asked
        grounds = decided.grounds if isinstance(decided, RetrainRequested) else []
        if isinstance(evidence, Evidence) and evidence.kind == "fleet":
            grounds = evidence.results
        return fleet_rules(grounds, self._profile.fleet)

    def _compared(self, attempt: Attempt, base: Check) -> Check:
        """It came out: is it the same?"""
        found = self._differences(attempt)
        pair = self._pair(attempt)
        assert pair is not None  # noqa: S101  # for the type checker
        base = replace(base, recomputed_id=pair[1].id)
        broken = [rule for rule in base.fleet if not rule.holds]
        if not found and not broken:
            both = [one for one in pair if isinstance(one, RetrainRequested)]
            bits = len(both) == 2 and exact(both[0], both[1])
            how = "bit for bit" if bits else "to a relative 1e-9"
            return replace(
                base,
                summary=f"It comes out the same, {how}: same windows, same numbers, same id.",
                missing=self._lost(attempt, mattered=False),
            )
        told = [
            *found,
            *(Difference(f"fleet: {one.rule}", "the event's verdict", one.told) for one in broken),
        ]
        if not self._topic.whole and found:
            return replace(
                base,
                outcome="partly",
                summary="It is the same decision, but not all of its numbers can be had again.",
                differences=tuple(told),
                missing=self._lost(attempt, mattered=True),
            )
        return replace(
            base,
            outcome="different",
            summary=f"It comes out otherwise: {len(told)} of its values "
            f"{'is' if len(told) == 1 else 'are'} not what the records give.",
            differences=tuple(told),
            missing=self._lost(attempt, mattered=True),
        )

    def _otherwise(self, attempt: Attempt, base: Check) -> Check:
        """It did not come out under its id."""
        missing = self._lost(attempt, mattered=True)
        window = attempt.window
        if window is None:
            why = "no window closes on the same records"
            if missing:
                return replace(
                    base,
                    outcome="not-possible",
                    summary=f"It cannot be decided again: {why}, for records are gone.",
                    missing=missing,
                )
            recorded = (str(self._target.evidence.window) if self._target.evidence else "a window")
            return replace(
                base,
                outcome="different",
                summary=f"It does not come out: {why}.",
                differences=(Difference("window", recorded, "none with these ranges"),),
                missing=(*missing, *self._hints()),
            )
        told = []
        behind = self._target.evidence
        if behind is not None:
            told = differences(behind, window.evidence, skip=frozenset({"id"}))
        elif isinstance(self._decided, RetrainRequested):
            told = [Difference("decision", "retrain", window.evidence.decision)]
        return replace(
            base,
            outcome="partly" if missing else "different",
            summary="The window comes out, and another decision on it: "
            f"{window.evidence.decision}.",
            differences=tuple(told),
            missing=(*missing, *self._hints()),
        )

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

    # Words

    def _began(self, attempt: Attempt) -> str:
        starts = set(attempt.first.values())
        if starts == {0}:
            return "the topic's beginning"
        if attempt.first == self._topic.low:
            return f"what is left of the topic, from offset {min(starts)}"
        return f"offset {min(starts)}, where the stream's state began anew"

    def _lost(self, attempt: Attempt, *, mattered: bool) -> tuple[str, ...]:
        """What is no longer there of the stream's records."""
        topic = self._topic
        if topic.whole:
            return ()
        gone = ", ".join(
            f"{topic.name}:{partition}:0:{low - 1}"
            for partition, low in sorted(topic.low.items())
            if low
        )
        text = f"Records {gone}: they have expired or were deleted."
        behind = self._target.evidence
        ranges = [] if behind is None else [OffsetRange.parse(one) for one in behind.window]
        if any(topic.expired(one) for one in ranges):
            return (f"{text} The window of the decision itself is among them.",)
        if mattered:
            return (
                f"{text} The window, its reference or what was learnt since the version began rest "
                "on them; a retention longer than a version's life keeps decisions explainable.",
            )
        number = "; the window's number is taken from the event" if attempt.window else ""
        return (f"{text} The decision rests on none of them{number}.",)

    def _hints(self) -> tuple[str, ...]:
        """What else could be the reason."""
        behind = self._target.evidence
        if behind is not None and behind.kind == "window":
            number = window_number(behind, self._stream, self._profile, NUMBERS)
            if number is None:
                return (
                    "The settings of then: the id of the window's evidence is not one of this "
                    "profile. Give the file of then with --config.",
                )
        return (
            "Another Driftloop version may have decided it, or the monitor's state began anew "
            "between two records (its log then says monitor.stream_failed or "
            "monitor.profile_changed).",
        )


def _own(request: RetrainRequested) -> RetrainRequested:
    """A request as the stream made it, without what a fleet or a person added."""
    own = [one for one in request.grounds if one.family != "fleet" and one.criterion != "approval"]
    return msgspec.structs.replace(request, grounds=own)
