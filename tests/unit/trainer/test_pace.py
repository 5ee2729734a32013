"""When a round begins."""

from __future__ import annotations

from driftloop.trainer.pace import DRAIN_SECONDS, RETRY_SECONDS, Pace


def _due(pace: Pace, now: float, waiting: int = 1, *, drained: bool = True, ms: int = 0) -> bool:
    return pace.due(now, ms, waiting, drained=drained)


def test_requests_are_gathered_for_the_linger_unless_enough_wait() -> None:
    pace = Pace(0.5, 10, once=False)
    assert not _due(pace, 0.0)
    pace.arrived(1.0)
    pace.arrived(1.4)
    assert not _due(pace, 1.45)
    assert _due(pace, 1.5)
    assert _due(pace, 1.1, waiting=10)
    assert not _due(pace, 1.5, waiting=0)


def test_what_can_be_read_is_read_first_but_not_for_ever() -> None:
    pace = Pace(0.5, 10, once=False)
    pace.arrived(1.0)
    assert not _due(pace, 5.0, waiting=99, drained=False)
    assert _due(pace, 1.0 + DRAIN_SECONDS, drained=False)


def test_the_next_round_follows_at_once_while_others_may_go() -> None:
    pace = Pace(0.5, 10, once=False)
    pace.arrived(0.0)
    pace.begun()
    pace.ended(more=True, wake_ms=None)
    assert _due(pace, 0.1)
    assert not pace.settled
    pace.begun()
    pace.ended(more=False, wake_ms=None)
    assert not _due(pace, 100.0)
    assert pace.settled


def test_what_waits_for_a_budget_wakes_when_the_day_begins_or_something_comes() -> None:
    pace = Pace(0.5, 10, once=False)
    pace.arrived(0.0)
    pace.begun()
    pace.ended(more=False, wake_ms=1_000)
    assert pace.settled
    assert not _due(pace, 50.0, ms=999)
    assert _due(pace, 50.0, ms=1_000)
    pace.arrived(60.0)
    assert _due(pace, 60.5, ms=999)


def test_what_came_in_mid_round_is_seen_by_the_next_one() -> None:
    pace = Pace(0.5, 10, once=False)
    pace.arrived(0.0)
    pace.begun()
    pace.arrived(3.0)
    pace.ended(more=False, wake_ms=None)
    assert not pace.settled
    assert _due(pace, 3.5)


def test_a_round_that_came_to_nothing_is_tried_again_after_a_while() -> None:
    pace = Pace(0.5, 10, once=True)
    pace.arrived(0.0)
    pace.begun()
    pace.retry(10.0)
    assert not pace.settled
    assert not _due(pace, 10.0 + RETRY_SECONDS / 2)
    assert _due(pace, 10.0 + RETRY_SECONDS)


def test_once_waits_for_nothing() -> None:
    pace = Pace(60.0, 10, once=True)
    pace.arrived(0.0)
    assert _due(pace, 0.0)
