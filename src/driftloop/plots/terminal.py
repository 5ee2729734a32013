"""Line plots for terminals, drawn by plotext."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotext

from driftloop.plots.scales import time_ticks


class Line(NamedTuple):
    """A line of a plot.

    Attributes:
        name: For the legend.
        colour: As plotext names it.
        points: Event time in ms, and value; one that is not finite is left out.
    """

    name: str
    colour: str
    points: Sequence[tuple[float, float | None]]


class Mark(NamedTuple):
    """A vertical line: event time in ms, and its colour."""

    at: float
    colour: str


def chart(
    lines: Sequence[Line], marks: Sequence[Mark] = (), *, width: int, height: int, colour: bool
) -> str:
    """A plot over time, as text with ANSI colours or without.

    Args:
        lines: What to draw; those without any point are left out.
        marks: Moments within the lines' time.
        width: Columns.
        height: Rows, those of the axis included.
        colour: Whether to colour it.

    Returns:
        The plot, or an empty text where there is nothing to draw.
    """
    known = [(line, [(at, value) for at, value in line.points if _finite(value)]) for line in lines]
    known = [(line, points) for line, points in known if points]
    if not known:
        return ""
    begin = min(points[0][0] for _, points in known)
    end = max(points[-1][0] for _, points in known)
    figure = plotext
    figure.clear_figure()
    figure.theme("clear")
    figure.plotsize(width, height)
    for line, points in known:
        figure.plot(
            [at for at, _ in points],
            [value for _, value in points],
            marker="braille",
            color=line.colour,
            label=line.name,
        )
    for mark in marks:
        if begin <= mark.at <= end:
            figure.vline(mark.at, mark.colour)
    if begin < end:
        ticks = time_ticks(begin, end, max(2, width // 20))
        figure.xticks([at for at, _ in ticks], [name for _, name in ticks])
    else:
        figure.xticks([])
    text = str(figure.build())
    figure.clear_figure()
    return text if colour else str(figure.uncolorize(text))


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
