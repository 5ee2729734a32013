"""Figures, durations and names as a reader sees them."""

from __future__ import annotations

import math
from collections.abc import Iterable

DAY_MS = 86_400_000
YEAR_MS = 365.25 * DAY_MS

_LOSSES = {
    "absolute": "mean absolute error",
    "squared": "mean squared error",
    "log_loss": "log loss",
    "zero_one": "error rate",
}
_UNITS = (
    (YEAR_MS, "year"),
    (YEAR_MS / 12, "month"),
    (DAY_MS, "day"),
    (DAY_MS / 24, "hour"),
    (60_000, "minute"),
    (1000, "second"),
)


def loss_name(loss: str) -> str:
    """What the mean of a loss is called."""
    return _LOSSES.get(loss, f"mean {loss} loss")


def decimals(values: Iterable[float | None], digits: int = 4) -> int:
    """Decimals with which the largest of `values` has so many digits.

    >>> decimals([12.08, 7.1]), decimals([0.493]), decimals([1234.5])
    (2, 4, 0)
    """
    top = max((abs(value) for value in values if value is not None), default=0.0)
    if not (top > 0 and math.isfinite(top)):
        return 2
    return max(0, min(12, digits - 1 - math.floor(math.log10(top))))


def why_undecided(low: float | None, high: float | None) -> str:
    """Why two versions count as equal though the interval of their difference leaves out 0.

    The verdict is by bets, the interval by an approximation: `driftloop.statistics.paired_bets`.

    Returns:
        A sentence that follows another one, with the space before it; empty where there is no
        interval, or 0 lies in it.

    >>> why_undecided(-1.0, 2.0), why_undecided(None, None)
    ('', '')
    """
    if low is None or high is None or low <= 0.0 <= high:
        return ""
    return (
        " The interval leaves out 0, but is an approximation for many records; the verdict is by "
        "bets that are right on few ones as well, and asks for more evidence."
    )


def number(value: float | None, places: int) -> str:
    """A figure with so many decimals; a dash for none."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    return f"{value:,.{places}f}".replace("-", "\N{MINUS SIGN}")


def count(value: float) -> str:
    """A mean number of things, with at most two digits that tell something.

    >>> count(49), count(8.24), count(0.125), count(1234.5)
    ('49', '8.2', '0.12', '1,234')
    """
    if value >= 20 or value == round(value):
        return f"{value:,.0f}"
    if value >= 1:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2g}"


def percent(share: float) -> str:
    """A share in percent, with a decimal where it would round to 100 without being so.

    >>> percent(0.954), percent(0.998)
    ('95 %', '99.8 %')
    """
    whole = round(share * 100)
    if whole == 100 and abs(share - 1) > 5e-4:
        return f"{share * 100:.1f} %"
    return f"{whole} %".replace("-", "\N{MINUS SIGN}")


def change(new: float | None, old: float | None) -> str:
    """The change of a loss against another one: ``+38 %``, or ``+0.4 %`` where it is small.

    >>> change(14.5, 10.0), change(1.004, 1.0)
    ('+45 %', '+0.4 %')
    """
    if new is None or old is None or old == 0:
        return ""
    share = 100 * (new - old) / abs(old)
    text = f"{share:+.0f} %" if abs(share) >= 9.95 else f"{share:+.1f} %"
    if text in {"+0.0 %", "-0.0 %"}:
        return "0 %"
    return text.replace("-", "\N{MINUS SIGN}")


def compared(new: float | None, old: float | None) -> str:
    """As `change`, but ``27 times`` from ten times the old value on.

    >>> compared(14.5, 10.0), compared(2700.0, 100.0)
    ('+45 %', '27 times')
    """
    if new is not None and old is not None and old > 0 and new >= 10 * old:
        return f"{new / old:,.0f} times"
    return change(new, old)


def times(value: float, thing: str = "retrain") -> str:
    """A number with its noun: ``1 retrain``, ``8.2 retrains``."""
    return f"{count(value)} {thing}{'' if value == 1 else 's'}"


def duration(ms: float) -> str:
    """An event time in words, in its largest fitting unit.

    >>> duration(86_400_000 * 400), duration(7_200_000), duration(0)
    ('13 months', '2 hours', '0 seconds')
    """
    size, name = next(
        ((size, name) for size, name in _UNITS if ms >= 1.5 * size or ms == size),
        (1000.0, "second"),
    )
    value = ms / size
    text = f"{value:.0f}" if value >= 9.95 or abs(value - round(value)) < 0.05 else f"{value:.1f}"
    return f"{text} {name}{'' if text == '1' else 's'}"


def seconds(value: float) -> str:
    """Seconds of work: ``40 ms``, ``0.4 s``, ``12 s``, ``3 min``, ``2.1 h``."""
    if value == 0:
        return "0 s"
    if value < 0.0995:
        return f"{max(1, round(1000 * value))} ms"
    if value < 9.95:
        return f"{value:.1f} s"
    if value < 600:
        return f"{value:.0f} s"
    if value < 2 * 3600:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:,.1f} h"


def listed(names: list[str], most: int = 5) -> str:
    """Names with commas, the rest counted."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
