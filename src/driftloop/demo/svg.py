"""Plots as SVG text: two lines by week, and a row a route. Colours come from the page's CSS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import numpy as np
import numpy.typing as npt

from driftloop.demo.scoreboard import RouteResult
from driftloop.plots.scales import nice_step
from driftloop.plots.svg import open_svg, path, signed_percent, text

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lines:
    """Two errors over time, and when retrains happened.

    Attributes:
        times: (weeks,) event time in ms.
        untouched: (weeks,) minutes.
        driftloop: (weeks,) minutes.
        retrains: Event times in ms.
    """

    times: Floats
    untouched: Floats
    driftloop: Floats
    retrains: Sequence[int]


def line_chart(data: Lines, *, width: int, height: int, top: float, label: str) -> str:
    """Errors by week as two lines over a shared scale from 0 to `top`; retrains as ticks below.

    Args:
        data: What to draw; an empty one draws the frame.
        width: In user units.
        height: In user units.
        top: Largest value of the scale in minutes.
        label: What the picture shows, for readers that do not see it.
    """
    left, right, above, below = 34, 8, 10, 34
    begin = float(data.times[0]) if len(data.times) else 0.0
    span = max(float(data.times[-1]) - begin, 1.0) if len(data.times) else 1.0
    bottom = height - below

    def at_x(time: float) -> float:
        return left + (time - begin) / span * (width - left - right)

    def at_y(value: float) -> float:
        return bottom - min(value / top, 1.0) * (bottom - above)

    parts = [open_svg(width, height, label)]
    step = nice_step(top)
    for value in np.arange(0, top + step / 2, step).tolist():
        if value > top:
            break
        y = at_y(value)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(text(left - 6, y + 3.5, f"{value:g}", anchor="end"))
    for time, name in _months(data.times):
        if width < 480 and name not in {"Mar", "Jun", "Sep", "Dec"}:
            continue
        parts.append(text(at_x(time), height - 6, name))
    inside = [time for time in data.retrains if begin <= time <= begin + span]
    opacity = max(0.12, min(0.9, 12 / max(len(inside), 1)))
    parts.extend(
        f'<line class="retrain" style="opacity:{opacity:.2f}" x1="{at_x(time):.1f}" '
        f'x2="{at_x(time):.1f}" y1="{bottom + 4}" y2="{bottom + 14}"/>'
        for time in inside
    )
    if len(data.times):
        upper = [(at_x(t), at_y(v)) for t, v in zip(data.times, data.untouched, strict=True)]
        lower = [(at_x(t), at_y(v)) for t, v in zip(data.times, data.driftloop, strict=True)]
        area = path(upper) + path(lower[::-1]).replace("M", "L", 1) + "Z"
        parts.append(f'<path class="saved" d="{area}"/>')
        parts.append(f'<path class="line untouched" d="{path(upper)}"/>')
        parts.append(f'<path class="line driftloop" d="{path(lower)}"/>')
        for time, old, new in zip(data.times, data.untouched, data.driftloop, strict=True):
            day = datetime.fromtimestamp(float(time) / 1000, tz=UTC)
            told = (
                f"week around {day.day} {day:%B}: untouched {old:.1f} min, Driftloop {new:.1f} min"
            )
            half = (width - left - right) / max(len(data.times), 1) / 2
            parts.append(
                f'<rect class="hover" x="{at_x(float(time)) - half:.1f}" y="{above}" '
                f'width="{2 * half:.1f}" height="{bottom - above}"><title>{told}</title></rect>'
            )
    return "".join([*parts, "</svg>"])


def dumbbells(lines: Sequence[RouteResult], *, control: str, width: int = 760) -> str:
    """A row a route, most minutes saved first: a dot untouched, a dot with Driftloop."""
    lines = sorted(
        (line for line in lines if line.flights),
        key=lambda line: line.driftloop - line.untouched,
    )
    row, left, right, above = 19, 52, 120, 24
    height = above + row * len(lines) + 8
    top = max((max(line.untouched, line.driftloop) for line in lines), default=1.0) * 1.04

    def at_x(value: float) -> float:
        return left + value / top * (width - left - right)

    parts = [open_svg(width, height, "Mean error of each route, untouched and with Driftloop")]
    step = nice_step(top, 6)
    for value in np.arange(0, top, step).tolist():
        x = at_x(value)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{above - 6}" y2="{height - 6}"/>'
        )
        unit = " min" if value == 0 else ""
        parts.append(text(x, above - 12, f"{value:g}{unit}"))
    for index, line in enumerate(lines):
        y = above + row * index + row / 2
        old, new = at_x(line.untouched), at_x(line.driftloop)
        title = (
            f"{line.route}: {line.untouched:.2f} → {line.driftloop:.2f} min, "
            f"{line.retrains} retrains, {line.flights:,} flights"
        )
        strong = " control" if line.route == control else ""
        parts.append(
            f'<g class="row{strong}"><title>{escape(title)}</title>'
            f'<rect class="hover" x="0" y="{y - row / 2:.1f}" width="{width}" height="{row}"/>'
            f'<text class="name" x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">'
            f"{line.route}</text>"
            f'<line class="bar" x1="{old:.1f}" x2="{new:.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="dot untouched" cx="{old:.1f}" cy="{y}" r="4.5"/>'
            f'<circle class="dot driftloop" cx="{new:.1f}" cy="{y}" r="4.5"/>'
            f'<text class="figure" x="{width - 4}" y="{y + 4:.1f}" text-anchor="end">'
            f"{signed_percent(line.saved)} · {_times(line.retrains)}</text></g>"
        )
    return "".join([*parts, "</svg>"])


def _times(count: int) -> str:
    return "1 retrain" if count == 1 else f"{count} retrains"


def _months(times: Floats) -> list[tuple[float, str]]:
    """First days of the months between the first and the last time, with a short name."""
    if not len(times):
        return []
    first = datetime.fromtimestamp(float(times[0]) / 1000, tz=UTC)
    months: list[tuple[float, str]] = []
    year, month = first.year, first.month
    while True:
        moment = datetime(year, month, 1, tzinfo=UTC)
        ms = moment.timestamp() * 1000
        if ms > float(times[-1]):
            return months
        if ms >= float(times[0]):
            months.append((ms, f"{moment:%b}"))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
