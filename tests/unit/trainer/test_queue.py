"""What the order is for: more loss saved a second than in the order of arrival; nobody starves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from driftloop.trainer.queue import Entry, Turns, choose
from driftloop.trainer.waiting import Precedence, Waiting
from tests.unit.trainer.requests import request

_ROUNDS = 400


def _overload(oldest_every: int, *, noise: float = 0.0) -> tuple[float, int]:
    """Loss saved a second, and the longest wait in rounds; 3 come a round, 2 are trained.

    The wait of those that wait at the end counts too.

    Args:
        oldest_every: As in the settings; 1 is the order of arrival.
        noise: Standard deviation of the logarithm by which expectations are wrong.
    """
    generator = np.random.default_rng(7)
    waiting: list[Entry] = []
    truth: dict[str, float] = {}
    turns, saved, seconds, longest = Turns(), 0.0, 0.0, 0
    for now in range(_ROUNDS):
        for i in range(3):
            name, worth = f"r{now}-{i}", generator.lognormal(0.0, 1.0)
            truth[name] = worth
            expected = worth * generator.lognormal(0.0, noise)
            one = Waiting(request(name), now, Precedence.POLICY)
            waiting.append(Entry(one, 100, expected, 1.0, generator.lognormal(0.0, 0.5)))
        waiting.sort(key=lambda entry: entry.by_value)
        choice = choose(waiting, 2, turns, lambda _: None, oldest_every)
        waiting, turns = choice.waits, choice.turns
        for entry in choice.chosen:
            saved += truth[entry.request.id]
            seconds += entry.seconds
            longest = max(longest, now - entry.waiting.since_ms)
    oldest = min(entry.waiting.since_ms for entry in waiting)
    return saved / seconds, max(longest, _ROUNDS - oldest)


def test_under_overload_more_is_saved_a_second_than_in_the_order_of_arrival() -> None:
    """Worth of log-normal spread 1; with expectations wrong by a factor e it still is more."""
    arrival, _ = _overload(1)
    fourth, _ = _overload(4)
    best, _ = _overload(10**9)
    wrong, _ = _overload(4, noise=1.0)
    ratios = [round(one / arrival, 2) for one in (fourth, wrong, best)]
    assert ratios == [1.38, 1.29, 1.48]
    page = (Path(__file__).parents[3] / "docs" / "queue.md").read_text(encoding="utf-8")
    assert all(f"{one:.2f} times" in page for one in ratios)


def test_the_best_alone_would_starve_the_rest() -> None:
    """A third more comes than can be trained: without ageing somebody waits from the beginning."""
    assert _overload(10**9)[1] > 0.95 * _ROUNDS
    waits = [_overload(every)[1] for every in (1, 2, 4)]
    assert waits == sorted(waits)
    assert waits[-1] < 0.8 * _ROUNDS
