"""One stream on one time axis: losses above, evidence below them, then versions and decisions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

from driftloop.dashboard.history import History
from driftloop.dashboard.plots import runs
from driftloop.dashboard.words import loss, moment, number
from driftloop.plots.scales import Linear, time_ticks
from driftloop.plots.svg import line, marker, open_svg, path, text
from driftloop.readmodel.rows import WindowRow

SHAPES = {
    "published": "circle",
    "rejected": "cross",
    "failed": "square",
    "superseded": "ring",
    "waiting": "plus",
    "rollback": "down",
    "promote": "triangle",
    "discard": "cross",
    "command": "diamond",
}

_LETTER = 6.6


@dataclass(frozen=True, slots=True)
class _Frame:
    width: float
    left: float
    right: float
    x: Linear

    @property
    def inner(self) -> float:
        return self.width - self.left - self.right


def timeline(data: History, *, width: int = 1120) -> str:
    """The plot of a stream.

    Args:
        data: What happened.
        width: In user units; below 600 it is drawn for a phone.

    Returns:
        An SVG. Its ``data-`` attributes say which times its plane spans, for zooming.
    """
    small = width < 600
    left, right = (38.0, 8.0) if small else (48.0, 12.0)
    frame = _Frame(width, left, right, Linear(*data.span, left, width - right))
    shown = data.shown()
    tall = 190.0 if small else 236.0
    evidence = any(one.accumulated is not None for one in shown)
    parts: list[str] = []
    y = 10.0
    parts += _losses(frame, data, shown, y, y + tall)
    y += tall + 14
    if evidence:
        parts += _evidence(frame, shown, y + 12, y + 78)
        y += 96
    parts += _reigns(frame, data, y)
    y += 26
    parts += _marks(frame, data, y)
    y += 44
    parts += _axis(frame, data, 10.0, y)
    height = y + 22
    parts += _pointed(frame, shown, 10.0, height - 22)
    svg = open_svg(width, height, _label(data), description=_description(data, shown))
    begin, end = data.span
    attributes = (
        f'<svg class="timeline" data-begin="{begin:.0f}" data-end="{end:.0f}" '
        f'data-left="{left:g}" data-right="{width - right:g}" data-bottom="{height - 22:g}" '
    )
    # No picture for screen readers: it holds links.
    svg = svg.replace("<svg ", attributes, 1).replace('role="img"', 'role="group"', 1)
    return "".join([svg, *parts, "</svg>"])


def _label(data: History) -> str:
    return f"Losses, evidence, versions and decisions, {moment(data.span.begin)} to " + moment(
        data.span.end
    )


def _description(data: History, shown: list[WindowRow]) -> str:
    marks = [one for one in data.marks if data.span.holds(one.at)]
    return (
        f"{len(shown)} windows, {len(data.reigns)} versions, {len(marks)} decisions and commands; "
        "the tables below hold the same."
    )


def _losses(
    frame: _Frame, data: History, shown: list[WindowRow], above: float, bottom: float
) -> list[str]:
    values = [
        value
        for one in shown
        for value in (one.loss, one.reference_loss, one.baseline_loss)
        if value is not None and math.isfinite(value)
    ]
    top = max(values, default=1.0) * 1.06 or 1.0
    at_y = Linear(0.0, top, bottom, above)
    parts = []
    for value in at_y.ticks(4):
        parts.append(
            line(frame.left, at_y(value), frame.width - frame.right, at_y(value), kind="grid")
        )
        parts.append(text(frame.left - 7, at_y(value) + 4, f"{value:g}", anchor="end"))
    parts.append(text(frame.left + 2, above + 4, "loss", kind="title", anchor="start"))
    for reign in data.reigns[1:]:
        if data.span.holds(reign.begin):
            x = frame.x(reign.begin)
            back = " back" if reign.action == "rolled-back" else ""
            parts.append(line(x, above, x, bottom, kind=f"switch{back}"))
    series: list[tuple[str, Callable[[WindowRow], float | None]]] = [
        ("baseline", lambda one: one.baseline_loss),
        ("reference", lambda one: one.reference_loss),
        ("corrected", lambda one: one.corrected_loss),
        ("loss", lambda one: one.loss),
    ]
    places = [frame.x(one.closed_at) for one in shown]
    curves = [
        one for name, pick in series for one in _curve(name, places, [pick(w) for w in shown], at_y)
    ]
    parts += _clipped(frame, above - 4, bottom + 1, "losses", curves)
    parts += [
        f'<circle class="dot loss" cx="{x:.1f}" cy="{at_y(one.loss):.1f}" r="2.2"/>'
        for x, one in zip(places, shown, strict=True)
        if one.loss is not None and len(shown) < 120 and data.span.holds(one.closed_at)
    ]
    return parts


def _curve(
    name: str, places: list[float], values: list[float | None], at_y: Linear
) -> Iterable[str]:
    for run in runs(places, values):
        points = [(x, at_y(value)) for x, value in run]
        if len(points) == 1:
            points.append((points[0][0] + 0.1, points[0][1]))
        yield f'<path class="curve {name}" d="{path(points)}"/>'


def _clipped(
    frame: _Frame, above: float, bottom: float, name: str, inside: Iterable[str]
) -> list[str]:
    """What lies outside the plane is cut off; a page holds the plot in two widths."""
    id_ = f"{name}-{frame.width:g}"
    plane = (
        f'<rect x="{frame.left:g}" y="{above:g}" width="{frame.inner:g}" '
        f'height="{bottom - above:g}"/>'
    )
    return [
        f'<clipPath id="{id_}">{plane}</clipPath><g clip-path="url(#{id_})">',
        *inside,
        "</g>",
    ]


def _evidence(frame: _Frame, shown: list[WindowRow], above: float, bottom: float) -> list[str]:
    values = [one.accumulated for one in shown if one.accumulated is not None]
    limits = [one.threshold for one in shown if one.threshold is not None]
    top = max([*values, *limits, 0.0]) * 1.1 or 1.0
    at_y = Linear(0.0, top, bottom, above)
    title = "evidence: loss that a newer model would have saved, against its threshold"
    if frame.width < 600:
        title = "evidence against its threshold"
    parts = [
        text(frame.left + 2, above - 3, title, kind="title", anchor="start"),
        line(frame.left, bottom, frame.width - frame.right, bottom, kind="grid"),
        text(frame.left - 7, at_y(top / 1.1) + 4, number(top / 1.1, 2), anchor="end"),
        text(frame.left - 7, bottom + 4, "0", anchor="end"),
    ]
    places = [frame.x(one.closed_at) for one in shown]
    inside = []
    for run in runs(places, [one.accumulated for one in shown]):
        points = [(x, at_y(max(0.0, min(value, top)))) for x, value in run]
        area = [(points[0][0], bottom), *points, (points[-1][0], bottom)]
        inside.append(f'<path class="area evidence" d="{path(area)}Z"/>')
        inside.append(f'<path class="curve evidence" d="{path(points)}"/>')
    inside += _curve("threshold", places, [one.threshold for one in shown], at_y)
    return [*parts, *_clipped(frame, above, bottom + 1, "evidence", inside)]


def _reigns(frame: _Frame, data: History, y: float) -> list[str]:
    """A band a version; its name where there is room."""
    parts = [text(frame.left - 7, y + 12, "model", anchor="end")]
    for i, one in enumerate(data.reigns):
        end = data.span.end if one.end is None else one.end
        if end < data.span.begin or one.begin > data.span.end:
            continue
        x = frame.x(max(one.begin, data.span.begin))
        wide = max(1.0, frame.x(min(end, data.span.end)) - x - 1)
        kind = "back" if one.action == "rolled-back" else f"turn{i % 2}"
        told = f"{one.version}, {one.action} on {moment(one.begin)}"
        if one.row.challenger_loss is not None:
            told += f"; held-out loss {loss(one.row.challenger_loss)}"
            if one.row.champion_loss is not None:
                told += f", {loss(one.row.champion_loss)} before"
        parts.append(
            f'<g><title>{escape(told)}</title><rect class="reign {kind}" x="{x:.1f}" y="{y:.1f}" '
            f'width="{wide:.1f}" height="17" rx="2"/>'
        )
        if wide > _LETTER * len(one.version) + 6:
            parts.append(text(x + wide / 2, y + 12.5, one.version, kind="name"))
        parts.append("</g>")
    return parts


def _marks(frame: _Frame, data: History, y: float) -> list[str]:
    """Decisions and commands, a lane each; every mark is a link."""
    rows = {"decision": y + 9, "command": y + 29}
    parts = [
        text(
            frame.left - 7,
            rows["decision"] + 4,
            "decided" if frame.width > 600 else "dec.",
            anchor="end",
        ),
        text(
            frame.left - 7,
            rows["command"] + 4,
            "ordered" if frame.width > 600 else "ord.",
            anchor="end",
        ),
        *(line(frame.left, at, frame.width - frame.right, at, kind="grid") for at in rows.values()),
    ]
    for one in data.marks:
        if data.span.holds(one.at):
            shape = marker(
                SHAPES.get(one.kind, "circle"),
                frame.x(one.at),
                rows[one.lane],
                kind=f"mark {one.kind}",
                size=4.6,
            )
            told = escape(f"{moment(one.at)}: {one.told}", quote=True)
            parts.append(
                f'<a class="mark-link" href="{escape(one.link, quote=True)}" tabindex="-1" '
                f'aria-label="{told}"><title>{told}</title>{shape}</a>'
            )
    return parts


def _axis(frame: _Frame, data: History, above: float, bottom: float) -> list[str]:
    parts = [line(frame.left, bottom, frame.width - frame.right, bottom, kind="axis")]
    for at, name in time_ticks(*data.span, 4 if frame.width < 600 else 10):
        x = frame.x(at)
        parts.append(line(x, above, x, bottom, kind="hair"))
        parts.append(text(x, bottom + 16, name))
    return parts


def _pointed(frame: _Frame, shown: list[WindowRow], above: float, bottom: float) -> list[str]:
    """Invisible strips, one a window, that tell its numbers when pointed at."""
    parts = []
    edges = [frame.x(one.closed_at) for one in shown]
    for i, one in enumerate(shown):
        begin = (edges[i - 1] + edges[i]) / 2 if i else edges[i] - 4
        end = (edges[i] + edges[i + 1]) / 2 if i + 1 < len(edges) else edges[i] + 4
        begin, end = max(begin, frame.left), min(end, frame.width - frame.right)
        if end <= begin:
            continue
        told = [
            f"window to {moment(one.closed_at)}",
            f"{one.records:,} records, {one.model_version or 'no model'}",
            f"loss {loss(one.loss)}",
        ]
        for name, value in (
            ("reference", one.reference_loss),
            ("corrected", one.corrected_loss),
            ("trivial baseline", one.baseline_loss),
        ):
            if value is not None:
                told.append(f"{name} {loss(value)}")
        if one.accumulated is not None:
            told.append(f"evidence {number(one.accumulated, 3)} of {number(one.threshold, 3)}")
        told.append(f"decision: {one.decision}")
        parts.append(
            f'<rect class="window" x="{begin:.1f}" y="{above:g}" width="{end - begin:.1f}" '
            f'height="{bottom - above - 46:.1f}" data-x="{edges[i]:.1f}" '
            f'data-told="{escape(chr(10).join(told), quote=True)}"/>'
        )
    return parts
