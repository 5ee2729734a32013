"""What outcomes tell about requests to come: what they are worth, and what a budget leaves."""

from __future__ import annotations

import msgspec

from driftloop.messages import CandidateTrained, Cost, Event, RetrainJudged, TrainingFinished
from driftloop.settings import Settings
from driftloop.trainer.budget import Budget
from driftloop.trainer.ledger import Ledger, LedgerNotes


class WorthNotes(msgspec.Struct):
    """What `Worth` has gathered, as its parts dump it."""

    ledger: LedgerNotes
    spent: list[tuple[str, int, float]] = []
    candidates: dict[str, float | None] = {}


class Worth:
    """Follows outcomes; `take` is told of each event of the topic once.

    Args:
        settings: Profiles and budgets.

    Attributes:
        ledger: What earlier retrains were worth and took.
        budget: What is spent.
    """

    def __init__(self, settings: Settings) -> None:
        kinds = {name: profile.model.kind for name, profile in settings.profiles.items()}
        self.ledger = Ledger(kinds)
        self.budget = Budget(settings.trainer.budget)
        self._candidates: dict[str, float | None] = {}  # promises of those on trial

    def dump(self, now_ms: int) -> WorthNotes:
        """All that was gathered and may still count at `now_ms`, for `load`; shares its parts."""
        self.budget.forget(now_ms)
        return WorthNotes(self.ledger.dump(), self.budget.dump(), self._candidates)

    def load(self, notes: WorthNotes) -> None:
        """Take up what `dump` gave, instead of what is known."""
        self.ledger.load(notes.ledger)
        self.budget.load(notes.spent)
        self._candidates = notes.candidates

    def take(self, event: Event) -> None:
        """Take up an event."""
        if isinstance(event, CandidateTrained):
            self._candidates[event.request_id] = event.promised
            self._spend(event.profile, event.cost, event.trained_at)
        elif isinstance(event, TrainingFinished):
            promised = event.promised
            if event.request_id in self._candidates:
                promised = self._candidates.pop(event.request_id)  # its cost counts once
            else:
                self._spend(event.profile, event.cost, event.finished_at)
            if promised is not None:
                self.ledger.finished(event, promised)
        elif isinstance(event, RetrainJudged) and event.saved is not None:
            self.ledger.judged(event)

    def _spend(self, profile: str, cost: Cost | None, at_ms: int) -> None:
        if cost is not None:
            self.ledger.trained(profile, cost, at_ms)
            self.budget.spend(profile, cost.seconds, at_ms)
