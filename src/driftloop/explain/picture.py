"""The loss of a stream over its windows as a picture, with the decision marked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from driftloop.explain.model import Explanation, FeatureShift, WindowPoint
from driftloop.plots.figures import decimals, loss_name, number
from driftloop.plots.scales import Linear, date_text, time_ticks
from driftloop.plots.svg import hover, line, marker, open_svg, path, text

_LABEL = 46.0
"""Room that a version's name takes, user units."""


def loss_picture(told: Explanation, *, width: int = 840, height: int = 300) -> str:
    """Loss, reference, corrected loss and trivial baseline by window; empty without windows.

    Args:
        told: The explanation.
        width: In user units; below 500 it is drawn for a phone.
        height: In user units.
    """
    points = told.windows
    if not points:
        return ""
    small = width < 500
    left, right, above, below = (40, 12, 26, 30) if small else (54, 18, 26, 32)
    bottom = height - below
    y = Linear(0.0, _top(points) * 1.06, bottom, above)
    first, last = points[0].at, max(points[-1].at, points[0].at + 1)
    x = Linear(first, last, left, width - right)
    label = f"{loss_name(told.loss)} of {told.stream} by window"
    parts = [open_svg(width, height, label, description=_description(points))]
    for value in y.ticks(4):
        parts.append(line(left, y(value), width - right, y(value), kind="grid"))
        parts.append(text(left - 7, y(value) + 4, f"{value:g}", anchor="end"))
    for time, name in time_ticks(first, last, 4 if small else 8):
        parts.append(text(x(time), height - 8, name))
        parts.append(line(x(time), bottom, x(time), bottom + 4, kind="axis"))
    parts.append(line(left, bottom, width - right, bottom, kind="axis"))
    parts += _versions(points, x, (above, bottom), last)
    for kind in ("baseline", "corrected", "reference", "loss"):
        parts += _lines(points, kind, x, y)
    parts += _decisions(points, x, y, (above, bottom))
    parts += _hovers(points, x, (above, bottom))
    return "".join([*parts, "</svg>"])


def _top(points: Sequence[WindowPoint]) -> float:
    """Top of the scale: a trivial baseline far above all losses does not flatten them."""
    most = max(max(one.loss, one.reference or 0.0) for one in points)
    trivial = max((one.baseline or 0.0 for one in points), default=0.0)
    return max(most, trivial if trivial < 2.0 * most else 0.0) or 1.0


def _description(points: Sequence[WindowPoint]) -> str:
    asked = next((one for one in points if one.asked), None)
    told = f"from {points[0].loss:.4g} to {points[-1].loss:.4g} over {len(points)} windows"
    return told if asked is None else f"{told}; {asked.loss:.4g} at the decision"


def _versions(
    points: Sequence[WindowPoint], x: Linear, limits: tuple[float, float], last: int
) -> list[str]:
    """A line where each version begins, and its name where there is room."""
    parts = []
    starts = [points[0], *(new for old, new in pairwise(points) if new.version != old.version)]
    free = float("-inf")
    for one in starts:
        at = x(one.at)
        if one is not points[0]:
            parts.append(line(at, limits[0], at, limits[1], kind="version"))
        if one.version and at >= free and x(last) - at > _LABEL / 2:
            name = one.version if len(one.version) <= 6 else f"{one.version[:5]}…"
            parts.append(text(at + 4, limits[0] - 8, name, kind="version-name", anchor="start"))
            free = at + _LABEL
    return parts


def _lines(points: Sequence[WindowPoint], kind: str, x: Linear, y: Linear) -> list[str]:
    """One line, broken where it is not known and, but for the loss, at each version."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for index, one in enumerate(points):
        value = getattr(one, kind)
        new = index > 0 and one.version != points[index - 1].version
        if value is None or value > y.high or (new and kind != "loss"):
            pieces.append([])
        if value is not None and value <= y.high:
            pieces[-1].append((x(one.at), y(value)))
    data = "".join(path(piece) for piece in pieces if len(piece) > 1)
    dots = [
        f'<circle class="dot {kind}" cx="{piece[0][0]:.1f}" cy="{piece[0][1]:.1f}" r="2"/>'
        for piece in pieces
        if len(piece) == 1
    ]
    return [f'<path class="line {kind}" d="{data}"/>', *dots]


def _decisions(
    points: Sequence[WindowPoint], x: Linear, y: Linear, limits: tuple[float, float]
) -> list[str]:
    parts = []
    for one in points:
        if one.asked:
            parts.append(line(x(one.at), limits[0], x(one.at), limits[1], kind="decision"))
            parts.append(marker("diamond", x(one.at), y(one.loss), kind="point asked", size=7))
        elif one.decision in {"retrain", "fleet", "awaiting-approval"}:
            parts.append(marker("diamond", x(one.at), y(one.loss), kind="point other", size=4.5))
    return parts


def _hovers(points: Sequence[WindowPoint], x: Linear, limits: tuple[float, float]) -> list[str]:
    places = decimals(one.loss for one in points)
    ends = [x(one.at) for one in points]
    parts = []
    for index, one in enumerate(points):
        before = ends[index - 1] if index else ends[index]
        after = ends[index + 1] if index + 1 < len(ends) else ends[index]
        begin, end = (before + ends[index]) / 2, (after + ends[index]) / 2
        told = f"{date_text(one.at, points[0].at)}: loss {number(one.loss, places)}"
        for name in ("reference", "corrected", "baseline"):
            value = getattr(one, name)
            told += "" if value is None else f", {name} {number(value, places)}"
        told += f", {one.version or 'no version'}, {one.decision}"
        parts.append(hover(begin, limits[0], max(end - begin, 2.0), limits[1] - limits[0], told))
    return parts


def shares_picture(shift: FeatureShift, *, width: int = 200, height: int = 44) -> str:
    """A column's values in the reference and in the window, as pairs of bars."""
    if not shift.after:
        return ""
    top = max(*shift.before, *shift.after) or 1.0
    step = width / len(shift.after)
    parts = [open_svg(width, height, f"{shift.name} in the reference and in the window")]
    for index, (old, new) in enumerate(zip(shift.before, shift.after, strict=True)):
        for offset, value, kind in ((0.0, old, "before"), (step * 0.45, new, "after")):
            high = value / top * (height - 2)
            parts.append(
                f'<rect class="{kind}" x="{index * step + offset + 1:.1f}" '
                f'y="{height - high:.1f}" width="{step * 0.42:.1f}" height="{high:.1f}"/>'
            )
        told = f"{shift.bins[index]}: {old:.1%} → {new:.1%}"
        parts.append(hover(index * step, 0, step, height, told))
    return "".join([*parts, "</svg>"])


def share_bar(share: float, *, width: int = 90, height: int = 10) -> str:
    """A share in [0, 1] as a bar; its figure stands beside it."""
    return (
        f'<svg class="share" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<rect class="track" width="{width}" height="{height}" rx="3"/>'
        f'<rect class="filled" width="{width * share:.1f}" height="{height}" rx="3"/></svg>'
    )
