"""Seconds of training that a fleet may take in a day, and what of them is spent."""

from __future__ import annotations

from collections.abc import Iterable

from driftloop.settings.models import TrainerBudget

DAY_MS = 86_400_000


class Budget:
    """What each profile has spent, by UTC day of the outcome's wall clock.

    It is rebuilt from the outcomes on the topic of trainings, those of every trainer of the group:
    a restart forgets nothing, and trainers share a profile's budget. What another trainer has in
    work at this moment is not known yet, so that together they may go beyond it by that much.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: TrainerBudget) -> None:
        self._settings = settings
        self._spent: dict[tuple[str, int], float] = {}

    @property
    def limited(self) -> bool:
        """Whether any profile has a limit."""
        return self._settings.seconds_per_day is not None or bool(self._settings.profiles)

    def limit(self, profile: str) -> float | None:
        """Seconds a day, or None for no limit."""
        return self._settings.profiles.get(profile, self._settings.seconds_per_day)

    def spend(self, profile: str, seconds: float, at_ms: int) -> None:
        """A training took so long, and ended at `at_ms`."""
        key = (profile, at_ms // DAY_MS)
        self._spent[key] = self._spent.get(key, 0.0) + max(seconds, 0.0)

    def forget(self, now_ms: int) -> None:
        """Drop days that are over; yesterday stays, for clocks differ."""
        yesterday = now_ms // DAY_MS - 1
        self._spent = {key: one for key, one in self._spent.items() if key[1] >= yesterday}

    def dump(self) -> list[tuple[str, int, float]]:
        """Profile, day and seconds, for `load`."""
        return [(*key, seconds) for key, seconds in self._spent.items()]

    def load(self, spent: Iterable[tuple[str, int, float]]) -> None:
        """Take up what `dump` gave, instead of what is known."""
        self._spent = {(profile, day): seconds for profile, day, seconds in spent}

    def spent(self, profile: str, now_ms: int) -> float:
        """Seconds of the UTC day that `now_ms` lies in."""
        return self._spent.get((profile, now_ms // DAY_MS), 0.0)

    def left(self, profile: str, now_ms: int) -> float | None:
        """Seconds that are left of that day, ≥ 0; None for no limit."""
        limit = self.limit(profile)
        return None if limit is None else max(limit - self.spent(profile, now_ms), 0.0)


def next_day_ms(now_ms: int) -> int:
    """When the next UTC day begins.

    >>> next_day_ms(1_700_000_000_000) % 86_400_000
    0
    """
    return (now_ms // DAY_MS + 1) * DAY_MS
