"""What earlier retrains were worth and took: a correction of promises, and expected seconds.

A request promises a saving of loss. Let x be what a judged retrain saved over what its request had
promised, cut to 0 … 2; a challenger that the gate rejected saved nothing, x = 0. The promise of a
stream's next request is multiplied by the credibility estimate of its x:

    fleet:   m = (4 + Σ x) / (4 + N)            over the N retrains of the fleet (the profile)
    stream:  ratio = (k m + Σ x) / (k + n)      over the n retrains of the stream

so a stream without a history is worth what its fleet was, and a fleet without one keeps its
promises. k is the variance of x within streams over the variance between them, estimated from the
fleet by the moments of Bühlmann and Straub (*Glaubwürdigkeit für Schadensätze*, 1970; Bühlmann and
Gisler, *A Course in Credibility Theory*, 2005, section 4.8); it is 4 as long as fewer than
`_LEAST` retrains tell of it.

Expected seconds are records times seconds a record of the profile's earlier trainings, else of its
model kind's, else of all; recent ones weigh more, by half every `_HALF_LIFE_MS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from driftloop.messages import Cost, RetrainJudged, TrainingFinished

UNKNOWN_SECONDS = 1.0
"""Expected of every request as long as nothing was ever trained: the order is that of savings."""

LEAST_SECONDS = 1e-3
LEAST_RATIO = 0.05
"""No stream is given up for good: its next promise still counts for something."""

_SAYS_NOTHING = frozenset({"pinned", "canary-unscored"})
"""Reasons of a rejection that do not judge the challenger."""

_WAITING = 16
"""Versions of a stream that wait to be judged: a watch ends once another takes its place."""

_PRIOR = 4.0
_LARGEST = 100.0
_LEAST = 10
_MOST_SAVED = 2.0
_DAY_MS = 86_400_000
_HALF_LIFE_MS = 28 * _DAY_MS
_EPOCH_MS = 20_000 * _DAY_MS  # in 2024: weights of centuries around it are finite


class _Ratios(msgspec.Struct):
    """Number, sum and sum of squares of a stream's x."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, x: float) -> None:
        self.n += 1
        self.total += x
        self.squares += x * x


class _Rate(msgspec.Struct):
    """Weighted seconds and records."""

    seconds: float = 0.0
    records: float = 0.0


@dataclass(slots=True)
class _Fleet:
    """What is known of the streams of a profile."""

    streams: dict[str, _Ratios] = field(default_factory=dict)
    rate: _Rate = field(default_factory=_Rate)
    credibility: tuple[float, float] | None = None  # m and k, until the next x


class LedgerNotes(msgspec.Struct):
    """What a ledger has gathered.

    Attributes:
        streams: Of each profile, the x of its streams.
        rates: Of each profile.
        promised: Of each stream, promises of published versions that are not judged yet.
        saved: Of each stream, what versions saved whose outcome was not read yet.
    """

    streams: dict[str, dict[str, _Ratios]] = {}
    rates: dict[str, _Rate] = {}
    promised: dict[str, dict[str, float]] = {}
    saved: dict[str, dict[str, float]] = {}


class Ledger:
    """Gathers outcomes and judgements; their order does not matter.

    Args:
        kinds: Model kind of each profile.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = dict(kinds)
        self._fleets: dict[str, _Fleet] = {}
        self._promised: dict[str, dict[str, float]] = {}  # by stream: published, not judged yet
        self._saved: dict[str, dict[str, float]] = {}  # likewise: judged before its outcome is read

    def dump(self) -> LedgerNotes:
        """All that was gathered, for `load`; shares its parts."""
        streams = {name: fleet.streams for name, fleet in self._fleets.items()}
        rates = {name: fleet.rate for name, fleet in self._fleets.items()}
        return LedgerNotes(streams, rates, self._promised, self._saved)

    def load(self, notes: LedgerNotes) -> None:
        """Take up what `dump` gave, instead of what is known."""
        self._fleets = {
            name: _Fleet(notes.streams[name], notes.rates[name]) for name in notes.rates
        }
        self._promised, self._saved = notes.promised, notes.saved

    def trained(self, profile: str, cost: Cost, at_ms: int) -> None:
        """Take up what a training took, whatever came of it."""
        if cost.records > 0 and cost.seconds >= 0:
            rate = self._fleets.setdefault(profile, _Fleet()).rate
            weight = 2.0 ** max(-500.0, min(500.0, (at_ms - _EPOCH_MS) / _HALF_LIFE_MS))
            rate.seconds += weight * cost.seconds
            rate.records += weight * cost.records

    def finished(self, event: TrainingFinished, promised: float) -> None:
        """Take up the outcome of a request that promised to save so much a record."""
        if promised <= 0:
            return
        if event.outcome == "rejected" and event.reason not in _SAYS_NOTHING:
            self._observe(event.profile, event.stream, 0.0)
        elif event.outcome == "published":
            saved = self._saved.get(event.stream, {}).pop(event.request_id, None)
            if saved is None:
                _remember(self._promised, event.stream, event.request_id, promised)
            else:
                self._observe(event.profile, event.stream, saved / promised)

    def judged(self, event: RetrainJudged) -> None:
        """Take up what a version saved a record, measured on live records."""
        if event.saved is None:
            return
        promised = self._promised.get(event.stream, {}).pop(event.request_id, None)
        if promised is None:
            _remember(self._saved, event.stream, event.request_id, event.saved)
        else:
            self._observe(event.profile, event.stream, event.saved / promised)

    def _observe(self, profile: str, stream: str, x: float) -> None:
        fleet = self._fleets.setdefault(profile, _Fleet())
        fleet.streams.setdefault(stream, _Ratios()).add(min(max(x, 0.0), _MOST_SAVED))
        fleet.credibility = None

    def ratio(self, stream: str, profile: str) -> float:
        """What a promise of the stream is worth, from `LEAST_RATIO` to 2; 1 where nothing is known.

        See the module's text for the formula.
        """
        fleet = self._fleets.get(profile)
        if fleet is None:
            return 1.0
        if fleet.credibility is None:
            fleet.credibility = credibility(fleet.streams)
        mean, k = fleet.credibility
        own = fleet.streams.get(stream, _Ratios())
        return max((k * mean + own.total) / (k + own.n), LEAST_RATIO)

    def seconds(self, profile: str, records: int) -> float:
        """Seconds that a training on so many records is expected to take, > 0."""
        kind = self._kinds.get(profile)
        alike = [one for one in self._fleets if self._kinds.get(one) == kind]
        for names in ([profile], alike, list(self._fleets)):
            rates = [self._fleets[name].rate for name in names if name in self._fleets]
            seen = sum(one.records for one in rates)
            if seen > 0:
                expected = records * sum(one.seconds for one in rates) / seen
                return max(expected, LEAST_SECONDS)
        return UNKNOWN_SECONDS


def _remember(
    known: dict[str, dict[str, float]], stream: str, request_id: str, value: float
) -> None:
    """Keep a value until its other half comes, of a stream's newest requests."""
    own = known.setdefault(stream, {})
    own[request_id] = value
    if len(own) > _WAITING:
        del own[next(iter(own))]


def credibility(streams: Mapping[str, _Ratios]) -> tuple[float, float]:
    """The fleet's mean x, drawn towards 1, and k: variance within streams over that between them.

    k lies between 1/4 and 100; at 100, streams do not differ by more than chance.
    """
    groups = list(streams.values())
    number = sum(one.n for one in groups)
    mean = (_PRIOR + sum(one.total for one in groups)) / (_PRIOR + number)
    free = number - len(groups)
    if free < _LEAST or len(groups) < 3:
        return mean, _PRIOR
    plain = sum(one.total for one in groups) / number
    spread = sum(one.squares - one.total**2 / one.n for one in groups)
    within = max(spread, 0.0) / free
    apart = sum(one.n * (one.total / one.n - plain) ** 2 for one in groups)
    weight = number - sum(one.n**2 for one in groups) / number
    between = (apart - (len(groups) - 1) * within) / weight
    k = within / between if between > 0 else _LARGEST
    return mean, min(max(k, 0.25), _LARGEST)
