"""Loss over time, and stream by stream, as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from driftloop.backtest.result import Curve, Result, StreamScore
from driftloop.backtest.words import losses_decimals
from driftloop.plots.figures import (
    change,
    count,
    loss_name,
    number,
    times,
)
from driftloop.plots.scales import Linear, date_text, time_ticks
from driftloop.plots.svg import hover, line, open_svg, path, text

_BARS = 26.0
_FLAT = 0.4
"""Losses that spread over less than this share of their largest are drawn without the zero."""


_LETTER = 7.5
"""Width of a letter of a line's name, at most, in user units."""


def time_plot(result: Result, *, width: int = 840, height: int = 300) -> str:
    """Mean loss over time of ``never``, ``always`` and the advised policy, and its retrains.

    Args:
        result: What to draw; without curves an empty frame.
        width: In user units; below 500 it is drawn for a phone.
        height: In user units.
    """
    small = width < 500
    advised = result.advice.policy if result.advice else ""
    curves = sorted(result.curves, key=lambda curve: _rank(curve.policy, advised))
    longest = max((len(curve.policy) for curve in curves), default=0)
    room = max(96, 20 + longest * _LETTER)  # for the names at the lines' ends
    left, right, above, below = (40, 10, 16, 60) if small else (56, room, 16, 62)
    bottom = height - below
    name = loss_name(result.loss)
    values = [value for curve in curves for value in curve.loss if value is not None]
    y = Linear(*_limits(values), bottom, above)
    last = max(result.last_ts, result.first_ts + 1)
    x = Linear(result.first_ts, last, left, width - right)
    label = f"{name} over time under {', '.join(curve.policy for curve in curves)}"
    parts = [open_svg(width, height, label, description=_ends(curves))]
    for value in y.ticks(4):
        parts.append(line(left, y(value), width - right, y(value), kind="grid"))
        parts.append(text(left - 7, y(value) + 4, f"{value:g}", anchor="end"))
    for time, told in time_ticks(result.first_ts, last, 4 if small else 8):
        parts.append(text(x(time), height - 4, told))
        parts.append(line(x(time), bottom, x(time), bottom + 4, kind="axis"))
    parts.append(line(left, bottom, width - right, bottom, kind="axis"))
    for curve in curves:
        pieces = _pieces([(x(at), loss) for at, loss in zip(curve.at, curve.loss, strict=True)])
        data = "".join(path([(at, y(loss)) for at, loss in piece]) for piece in pieces)
        parts.append(f'<path class="line {_kind(curve.policy, advised)}" d="{data}"/>')
    if not small:
        parts += _line_names(curves, advised, y, width - right + 8, (above, bottom))
    mine = next((curve for curve in curves if curve.policy == advised), None)
    if mine is not None:
        parts += _bars(mine, x, bottom + 10, _BARS)
    parts += _hovers(result, curves, advised, (above, bottom + 10 + _BARS), x)
    return "".join([*parts, "</svg>"])


def worst_streams(result: Result) -> list[tuple[StreamScore, float | None]]:
    """Streams under the advised policy with their loss under ``never``.

    The least change for the better comes first; the largest loss where ``never`` is advised (its
    loss is not given twice) or was not run. Streams
    without a loss come last.
    """
    advised = result.advice.policy if result.advice else ""
    chosen = next((score for score in result.policies if score.name == advised), None)
    if chosen is None:
        return []
    never = next((score for score in result.policies if score.name == "never"), None)
    old = {stream.stream: stream.loss for stream in never.streams} if never else {}
    if never is chosen:
        old = {}

    def rank(pair: tuple[StreamScore, float | None]) -> tuple[float, float, str]:
        stream, before = pair
        if stream.loss is None:
            return math.inf, 0.0, stream.stream
        if before is None or before == 0:
            return 0.0, -stream.loss, stream.stream
        return -(stream.loss - before) / abs(before), -stream.loss, stream.stream

    return sorted(((s, old.get(s.stream)) for s in chosen.streams), key=rank)


def streams_plot(
    result: Result, pairs: Sequence[tuple[StreamScore, float | None]], *, width: int = 840
) -> str:
    """A row a stream: its loss without retraining, and under the advised policy.

    Args:
        result: Whose streams they are.
        pairs: As `worst_streams` gives them.
        width: In user units; below 500 it is drawn for a phone.
    """
    small = width < 500
    longest = max((len(stream.stream) for stream, _ in pairs), default=4)
    most = 15 if small else 26
    row, above = 20, 22
    left = 12 + 6.4 * min(longest, most)
    right = 62 if small else 150
    height = above + row * len(pairs) + 6
    losses = [v for stream, before in pairs for v in (stream.loss, before) if v is not None]
    x = Linear(min([0.0, *losses]), max(losses, default=1.0) * 1.03 or 1.0, left, width - right)
    places = losses_decimals(result)
    label = f"{loss_name(result.loss)} of single streams, without retraining and as advised"
    parts = [open_svg(width, height, label)]
    for value in x.ticks(3 if small else 6):
        parts.append(line(x(value), above - 6, x(value), height - 4, kind="grid"))
        parts.append(text(x(value), above - 10, f"{value:g}"))
    for index, (stream, before) in enumerate(pairs):
        y = above + row * (index + 0.5)
        name = stream.stream
        shown = name if len(name) <= most else f"…{name[1 - most :]}"
        parts.append(text(left - 10, y + 4, shown, kind="name", anchor="end"))
        told = f"{name}: {number(stream.loss, places)}"
        if before is not None:
            parts.append(_never_mark(x(before), y))
            told = f"{name}: {number(before, places)} → {number(stream.loss, places)}"
        if stream.loss is not None:
            if before is not None:
                parts.append(line(x(before), y, x(stream.loss), y, kind="bar"))
            parts.append(f'<circle class="dot mine" cx="{x(stream.loss):.1f}" cy="{y:g}" r="4.5"/>')
        figures = change(stream.loss, before)
        if not small:
            figures = " · ".join(part for part in (figures, times(stream.retrains)) if part)
        parts.append(text(width - 4, y + 4, figures, kind="figure", anchor="end"))
        told += f", {times(stream.retrains)}, {stream.records:,} records"
        parts.append(hover(0, y - row / 2, width, row, told))
    return "".join([*parts, "</svg>"])


def _never_mark(x: float, y: float) -> str:
    return f'<circle class="dot never" cx="{x:.1f}" cy="{y:g}" r="4"/>'


def _rank(policy: str, advised: str) -> int:
    """Drawn in this order: the advised one above all."""
    return 2 if policy == advised else 1 if policy == "always" else 0


def _kind(policy: str, advised: str) -> str:
    return "mine" if policy == advised else policy


def _limits(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    pad = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    if low >= 0 and (high - low) >= _FLAT * high:
        return 0.0, high + pad
    return low - pad, high + pad


def _ends(curves: Sequence[Curve]) -> str:
    told = []
    for curve in curves:
        known = [value for value in curve.loss if value is not None]
        if known:
            told.append(f"{curve.policy} from {known[0]:.4g} to {known[-1]:.4g}")
    return "; ".join(told)


def _pieces(line_of: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The stretches of a line between its gaps."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, loss in line_of:
        if loss is None:
            pieces.append([])
        else:
            pieces[-1].append((at, loss))
    return [piece for piece in pieces if piece]


def _line_names(
    curves: Sequence[Curve], advised: str, y: Linear, x: float, limits: tuple[float, float]
) -> list[str]:
    """Each line's name at its end, moved apart where they would cover one another."""
    ends = []
    for curve in curves:
        known = [value for value in curve.loss if value is not None]
        if known:
            ends.append((y(sum(known[-3:]) / len(known[-3:])), curve.policy))
    ends.sort()
    heights = [height for height, _ in ends]
    for index in range(1, len(heights)):
        heights[index] = max(heights[index], heights[index - 1] + 15)
    over = max(0.0, heights[-1] - limits[1]) if heights else 0.0
    return [
        text(x, height - over + 4, name, kind=f"line-name {_kind(name, advised)}", anchor="start")
        for height, (_, name) in zip(heights, ends, strict=True)
    ]


def _bars(curve: Curve, x: Linear, top: float, height: float) -> list[str]:
    """Retrains of each interval, hanging from `top`."""
    most = max(curve.retrains, default=0)
    if not most:
        return []
    wide = _interval(curve.at, x) * 0.7
    return [
        f'<rect class="retrains" x="{x(at) - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" '
        f'height="{max(1.5, height * n / most):.1f}"/>'
        for at, n in zip(curve.at, curve.retrains, strict=True)
        if n
    ]


def _interval(at: Sequence[int], x: Linear) -> float:
    steps = [x(b) - x(a) for a, b in pairwise(at)]
    return min(steps, default=10.0)


def _hovers(
    result: Result, curves: Sequence[Curve], advised: str, span: tuple[float, float], x: Linear
) -> list[str]:
    if not curves:
        return []
    places = losses_decimals(result)
    wide = _interval(curves[0].at, x)
    parts = []
    for index, at in enumerate(curves[0].at):
        losses = ", ".join(f"{c.policy} {number(c.loss[index], places)}" for c in curves)
        told = f"around {date_text(at, result.first_ts)}: {losses}"
        for curve in curves:
            if curve.policy == advised and curve.retrains[index]:
                told += f", {count(curve.retrains[index])} retrains in all"
        parts.append(hover(x(at) - wide / 2, span[0], wide, span[1] - span[0], told))
    return parts
