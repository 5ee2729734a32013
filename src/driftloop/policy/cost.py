"""What a retrain of a stream costs: as it is set, or by the seconds that its trainings took."""

from __future__ import annotations

from statistics import median_low

from driftloop.messages import TrainingFinished
from driftloop.settings import Policy

NEWEST = 5
"""Trainings that a measured cost rests on, at most."""

TAKES = "a retrain takes "
"""Begins the words of a measured cost."""


class RetrainCost:
    """The cost of a stream's retrain, over all of its model versions.

    With ``price.measured`` it rests on the median of the newest `NEWEST` seconds, of which the
    first, before any training, are the expected ones, ``price.seconds``. Of two in the middle the
    smaller counts: what is too low is put right by the next training, what is too high prevents it.
    So one training that hung makes no other too dear.

    Args:
        policy: Of the stream.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._price = policy.price if policy.price is not None and policy.price.measured else None
        self._seconds: list[float] = []  # the newest last

    def take(self, event: TrainingFinished) -> None:
        """Take up an outcome; one of a refused challenger was paid for too."""
        if self._price is not None and event.cost is not None and event.cost.seconds > 0:
            self._seconds = [*self._seconds, event.cost.seconds][-NEWEST:]

    @property
    def seconds(self) -> float | None:
        """Seconds that a retrain is taken to last, > 0; None where the cost is not measured."""
        if self._price is None:
            return None
        return median_low([self._price.seconds, *self._seconds][-NEWEST:])

    @property
    def in_loss(self) -> float | None:
        """Cost in units of loss, > 0; None where it depends on the stream's losses."""
        if self._price is None or self.seconds is None:
            return self._policy.fixed_cost
        return self._price.cost_of(self.seconds)

    @property
    def words(self) -> str:
        """The seconds that it rests on, for the grounds of a decision; empty where it is set."""
        if self._price is None:
            return ""
        many, expected = len(self._seconds), f"the {self._price.seconds:.4g} s expected"
        if not many:
            rests = expected
        elif many < NEWEST:
            rests = f"median of {expected} and {many} training{'s' * (many > 1)}"
        else:
            rests = f"median of its newest {many} trainings"
        return f"{TAKES}{self.seconds:.4g} s ({rests})"


__all__ = ["NEWEST", "TAKES", "RetrainCost"]
