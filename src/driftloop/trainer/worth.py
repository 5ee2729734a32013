"""What outcomes tell about requests to come: what they are worth, and what a budget leaves."""

from __future__ import annotations

from driftloop.messages import Event, TrainingFinished
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

    def take(self, event: Event) -> None:
        """Take up an event."""
        if isinstance(event, TrainingFinished):
            self.ledger.finished(event)
            self.budget.finished(event)
