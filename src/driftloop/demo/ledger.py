"""What the retrains of a run were worth, as the monitor judged them on flights that landed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from driftloop.demo.words import counted
from driftloop.messages import RetrainJudged


@dataclass(slots=True)
class Account:
    """Retrains of one route, or of all.

    Attributes:
        verdicts: How many were ``better``, ``undecided``, ``worse`` or ``unscored``.
        flights: On which a new version was compared with the one before.
        saved: Minutes of error that the new versions saved on these flights; below 0 if they
            added some.
        seconds: Of training.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    flights: int = 0
    saved: float = 0.0
    seconds: float = 0.0

    def add(self, event: RetrainJudged) -> None:
        """Take an entry of the ledger in."""
        self.verdicts[event.verdict] += 1
        self.seconds += event.seconds
        if event.saved is not None:
            self.flights += event.records
            self.saved += event.records * event.saved

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "verdicts": dict(self.verdicts),
            "flights": self.flights,
            "saved": self.saved,
            "seconds": self.seconds,
        }

    def text(self) -> str:
        """All of it in a sentence without an end, for page and terminal."""
        judged = self.verdicts.total()
        if not judged:
            return "No retrain was judged: too few flights landed after them"
        found = ", ".join(
            f"{self.verdicts[name]:,} {told}"
            for name, told in (
                ("better", "surely better than the version before"),
                ("undecided", "not surely either"),
                ("worse", "surely worse"),
                ("unscored", "not compared"),
            )
            if self.verdicts[name]
        )
        if not self.flights:
            return f"{counted(judged, 'retrain')} judged: {found}"
        word = "saved" if self.saved >= 0 else "added"
        return (
            f"{counted(judged, 'retrain')} judged on {self.flights:,} flights that landed after "
            f"them: {found}; {abs(self.saved):,.0f} min of error {word}, for "
            f"{self.seconds:.1f} s of training"
        )


def better_text(account: Account | None) -> str:
    """Retrains judged surely better, of those that were judged: ``3/7``; empty where none was."""
    judged = account.verdicts.total() if account else 0
    return f"{account.verdicts['better']}/{judged}" if account and judged else ""
