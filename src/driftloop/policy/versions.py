"""What becomes of a stream's versions: trials and their verdicts, rollbacks, pins, the ledger."""

from __future__ import annotations

import re
from typing import Any

from driftloop.detection.outputs import Ordered, TrialVerdict
from driftloop.detection.trials import canary_of, watch_of
from driftloop.messages import (
    CandidateTrained,
    Event,
    ModelPublished,
    RetrainJudged,
    VersionOrdered,
    event_id,
)
from driftloop.policy.ledger import Ledger, better_than, entry, on_records, said, why, words
from driftloop.settings import Profile

_NUMBERED = re.compile(r"v([0-9]{1,9})")


class Versions:
    """Turns verdicts and commands about versions of one stream into orders to the trainer.

    It cannot flap: a restored version is not watched against the one it replaced, each training is
    rolled back by itself at most once, and after ``training.rollback_limit`` automatic rollbacks in
    a row the policy's retrains wait for a person.

    Args:
        stream: Its id.
        name: Name of its profile.
        profile: The profile.

    Attributes:
        pinned: Whether the current version is held.
        trial: What is on trial, in words; empty when nothing is.
        ledger: What retrains came to.
        detail: What a person should know of the last call; empty where it is nothing.
    """

    def __init__(self, stream: str, name: str, profile: Profile) -> None:
        self._stream = stream
        self._name = name
        self._profile = profile
        self.pinned = False
        self.trial = ""
        self.ledger = Ledger()
        self.detail = ""
        self._given_up: str | None = None  # what was in training when the stream was pinned
        self._by = ""
        self._newest: str | None = None
        self._largest = 0
        self._candidate: str | None = None
        self._in_a_row = 0

    @property
    def held(self) -> bool:
        """Whether too many rollbacks in a row make the policy's retrains wait for a person."""
        return self._in_a_row >= self._profile.training.rollback_limit

    @property
    def warning(self) -> str:
        """What is told as long as `held`; else empty."""
        if not self.held:
            return ""
        return (
            f"{self._in_a_row} automatic rollbacks in a row: look at labels and features; retrains "
            "by the policy wait for 'approve', until 'retrain' or 'unpin' is commanded"
        )

    def trusted_again(self) -> None:
        """A person wants retrains."""
        self._in_a_row = 0

    # Events of the trainer

    def published(self, event: ModelPublished, now: int) -> list[Event]:
        """A version is current now; while another is pinned, that one is asked back."""
        self._newest, self._candidate = event.version, None
        self._largest = max(self._largest, event.sequence)
        self.trial = words(watch_of(self._profile, event))
        late = self.pinned and event.request_id == self._given_up
        if not late or event.action == "rolled-back" or event.parent_version is None:
            return []
        detail = f"{event.version} was in training when {event.parent_version} was pinned"
        return [
            self._order(
                "rollback", event.parent_version, event.version, event.request_id, "command",
                now, f"{detail} ({self._by})", who=self._by.partition(":")[0],
            )
        ]  # fmt: skip

    def candidate(self, event: CandidateTrained, now: int) -> list[Event]:
        """A candidate was trained; a pinned stream wants none."""
        trial = canary_of(self._profile, event)
        self._largest = max(self._largest, event.sequence)
        if self.pinned:
            return [self._discard(event.request_id, event.version, now)]
        if trial is None:  # the trainer has another configuration: nobody will judge it
            detail = "the monitor's profile has no canary, or names no features"
            return [self._unscored(event, now, detail)]
        self._candidate, self.trial = event.request_id, words(trial)
        return []

    def finished(self, request_id: str) -> None:
        """A training has its outcome."""
        if request_id == self._candidate:
            self._candidate, self.trial = None, ""

    # Verdicts

    def verdict(self, found: TrialVerdict) -> list[Event]:
        """What follows from a trial's end."""
        self.detail = ""
        if self.trial == words(found.trial):
            self.trial = ""
        return self._canary(found) if found.trial.kind == "canary" else self._watch(found)

    def _canary(self, found: TrialVerdict) -> list[Event]:
        trial = found.trial
        if found.ending == "superseded" or self.pinned:
            return []
        if found.verdict == "unscored":
            action = "promote"
            canary = self._profile.training.canary
            if canary is not None:
                action = canary.unscored
            return [self._decided(found, action, "unscored", f"unscored: {found.detail}")]
        if found.verdict != "worse":
            text = f"{trial.version} is {better_than(found)} {trial.against}"
            return [self._decided(found, "promote", "canary", text)]
        self.ledger.judged += 1
        self.ledger.worse += 1
        self.ledger.seconds += trial.seconds
        text = f"{trial.version} is worse than {trial.against}{on_records(found)}"
        self.detail = f"candidate discarded: {text}"
        return [
            self._entry(found, "worse in its canary: it never served"),
            self._decided(found, "discard", "canary", text),
        ]

    def _watch(self, found: TrialVerdict) -> list[Event]:
        trial, ledger = found.trial, self.ledger
        ledger.seconds += trial.seconds
        if found.records:
            ledger.judged += 1
            ledger.better += found.verdict == "better"
            ledger.worse += found.verdict == "worse"
            ledger.saved -= (found.metrics["difference"] or 0.0) * found.records
        if found.verdict in {"better", "undecided"} and found.ending != "superseded":
            self._in_a_row = 0
        out: list[Event] = [self._entry(found, why(found))]
        if found.verdict != "worse" or found.ending == "superseded":
            return out
        text = f"{trial.version} is worse than {trial.against} would have been{on_records(found)}"
        if self.pinned:
            self.detail = f"{text}; it stays, for the stream is pinned"
            return out
        ledger.rollbacks += 1
        self._in_a_row += 1
        self.detail = f"rollback to {trial.against} ordered: {text}"
        order = self._decided(found, "rollback", "live-losses", text)
        return [*out, order]

    # Commands

    def current(self, order: Ordered) -> str | None:
        """The version that a command is about: the newest publication, else what records say."""
        return self._newest or order.version

    def impossible(self, order: Ordered) -> str:
        """Why the version that a pin or rollback names cannot be had, or an empty text.

        Whether an earlier version still lies in the store is for the trainer to say.
        """
        command, current = order.command, self.current(order)
        if current is None and (command.action == "rollback" or command.version is not None):
            return "the stream has no version to go back from"
        number = _NUMBERED.fullmatch(command.version or "")
        if number and self._newest is not None and int(number[1]) > self._largest:
            return f"no version {command.version} was ever made; {self._newest} is the newest"
        if command.action == "rollback" and command.version == current:
            return f"{current} is the current version already"
        return ""

    def pin(self, order: Ordered, in_flight: str | None) -> list[Event]:
        """Hold the current version, or the one that the command names."""
        self.detail = ""
        command = order.command
        self.pinned = True
        self._by = said(command)
        self._given_up = waiting = self._candidate or in_flight
        out: list[Event] = []
        if waiting is not None:
            out.append(self._discard(waiting, None, order.event_time))
        if command.version is not None and command.version != self.current(order):
            out += self.rollback(order)
        return out

    def unpin(self) -> None:
        """Let go."""
        self.pinned = False
        self.trusted_again()

    def rollback(self, order: Ordered) -> list[Event]:
        """A person wants an earlier version back; `impossible` has said nothing against it."""
        command, current = order.command, self.current(order)
        self.detail = f"rollback to {command.version or 'the parent'} ordered by {said(command)}"
        # By the command alone: read again after its state was lost, it is the same order.
        identity = event_id(self._stream, "", "order", (command.id,))
        return [
            self._order(
                "rollback", command.version, current, command.id, "command", order.event_time,
                command.why, who=command.who, id=identity,
            )
        ]  # fmt: skip

    # Events

    def _discard(self, request_id: str, version: str | None, now: int) -> VersionOrdered:
        return self._order(
            "discard", version, self._newest, request_id, "command", now,
            f"the stream is pinned ({self._by})", who=self._by.partition(":")[0],
        )  # fmt: skip

    def _unscored(self, event: CandidateTrained, now: int, detail: str) -> VersionOrdered:
        return self._order(
            "promote", event.version, event.parent_version, event.request_id, "unscored", now,
            detail,
        )  # fmt: skip

    def _decided(
        self, found: TrialVerdict, action: str, reason: str, detail: str
    ) -> VersionOrdered:
        trial = found.trial
        canary = trial.kind == "canary"
        version, against = (
            (trial.version, trial.against) if canary else (trial.against, trial.version)
        )
        return self._order(
            action, version, against, trial.request_id, reason, found.ts, detail,
            metrics=found.metrics,
        )  # fmt: skip

    def _order(
        self,
        action: Any,
        version: str | None,
        against: str | None,
        request_id: str,
        reason: Any,
        at: int,
        detail: str,
        **more: Any,
    ) -> VersionOrdered:
        parts = (action, version, against, request_id)
        return VersionOrdered(
            id=more.pop("id", None) or event_id(self._stream, "", "order", parts),
            stream=self._stream,
            profile=self._name,
            action=action,
            version=version,
            against=against,
            request_id=request_id,
            reason=reason,
            detail=detail,
            decided_at=at,
            **more,
        )

    def _entry(self, found: TrialVerdict, detail: str) -> RetrainJudged:
        return entry(self._stream, self._name, self._profile.policy.price, found, detail)
