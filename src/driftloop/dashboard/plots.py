"""Small plots: a line in a table's cell, bars over time, one bar of shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from driftloop.dashboard.words import NONE, moment, times
from driftloop.plots.scales import Linear, time_ticks
from driftloop.plots.svg import hover, line, open_svg, path, text
from driftloop.readmodel.trends import Bars

OUTCOME_WORDS = {
    "published": "published",
    "rejected": "refused by the gate",
    "failed": "failed",
    "superseded": "superseded",
    "waiting": "waiting",
}


STATE_TONES = {
    "monitoring": "good",
    "watched": "warn",
    "awaiting-approval": "warn",
    "silent": "warn",
    "refused": "bad",
}
OUTCOME_TONES = {
    "published": "good",
    "rejected": "warn",
    "failed": "bad",
    "superseded": "plain",
}


def runs(
    places: Sequence[float], values: Sequence[float | None]
) -> list[list[tuple[float, float]]]:
    """Points of a line, cut where a value is missing.

    >>> runs([0, 1, 2], [1.0, None, 3.0])
    [[(0, 1.0)], [(2, 3.0)]]
    """
    found: list[list[tuple[float, float]]] = [[]]
    for place, value in zip(places, values, strict=True):
        if value is None or not math.isfinite(value):
            found.append([])
        else:
            found[-1].append((place, value))
    return [one for one in found if one]


def spark(values: Sequence[float | None], reference: float | None, label: str) -> str:
    """Newest losses as a line without axes, the reference as a dashed one.

    Args:
        values: Oldest first; None where there was none.
        reference: Mean loss of the reference, or None.
        label: What it shows, for readers that do not see it.
    """
    width, height, pad = 96.0, 22.0, 3.0
    known = [one for one in values if one is not None and math.isfinite(one)]
    if len(known) < 2:
        return f'<span class="quiet" aria-label="{escape(label, quote=True)}">{NONE}</span>'
    within = [*known, *([reference] if reference is not None else [])]
    low, high = min(within), max(within)
    low, high = min(low, high * 0.6), high or 1.0
    at_y = Linear(low, high, height - pad, pad)
    at_x = Linear(0, len(values) - 1, pad, width - pad)
    parts = [
        (
            f'<svg class="spark" viewBox="0 0 {width:g} {height:g}" role="img" '
            f'aria-label="{escape(label, quote=True)}">'
        )
    ]
    if reference is not None:
        y = at_y(reference)
        parts.append(line(pad, y, width - pad, y, kind="reference"))
    for run in runs([at_x(i) for i in range(len(values))], values):
        points = [(x, at_y(value)) for x, value in run]
        parts.append(f'<path class="loss" d="{path(points)}"/>')
    if values[-1] is not None:
        parts.append(
            f'<circle class="last" cx="{at_x(len(values) - 1):.1f}" cy="{at_y(values[-1]):.1f}" '
            'r="2"/>'
        )
    return "".join([*parts, "</svg>"])


def bars(data: Bars, *, width: int, height: int, label: str) -> str:
    """Counts over time, stacked.

    Args:
        data: What to draw.
        width: In user units.
        height: In user units.
        label: What it shows, for readers that do not see it.
    """
    left, right, above, bottom = 30.0, 4.0, 8.0, height - 20.0
    totals = [sum(column) for column in zip(*data.counts.values(), strict=True)]
    top = max([1, *totals])
    begin, end = data.begins[0], data.begins[-1] + data.step
    at_x = Linear(begin, end, left, width - right)
    at_y = Linear(0, top, bottom, above)
    parts = [open_svg(width, height, label)]
    for value in at_y.ticks(3):
        if value == int(value):
            parts.append(line(left, at_y(value), width - right, at_y(value), kind="grid"))
            parts.append(text(left - 6, at_y(value) + 3.5, f"{value:g}", anchor="end"))
    parts += [text(at_x(at), height - 5, name) for at, name in time_ticks(begin, end, width // 90)]
    for i, at in enumerate(data.begins):
        x, wide = at_x(at), max(1.0, at_x(at + data.step) - at_x(at) - 1.5)
        done = 0
        for name, counts in data.counts.items():
            if counts[i]:
                y, low = at_y(done + counts[i]), at_y(done)
                parts.append(
                    f'<rect class="bar {name}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" '
                    f'height="{low - y:.1f}"/>'
                )
                done += counts[i]
        if done:
            told = ", ".join(
                f"{counts[i]} {OUTCOME_WORDS.get(name, name)}"
                for name, counts in data.counts.items()
                if counts[i]
            )
            shown = f"from {moment(at)}: {times(done, 'retrain')} ({told})"
            parts.append(hover(x, above, wide, bottom - above, shown))
    parts.append(line(left, bottom, width - right, bottom, kind="axis"))
    return "".join([*parts, "</svg>"])


def shares(counts: Mapping[str, int], tones: Mapping[str, str], label: str) -> str:
    """One bar of shares, in the order given; names stand beside it in the page.

    Args:
        counts: Of each name.
        tones: CSS class of each name's colour.
        label: What it shows, for readers that do not see it.
    """
    total = sum(counts.values())
    width, height = 300.0, 8.0
    parts = [
        (
            f'<svg class="shares" viewBox="0 0 {width:g} {height:g}" preserveAspectRatio="none" '
            f'role="img" aria-label="{escape(label, quote=True)}">'
        )
    ]
    x = 0.0
    for name, count in counts.items():
        wide = width * count / total if total else 0.0
        if wide:
            parts.append(
                f'<rect class="share {tones.get(name, "plain")}" x="{x:.2f}" y="0" '
                f'width="{max(wide - 1, 0.5):.2f}" height="{height:g}"/>'
            )
        x += wide
    return "".join([*parts, "</svg>"])
