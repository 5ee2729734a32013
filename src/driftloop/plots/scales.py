"""Scales of a plot: where a value stands, and where ticks go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_STEPS = [
    *(_SECOND * n for n in (1, 5, 15, 30)),
    *(_MINUTE * n for n in (1, 5, 15, 30)),
    *(_HOUR * n for n in (1, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14)),
]
_MONTH = 30.44 * _DAY
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)
_WIDE = 8.0

CALENDAR_MS = 315_532_800_000
"""1 January 1980: times before it are no dates but counts, and are shown as time elapsed."""


def nice_step(top: float, parts: int = 4) -> float:
    """Distance of grid lines: 1, 2 or 5 times a power of ten, for about `parts` lines up to `top`.

    >>> nice_step(23.0), nice_step(4.1)
    (5.0, 1.0)
    """
    if not (top > 0 and math.isfinite(top)):
        return 1.0
    raw = top / parts
    power = 10.0 ** math.floor(math.log10(raw))
    return float(min((step * power for step in (1, 2, 5, 10)), key=lambda step: abs(step - raw)))


@dataclass(frozen=True, slots=True)
class Linear:
    """Equal distances.

    Attributes:
        low: Value at `begin`.
        high: Value at `end`.
        begin: Coordinate of `low`.
        end: Coordinate of `high`.
    """

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        """Coordinate of a value."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.begin + share * (self.end - self.begin)

    def ticks(self, parts: int = 4) -> list[float]:
        """Round values within the scale."""
        step = nice_step(self.high - self.low, parts)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Symlog:
    """Logarithmic, but for the part around 0, which it holds: log(1 + value / unit).

    Attributes:
        unit: Where the linear part goes over into the logarithmic one, > 0.
        high: Value at `end`; the scale begins with 0.
        begin: Coordinate of 0.
        end: Coordinate of `high`.
    """

    unit: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        """Coordinate of a value ≥ 0."""
        share = math.log1p(value / self.unit) / math.log1p(self.high / self.unit)
        return self.begin + share * (self.end - self.begin)

    def ticks(self, parts: int = 8) -> list[float]:
        """0 and 1, 2, 5 times powers of ten, at least 1 / `parts` of the scale apart."""
        apart = abs(self.end - self.begin) / parts
        found = [0.0]
        for power in range(math.floor(math.log10(self.unit)), math.ceil(math.log10(self.high)) + 1):
            for digit in (1, 2, 5):
                value = digit * 10.0**power
                near = abs(self(value) - self(found[-1])) < apart if value <= self.high else True
                if not near:
                    found.append(value)
        return found


def scale_of_counts(values: Sequence[float], begin: float, end: float) -> Linear | Symlog:
    """A scale from 0 that holds `values` ≥ 0: logarithmic where they spread widely."""
    positive = sorted(value for value in values if value > 0)
    if not positive:
        return Linear(0.0, 1.0, begin, end)
    if positive[-1] / positive[0] <= _WIDE:
        return Linear(0.0, positive[-1] * 1.05, begin, end)
    return Symlog(positive[0], positive[-1] * 1.15, begin, end)


def time_ticks(begin: float, end: float, parts: int = 6) -> list[tuple[float, str]]:
    """Times between two with a short name: dates in UTC, or time elapsed where they are no dates.

    Args:
        begin: ms.
        end: ms, not before `begin`.
        parts: About how many.
    """
    span = end - begin
    if not span > 0:
        return []
    if begin < CALENDAR_MS:
        return _elapsed(begin, end, parts)
    fitting = [step for step in _STEPS if span / step <= parts]
    if not fitting:
        months = next((n for n in _MONTHS if span / (n * _MONTH) <= parts), _MONTHS[-1])
        return _months(begin, end, months)
    step = fitting[0]
    first = math.ceil(begin / step) * step
    times = range(first, math.floor(end) + 1, step)
    return [(float(ms), _name(ms, step)) for ms in times]


def _elapsed(begin: float, end: float, parts: int) -> list[tuple[float, str]]:
    span = end - begin
    unit, name = next(
        (pair for pair in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")) if span >= 2 * pair[0]),
        (_SECOND, "s"),
    )
    ticks = Linear(0.0, span / unit, 0.0, 1.0).ticks(parts)
    return [(begin + tick * unit, f"{tick:,g} {name}") for tick in ticks]


def _name(ms: int, step: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, tz=UTC)
    if ms % _DAY == 0:
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M:%S}" if step < _MINUTE else f"{moment:%H:%M}"


def _months(begin: float, end: float, step: int) -> list[tuple[float, str]]:
    moment = datetime.fromtimestamp(begin / 1000, tz=UTC)
    month = moment.year * 12 + moment.month - 1
    month -= month % step
    found: list[tuple[float, str]] = []
    while month // 12 < 9999:
        first = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        ms = first.timestamp() * 1000
        if ms > end:
            break
        if ms >= begin:
            found.append((ms, f"{first:%Y}" if month % 12 == 0 else f"{first:%b}"))
        month += step
    return found


def date_text(ms: float, origin: float | None = None) -> str:
    """A day as ``5 March 2013``, or the time elapsed since `origin` where `ms` is no date.

    >>> date_text(1_362_441_600_000)
    '5 March 2013'
    """
    if ms < CALENDAR_MS:
        elapsed = timedelta(milliseconds=ms - (origin or 0.0))
        return f"{elapsed / timedelta(days=1):,.1f} days in"
    moment = datetime.fromtimestamp(ms / 1000, tz=UTC)
    return f"{moment.day} {moment:%B %Y}"
