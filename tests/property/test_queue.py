"""The queue, whatever comes: nobody starves, the order is one, no offset passes unfinished work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.settings import Profile
from driftloop.trainer.inbox import Inbox
from driftloop.trainer.ledger import Ledger
from driftloop.trainer.queue import Choice, Entry, Turns, choose, evaluate
from driftloop.trainer.tickets import Ticket
from driftloop.trainer.waiting import Precedence, Waiting
from tests.unit.trainer.requests import NOON, request

_PROFILES = ("numbers", "curves")
_EVERY = 4


def _waiting(name: str, since: int = 0, **more: Any) -> Waiting:
    kind = more.pop("precedence", Precedence.POLICY)
    return Waiting(request(name, **more), since, kind)


def _entry(one: Waiting, saving: float = 1.0, seconds: float = 1.0) -> Entry:
    kind = f"kind of {one.request.profile}"
    return Entry(one, records=100, saving=saving, ratio=1.0, seconds=seconds, kind=kind)


def _sorted(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.by_value)


def _free(_: str) -> float | None:
    return None


def _names(found: list[Entry]) -> list[str]:
    return [entry.request.id for entry in found]


def _choose(entries: list[Entry], most: int, turns: Turns = Turns(), left: Any = _free) -> Choice:  # noqa: B008
    return choose(_sorted(entries), most, turns, left, _EVERY)


arrivals = st.lists(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.sampled_from(list(Precedence)), st.sampled_from(_PROFILES)),
        max_size=6,
    ),
    min_size=20,
    max_size=60,
)


@given(
    older=st.integers(0, 6),
    places=st.integers(1, 5),
    every=st.integers(1, 6),
    turns=st.builds(
        Turns,
        st.integers(0, 5),
        st.fixed_dictionaries({one: st.integers(0, 5) for one in _PROFILES}),
    ),
    load=arrivals,
)
def test_a_request_is_trained_within_its_bound_under_any_load(
    older: int,
    places: int,
    every: int,
    turns: Turns,
    load: list[list[tuple[float, Precedence, str]]],
) -> None:
    """However much that is worth more, or goes before, comes after it: every * (older + 1) places.

    The request is worth nothing, and others of any worth and precedence come before each round.
    """
    queue = [_entry(_waiting(f"old{i}", i - older), saving=0.0) for i in range(older)]
    queue.append(_entry(_waiting("patient", 0), saving=0.0))
    turns = Turns(
        min(turns.overall, every - 1), {k: min(v, every - 1) for k, v in turns.profiles.items()}
    )
    given_ = 0
    for round_, coming in enumerate(load):
        for i, (saving, kind, profile) in enumerate(coming):
            one = _waiting(f"new{round_}-{i}", round_ + 1, precedence=kind, profile=profile)
            queue.append(_entry(one, saving=saving))
        choice = choose(_sorted(queue), places, turns, _free, every)
        queue, turns = choice.waits, choice.turns
        names = _names(choice.chosen)
        if "patient" in names:
            assert given_ + names.index("patient") < every * (older + 1)
            return
        given_ += len(names)
        assert given_ < every * (older + 1)


@given(
    older=st.integers(0, 4),
    limits=st.lists(st.integers(1, 3), min_size=30, max_size=30),
    others=st.integers(0, 5),
)
def test_a_profile_that_may_train_little_a_day_starves_none_of_its_requests(
    older: int, limits: list[int], others: int
) -> None:
    """Each day it may train one to three, better ones of it come every day, and of others too."""
    queue = [_entry(_waiting(f"old{i}", i - older), saving=0.0) for i in range(older)]
    queue.append(_entry(_waiting("patient", 0), saving=0.0))
    turns, places = Turns(), 0
    for day, limit in enumerate(limits):
        queue += [_entry(_waiting(f"new{day}-{i}", day + 1), saving=1.0) for i in range(4)]
        for i in range(others):
            one = _waiting(f"other{day}-{i}", day + 1, profile="curves")
            queue.append(_entry(one, saving=9.0))
        left: dict[str, float | None] = {"numbers": float(limit), "curves": None}
        while True:
            choice = choose(_sorted(queue), 1, turns, left.get, _EVERY)
            if not choice.chosen:
                break
            (entry,) = choice.chosen
            queue, turns = choice.waits, choice.turns
            if entry.request.id == "patient":
                assert places < _EVERY * (older + 1)
                return
            if entry.request.profile == "numbers":
                left["numbers"] = (left["numbers"] or 0.0) - entry.seconds
                places += 1
    pytest.fail("it was never trained")


entries = st.lists(
    st.builds(
        lambda i, since, kind, profile, saving, seconds: (i, since, kind, profile, saving, seconds),
        st.integers(0, 40),
        st.integers(0, 5),
        st.sampled_from(list(Precedence)),
        st.sampled_from(_PROFILES),
        st.sampled_from([0.0, 1.0, 2.0]),
        st.sampled_from([0.5, 1.0]),
    ),
    unique_by=lambda one: one[0],
    max_size=40,
)


def _made(rows: list[tuple[int, int, Precedence, str, float, float]]) -> list[Entry]:
    return [
        _entry(_waiting(f"r{i}", since, precedence=kind, profile=profile), saving, seconds)
        for i, since, kind, profile, saving, seconds in rows
    ]


@given(rows=entries, order=st.randoms(use_true_random=False), most=st.integers(0, 50))
def test_the_order_is_one_whatever_order_requests_came_in(rows: Any, order: Any, most: int) -> None:
    shuffled = list(rows)
    order.shuffle(shuffled)
    first, second = _choose(_made(rows), most), _choose(_made(shuffled), most)
    assert _names(first.chosen) == _names(second.chosen)
    assert _names(first.waits) == _names(second.waits)
    assert sorted(_names(first.chosen + first.waits)) == sorted(_names(_made(rows)))
    assert len(first.chosen) == min(most, len(rows))


@given(
    rows=entries,
    most=st.integers(1, 50),
    seconds=st.floats(0.1, 5.0),
    turns=st.integers(0, _EVERY - 1),
)
def test_a_round_holds_one_kind_and_ends_where_it_would_take_too_long_in_the_same_order(
    rows: Any, most: int, seconds: float, turns: int
) -> None:
    waiting = _sorted(_made(rows))
    whole = choose(waiting, most, Turns(turns), _free, _EVERY)
    cut = choose(waiting, most, Turns(turns), _free, _EVERY, seconds)
    alike = [one for one in whole.chosen if one.kind == whole.chosen[0].kind]
    assert cut.chosen == alike[: len(cut.chosen)]
    assert sorted(_names(cut.chosen + cut.waits)) == sorted(_names(waiting))
    taken = sum(one.seconds for one in cut.chosen)
    assert taken <= seconds or len(cut.chosen) == 1
    if len(cut.chosen) < len(alike):
        assert taken + alike[len(cut.chosen)].seconds > seconds


@given(rows=entries, seconds=st.floats(0.1, 5.0), most=st.integers(1, 10))
def test_rounds_of_one_kind_serve_in_the_order_of_the_whole(
    rows: Any, seconds: float, most: int
) -> None:
    rows = [(i, since, kind, "numbers", saving, took) for i, since, kind, _, saving, took in rows]
    left, turns, served = _sorted(_made(rows)), Turns(), []
    whole = choose(left, len(left), Turns(), _free, _EVERY)
    while left:
        choice = choose(left, most, turns, _free, _EVERY, seconds)
        served += choice.chosen
        left, turns = choice.waits, choice.turns
    assert served == whole.chosen


@given(
    older=st.integers(0, 5),
    kinds=st.lists(st.sampled_from(_PROFILES), min_size=6, max_size=6),
    places=st.integers(1, 8),
    every=st.integers(1, 5),
    seconds=st.floats(0.1, 20.0),
    load=arrivals,
)
def test_with_several_kinds_a_request_is_trained_within_as_many_rounds_under_any_load(
    older: int,
    kinds: list[str],
    places: int,
    every: int,
    seconds: float,
    load: list[list[tuple[float, Precedence, str]]],
) -> None:
    names = [f"old{i}" for i in range(older)] + ["patient"]
    queue = [
        _entry(_waiting(name, i - older, profile=kind), saving=0.0, seconds=30.0)
        for i, (name, kind) in enumerate(zip(names, kinds, strict=False))
    ]
    turns = Turns()
    for round_ in range(every * (older + 1)):
        for i, (saving, kind, profile) in enumerate(load[round_ % len(load)]):
            one = _waiting(f"new{round_}-{i}", round_ + 1, precedence=kind, profile=profile)
            queue.append(_entry(one, saving=saving))
        choice = choose(_sorted(queue), places, turns, _free, every, seconds)
        queue, turns = choice.waits, choice.turns
        if "patient" in _names(choice.chosen):
            return
    pytest.fail("it was never trained")


def test_what_is_left_out_of_a_round_spends_nothing_of_its_budget() -> None:
    rows = [_entry(_waiting("a", profile="curves"), 9.0)]
    rows += [_entry(_waiting(name), 1.0) for name in ("b", "c")]
    left: dict[str, float | None] = {"numbers": 1.0, "curves": None}
    found = choose(_sorted(rows), 8, Turns(), left.get, _EVERY, 30.0)
    assert _names(found.chosen) == ["a"]
    assert not any(found.held(one) for one in found.waits)


@given(rows=entries, most=st.integers(1, 50), limit=st.floats(0, 10))
def test_a_budget_is_exceeded_by_one_training_at_most_and_never_holds_a_person_up(
    rows: Any, most: int, limit: float
) -> None:
    found = _choose(_made(rows), most, left={"numbers": limit, "curves": None}.get)
    own = [one for one in found.chosen if one.request.profile == "numbers"]
    free = [one for one in own if one.waiting.precedence is not Precedence.COMMAND]
    if free:
        last = own.index(free[-1])
        assert sum(one.seconds for one in own[:last]) < limit
    held = [one for one in found.waits if found.held(one)]
    assert all(one.request.profile == "numbers" for one in held)
    assert all(one.waiting.precedence is not Precedence.COMMAND for one in held)
    if len(found.chosen) < most:
        assert held == found.waits


def test_the_best_go_first_but_for_every_fourth_place() -> None:
    """Value is saving a second; places 4 and 8 go to the oldest; ties by age, then by id."""
    rows = [
        _entry(_waiting("b-tie", 5), 3.0, 1.0),
        _entry(_waiting("a-tie", 5), 6.0, 2.0),
        _entry(_waiting("older-tie", 4), 3.0),
        _entry(_waiting("oldest", 0), 0.1),
        _entry(_waiting("second", 1), 0.2),
        _entry(_waiting("quick", 9), 1.0, 0.1),
        _entry(_waiting("first-model", 9, precedence=Precedence.INITIAL), 0.0),
        _entry(_waiting("ordered", 9, precedence=Precedence.COMMAND), 0.0),
    ]
    assert _names(_choose(rows, 8).chosen) == [
        "ordered",
        "first-model",
        "quick",
        "oldest",
        "older-tie",
        "a-tie",
        "b-tie",
        "second",
    ]
    one = choose(_sorted(rows), 3, Turns(), _free, 1)
    assert _names(one.chosen) == ["oldest", "second", "older-tie"]


def test_a_saving_is_in_money_where_the_policy_has_a_price() -> None:
    """And a training takes as many records as its profile lets it."""
    price = {"gpu_second": 0.01, "seconds": 10.0, "loss": 4.0}
    profiles = {
        "numbers": Profile(training={"records": 40}, policy={"kind": "reducible", "price": price}),
        "curves": Profile(topics="c"),
    }
    ledger = Ledger({})
    found = evaluate(
        [
            _waiting("r1", priority=2.0),
            _waiting("r2", priority=2.0, profile="curves"),
            _waiting("r3", priority=-2.0, profile="gone"),
        ],
        ledger,
        profiles,
    )
    assert [(one.saving, one.records) for one in found] == [(8.0, 40), (2.0, 100), (0.0, 100)]


def _ticket(partition: int, offset: int, kind: str, assignment: int) -> Ticket:
    letter: Any = object() if kind == "letter" else None
    what = None if kind == "letter" else request(f"{partition}-{offset}")
    return Ticket(partition, offset, assignment, NOON + offset, what, letter, "")


@settings(max_examples=200)
@given(st.data())
def test_no_committed_offset_passes_what_is_not_finished_and_all_is_committed_in_the_end(
    data: st.DataObject,
) -> None:
    """Requests end in any order, others are read meanwhile; a partition may move away and back."""
    inbox = Inbox(1000)
    log = {0: 0, 1: 0}
    kinds: dict[tuple[int, int], str] = {}
    committed = {0: 0, 1: 0}
    finished: set[tuple[int, int]] = set()
    written: list[tuple[int, int]] = []  # dead letters
    inbox.assign(log)
    position = dict(committed)
    for _ in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.sampled_from(["read", "read", "finish", "finish", "move"]))
        partition = data.draw(st.sampled_from(list(log)))
        if step == "read":
            offset = position[partition]
            if offset == log[partition]:
                log[partition] += 1
                kinds[partition, offset] = data.draw(st.sampled_from(["request", "letter"]))
            known = inbox.assignment(partition)
            assert known is not None
            inbox.add(_ticket(partition, offset, kinds[partition, offset], known))
            position[partition] += 1
        elif step == "move":
            inbox.revoke([partition])
            inbox.assign([partition])
            position[partition] = committed[partition]
        else:
            open_ = [one.place for one in inbox.tickets if one.request is not None]
            done = set(data.draw(st.lists(st.sampled_from(open_))) if open_ else [])
            done |= finished & set(open_)
            _settle(inbox, done, committed, finished, written)
        for place, kind in kinds.items():
            if place[1] < committed[place[0]]:
                assert place in finished if kind == "request" else written.count(place) == 1
    for partition, end in log.items():
        for offset in range(position[partition], end):
            known = inbox.assignment(partition)
            assert known is not None
            inbox.add(_ticket(partition, offset, kinds[partition, offset], known))
    _settle(
        inbox, {one.place for one in inbox.tickets if one.request}, committed, finished, written
    )
    assert committed == log
    assert not len(inbox)
    assert sorted(written) == sorted(place for place, kind in kinds.items() if kind == "letter")


def _settle(
    inbox: Inbox,
    done: set[tuple[int, int]],
    committed: dict[int, int],
    finished: set[tuple[int, int]],
    written: list[tuple[int, int]],
) -> None:
    plan = inbox.plan(done)
    inbox.settle(plan)
    finished |= done
    written += [one.place for one in plan.letters]
    for partition, offset in plan.offsets.items():
        assert offset >= committed[partition]
        committed[partition] = offset
