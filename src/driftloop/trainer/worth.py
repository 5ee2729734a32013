"""What outcomes tell about requests to come: what they are worth, and what a budget leaves."""

from __future__ import annotations

from driftloop.messages import CandidateTrained, Cost, Event, RetrainJudged, TrainingFinished
from driftloop.settings import Settings
from driftloop.trainer.budget import Budget
from driftloop.trainer.ledger import Ledger


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
