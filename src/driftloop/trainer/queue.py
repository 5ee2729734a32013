"""Which requests are trained next: those that save the most loss a second, and none starves.

All of it is pure. A request is worth

    value = priority * ratio * unit / seconds

where `priority` is the loss that it promises to save on a window's worth of records, `ratio` is
what such promises turned out to be worth and `seconds` what the training is expected to take (see
`driftloop.trainer.ledger`), and `unit` is ``policy.price.loss``, the value of one unit of loss, 1
where the profile has no price. Values of profiles whose losses differ in kind compare only where
each has a price.

Every `oldest_every`-th place goes to the request that has waited longest; of the places that a
profile gets, too. So a request that Q older ones wait with is trained within
``oldest_every * (Q + 1)`` places, however many come after it; while its profile's budget is spent
that count stands still.

A round holds one kind of model, that of its first place, and ends where it is expected to take too
long; so what is slow holds up no more than its own round. Places of other kinds are left out, and
whoever had one for its age has the first of the next round: with several kinds the bound above is
one of rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

from driftloop.messages import RetrainRequested
from driftloop.settings import Profile
from driftloop.trainer.ledger import Ledger
from driftloop.trainer.waiting import Precedence, Waiting, parsed_ranges


class Entry(NamedTuple):
    """A request that waits, and what it is worth.

    Attributes:
        waiting: The request.
        records: Records to train on, at most.
        saving: Expected: loss saved on a window's worth of records, in units of ``price.loss``.
        ratio: Of earlier savings to promises, by which `saving` is corrected.
        seconds: Expected.
        kind: Of model; empty where the profile is unknown.
    """

    waiting: Waiting
    records: int
    saving: float
    ratio: float
    seconds: float
    kind: str = ""

    @property
    def request(self) -> RetrainRequested:
        """The request."""
        return self.waiting.request

    @property
    def value(self) -> float:
        """Saving a second."""
        return self.saving / self.seconds

    @property
    def by_value(self) -> tuple[int, float, int, str]:
        """Sorts best first; ties by age, then by id."""
        one = self.waiting
        return one.precedence, -self.value, one.since_ms, one.request.id

    @property
    def by_age(self) -> tuple[int, str]:
        """Sorts oldest first; ties by id."""
        return self.waiting.since_ms, self.request.id


class Turns(NamedTuple):
    """Places given since one went to the oldest request: of all, and of each profile."""

    overall: int = 0
    profiles: Mapping[str, int] = {}


class Choice(NamedTuple):
    """Who is next.

    Attributes:
        chosen: In the order of their places.
        waits: The others, best first.
        spent: Profiles of `waits` whose budget is spent.
        turns: To go on with.
    """

    chosen: list[Entry]
    waits: list[Entry]
    spent: set[str]
    turns: Turns

    def held(self, entry: Entry) -> bool:
        """Whether one of `waits` does so for its profile's budget."""
        return entry.request.profile in self.spent and limited(entry)


def evaluate(
    waiting: Iterable[Waiting], ledger: Ledger, profiles: Mapping[str, Profile]
) -> list[Entry]:
    """What each request is worth, best first."""
    entries = []
    for one in waiting:
        request = one.request
        profile = profiles.get(request.profile)
        price = profile.policy.price if profile else None
        records = sum(part.size for part in parsed_ranges(request.data))
        if profile is not None and profile.training.records is not None:
            records = min(records, profile.training.records)
        ratio = ledger.ratio(request.stream, request.profile)
        unit = price.loss if price else 1.0
        entries.append(
            Entry(
                waiting=one,
                records=records,
                saving=max(request.priority, 0.0) * ratio * unit,
                ratio=ratio,
                seconds=ledger.seconds(request.profile, records),
                kind=profile.model.kind if profile else "",
            )
        )
    return sorted(entries, key=lambda entry: entry.by_value)


def limited(entry: Entry) -> bool:
    """Whether a budget holds for it: what a person ordered counts in it, and always goes ahead."""
    return entry.waiting.precedence is not Precedence.COMMAND


def choose(
    entries: Sequence[Entry],
    most: int,
    turns: Turns,
    left: Callable[[str], float | None],
    oldest_every: int,
    batch_seconds: float | None = None,
) -> Choice:
    """Give the next places.

    A request may go as long as its profile's budget, less what those before it are expected to
    take, is not spent: a day goes beyond its budget by one training at most, and by what
    expectations were wrong.

    Args:
        entries: All that wait, best first.
        most: Places.
        turns: Of the round before.
        left: Seconds of a profile's budget that are left, or None for no limit.
        oldest_every: See the module's text; 1 serves in the order of age.
        batch_seconds: What the round may be expected to take, but for its first place; None for
            any kinds and any time: the order of all.
    """
    round_ = _Round(entries, left)
    overall, since = turns.overall, dict(turns.profiles)
    chosen: list[Entry] = []
    passed: set[str] = set()  # profiles of another kind
    places, owed, seconds = 0, False, 0.0
    longest = inf if batch_seconds is None else batch_seconds
    while places < most:
        oldest = round_.oldest()
        if oldest is None:
            break
        if overall >= oldest_every - 1:
            entry = oldest
        else:
            entry = round_.best()
            profile = entry.request.profile
            if since.get(profile, 0) >= oldest_every - 1:
                entry = round_.oldest(profile) or entry
        profile = entry.request.profile
        fits = batch_seconds is None or not chosen or entry.kind == chosen[0].kind
        if fits and chosen and seconds + entry.seconds > longest:
            break
        first = entry is round_.oldest(profile)
        overall = 0 if entry is oldest else overall + 1
        since[profile] = 0 if first else since.get(profile, 0) + 1
        places += 1
        if fits:
            round_.take(entry)
            chosen.append(entry)
            seconds += entry.seconds
        else:
            round_.leave(entry)
            passed.add(profile)
            owed = owed or entry is oldest
    since.update({profile: turns.profiles.get(profile, 0) for profile in passed})
    going = {entry.request.id for entry in chosen}
    waits = [entry for entry in entries if entry.request.id not in going]
    spent = {one.request.profile for one in waits if round_.blocked(one)}
    return Choice(chosen, waits, spent, Turns(oldest_every - 1 if owed else overall, since))


class _Round:
    """Requests by value and by age, without those that are taken or over their budget."""

    def __init__(self, entries: Sequence[Entry], left: Callable[[str], float | None]) -> None:
        by_age = sorted(entries, key=lambda entry: entry.by_age)
        self._lines: dict[str | None, list[Entry]] = {None: by_age[::-1]}
        for entry in reversed(by_age):
            self._lines.setdefault(entry.request.profile, []).append(entry)
        self._best = list(reversed(entries))
        self._left = {name: left(name) for name in self._lines if name is not None}
        self._taken: set[str] = set()

    def taken(self, entry: Entry) -> bool:
        return entry.request.id in self._taken

    def blocked(self, entry: Entry) -> bool:
        left = self._left[entry.request.profile]
        return left is not None and left <= 0 and limited(entry)

    def take(self, entry: Entry) -> None:
        self._taken.add(entry.request.id)
        left = self._left[entry.request.profile]
        if left is not None:
            self._left[entry.request.profile] = left - entry.seconds

    def leave(self, entry: Entry) -> None:
        """Out of this round, without any of its budget."""
        self._taken.add(entry.request.id)

    def best(self) -> Entry:
        return self._front(self._best)[-1]

    def oldest(self, profile: str | None = None) -> Entry | None:
        line = self._front(self._lines[profile])
        return line[-1] if line else None

    def _front(self, line: list[Entry]) -> list[Entry]:
        """Drop what can no longer go: what is blocked in a round stays so."""
        while line and (self.taken(line[-1]) or self.blocked(line[-1])):
            line.pop()
        return line
