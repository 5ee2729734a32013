"""Whether a decision comes out the same when its records are read again."""

from __future__ import annotations

from dataclasses import replace

from driftloop.explain.attempt import NUMBERS, Attempt, Attempts, RowsFrom
from driftloop.explain.compare import differences, exact
from driftloop.explain.fleet import fleet_rules
from driftloop.explain.place import window_number
from driftloop.explain.records import Topic
from driftloop.explain.target import Target
from driftloop.explain.trail import Trail
from driftloop.explain.verdict import Check, Difference, FleetRule
from driftloop.messages import Evidence, OffsetRange, RetrainRequested
from driftloop.settings import Profile

NAMED = 5
"""Windows that came out otherwise that are named, at most."""


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
        self._target, self._name = target, name
        self._profile, self._topic = profile, topic
        decided = target.decided
        assert decided is not None  # noqa: S101  # for the type checker: asked before
        self._decided = decided
        self._stream = decided.stream
        self._attempts = Attempts(target, trail, name, profile, topic, rows)

    def run(self) -> tuple[Check, Attempt | None]:
        """The outcome, and what it rests on; None where nothing could be read."""
        fault = self._hopeless()
        if fault is not None:
            return fault, None
        attempt = self._attempts.best()
        return self._judge(attempt), attempt

    def _hopeless(self) -> Check | None:
        """Why nothing can be decided again, or None."""
        decided, profile = self._decided, self._profile
        if isinstance(decided, RetrainRequested) and decided.profile_hash != profile.hash:
            return Check(
                "not-possible",
                "Another policy decided it: the profile's settings have changed since.",
                missing=(
                    (
                        f"The settings of then: the event has the profile hash "
                        f"{decided.profile_hash}, profile {self._name} of this configuration has "
                        f"{profile.hash}. Give the file of then with --config; another release may "
                        "also hash settings otherwise."
                    ),
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

    # Comparing

    def _judge(self, attempt: Attempt) -> Check:
        topic, replay = self._topic, attempt.replay
        known = [window.same for window in replay.windows if window.same is not None]
        base = Check(
            "same",
            "",
            notes=tuple(dict.fromkeys(replay.notes)),
            fleet=self._fleet(),
            began=attempt.began,
            records=replay.records,
            windows=len(replay.windows),
            ranges=tuple(
                str(OffsetRange(topic.name, partition, low, topic.high[partition] - 1))
                for partition, low in sorted(attempt.first.items())
                if topic.high[partition] > low
            ),
            evidence=(len(known), sum(known)),
            otherwise=tuple(one.evidence.id for one in replay.windows if one.same is False)[:NAMED],
        )
        if attempt.found:
            return self._compared(attempt, base)
        return self._otherwise(attempt, base)

    def _fleet(self) -> tuple[FleetRule, ...]:
        decided, evidence = self._decided, self._target.asked
        grounds = decided.grounds if isinstance(decided, RetrainRequested) else []
        if isinstance(evidence, Evidence) and evidence.kind == "fleet":
            grounds = evidence.results
        return fleet_rules(grounds, self._profile.fleet)

    def _compared(self, attempt: Attempt, base: Check) -> Check:
        """It came out: is it the same?"""
        found = self._attempts.differences(attempt)
        pair = self._attempts.pair(attempt)
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
                summary=_in_part(found),
                differences=tuple(told),
                missing=self._lost(attempt, mattered=True),
            )
        return replace(
            base,
            outcome="different",
            summary=(
                f"It comes out otherwise: {len(told)} of its values "
                f"{'is' if len(told) == 1 else 'are'} not what the records give."
            ),
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
            recorded = str(self._target.evidence.window) if self._target.evidence else "a window"
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
            summary=(
                f"The window comes out, and another decision on it: {window.evidence.decision}."
            ),
            differences=tuple(told),
            missing=(*missing, *self._hints()),
        )

    # Words

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
            rest = (
                f"{text} The window, its reference or what was learnt since the version began rest "
                "on them; a retention longer than a version's life keeps decisions explainable."
            )
            return (rest,)
        number = "; the window's number is taken from the event" if attempt.window else ""
        return (f"{text} The decision rests on none of them{number}.",)

    def _hints(self) -> tuple[str, ...]:
        """What else could be the reason."""
        behind = self._target.evidence
        if behind is not None and behind.kind == "window":
            number = window_number(behind, self._stream, self._profile, NUMBERS)
            if number is None:
                return (
                    (
                        "The settings of then: the id of the window's evidence is not one of this "
                        "profile. Give the file of then with --config."
                    ),
                )
        return (
            (
                "Another Driftloop version may have decided it, or the monitor's state began anew "
                "between two records (its log then says monitor.stream_failed or "
                "monitor.profile_changed)."
            ),
        )


def _in_part(found: list[Difference]) -> str:
    """What can be had again of a decision whose beginning is gone."""
    if all(one.place.startswith("data") for one in found):
        return (
            "It comes out the same, but for the records to train on, which reach back to what is "
            "gone."
        )
    return "It is the same decision, but not all of its numbers can be had again."
