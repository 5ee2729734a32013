"""The frontier as a picture: loss against retrains, a curve a family, the advised policy ringed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from driftloop.backtest.frontier import Point, families, pareto, points
from driftloop.backtest.names import complexity
from driftloop.backtest.result import Result
from driftloop.backtest.words import losses_decimals
from driftloop.plots.figures import count, loss_name, number
from driftloop.plots.scales import Linear, Symlog, scale_of_counts
from driftloop.plots.svg import SHAPES, hover, line, marker, open_svg, path, text

_LETTER, _STRONG_LETTER = 6.7, 8.1  # mean width of a letter of a label, user units
_HEIGHT = 13.0
_RING = 11.0
_FAR = 0.15  # a baseline further above the losses than this share of their range is off the scale


@dataclass(slots=True)
class _Boxes:
    """Rectangles that are taken: left, top, right, bottom."""

    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def free(self, box: tuple[float, float, float, float]) -> bool:
        return all(
            box[2] <= other[0] or other[2] <= box[0] or box[3] <= other[1] or other[3] <= box[1]
            for other in self.taken
        )


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the plot stands in its picture."""

    width: float
    left: float
    right: float
    above: float
    bottom: float
    x: Linear | Symlog
    y: Linear


_TOLD = {
    "periodic": "fixed period",
    "reducible": "reducible loss",
    "reducible changed": "reducible loss, trained on what changed",
}


def styles(result: Result) -> dict[str, tuple[str, str]]:
    """CSS class and shape of each family's points; the same family has the same in every result."""
    known = ("reducible", "periodic", "mlma", "detector", "vote", "multi-criteria", "any", "all")
    found = {}
    others = 0
    for family in sorted({score.family for score in result.policies}):
        if family in {"never", "always"}:
            found[family] = ("ends", "circle" if family == "never" else "square")
        elif family in known:
            index = known.index(family)
            found[family] = (f"f{index}", SHAPES[index])
        else:
            found[family] = (f"f{len(known) + others % 2}", SHAPES[others % 6])
            others += 1
    return found


def frontier_plot(result: Result, *, width: int = 840, height: int = 440) -> str:
    """The frontier of a result; an empty frame where nothing has a loss.

    Args:
        result: What to draw.
        width: In user units; below 500 it is drawn for a phone.
        height: In user units.
    """
    shown = points(result.policies)
    frame = _frame(result, shown, width, height)
    name = loss_name(result.loss)
    best = pareto(shown)
    description = "; ".join(f"{p.name}: {count(p.retrains)} retrains, {p.loss:.4g}" for p in best)
    parts = [
        open_svg(
            width,
            height,
            f"{name} against retrains a stream of each policy",
            description=f"Policies that no other beats: {description}." if best else "",
        ),
        *_axes(frame, "loss" if width < 500 else name, height),
    ]
    if not shown:
        return "".join([*parts, "</svg>"])
    parts += [_worse_than_periods(frame, shown), *_references(frame, result, shown)]
    look = styles(result)
    boxes = _Boxes()
    marks = []
    advised = result.advice.policy if result.advice else ""
    for family, members in families(shown).items():
        kind, shape = look[family]
        places = [(frame.x(point.retrains), frame.y(point.loss)) for point in members]
        if len(places) > 1 and all(point.threshold is not None for point in members):
            kept = [(frame.x(one.retrains), frame.y(one.loss)) for one in pareto(members)]
            parts.append(f'<path class="curve {kind}" d="{path(kept)}"/>')
        for point, (x, y) in zip(members, places, strict=True):
            boxes.taken.append((x - 7, y - 7, x + 7, y + 7))
            if point.name == advised:
                marks.append(f'<circle class="advised" cx="{x:.1f}" cy="{y:.1f}" r="{_RING:g}"/>')
            place = len(marks) if point.name == advised else 0
            marks.insert(place, marker(shape, x, y, kind=f"point {kind}"))
    parts += marks
    parts += _labels(frame, shown, advised, boxes)
    digits = losses_decimals(result)
    for point in shown:
        x, y = frame.x(point.retrains), frame.y(point.loss)
        told = f"{point.name}: {name} {number(point.loss, digits)}"
        told += f", {count(point.retrains)} retrains a stream"
        parts.append(hover(x - 10, y - 10, 20, 20, told))
    return "".join([*parts, "</svg>"])


def legend(result: Result) -> str:
    """A key of shapes and colours, as HTML, simplest family first."""
    items = []
    for family, (kind, shape) in sorted(
        styles(result).items(), key=lambda item: (complexity(item[0]), item[0])
    ):
        told = _TOLD.get(family, family)
        symbol = marker(shape, 8, 8, kind=f"point {kind}")
        items.append(
            f'<span><svg class="symbol" viewBox="0 0 16 16" aria-hidden="true">{symbol}</svg>'
            f"{escape(told)}</span>"
        )
    return "\n".join(items)


def _frame(result: Result, shown: Sequence[Point], width: int, height: int) -> _Frame:
    small = width < 500
    left, right, above, bottom = (40, 12, 18, height - 42) if small else (56, 18, 18, height - 46)
    losses = [point.loss for point in shown] or [0.0, 1.0]
    low, high = min(losses), max(losses)
    baseline = result.baseline.loss if result.baseline else None
    if baseline is not None and low < baseline <= high + _FAR * (high - low):
        high = max(high, baseline)
    pad = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    x = scale_of_counts([point.retrains for point in shown], left + 14, width - right)
    y = Linear(low - pad, high + pad, bottom, above)
    return _Frame(width, left, right, above, bottom, x, y)


def _axes(frame: _Frame, name: str, height: int) -> list[str]:
    parts = []
    for value in frame.y.ticks(5):
        y = frame.y(value)
        parts.append(line(frame.left, y, frame.width - frame.right, y, kind="grid"))
        parts.append(text(frame.left - 7, y + 4, f"{value:g}", anchor="end"))
    for value in frame.x.ticks(6 if frame.width < 500 else 10):
        x = frame.x(value)
        parts.append(line(x, frame.bottom, x, frame.bottom + 5, kind="axis"))
        parts.append(text(x, frame.bottom + 18, f"{value:g}"))
    parts.append(
        line(frame.left, frame.bottom, frame.width - frame.right, frame.bottom, kind="axis")
    )
    middle = (frame.left + frame.width - frame.right) / 2
    parts.append(text(middle, height - 6, "retrains a stream \N{RIGHTWARDS ARROW}", kind="title"))
    parts.append(
        text(
            frame.left + 4,
            frame.above - 4,
            f"\N{UPWARDS ARROW} {name}",
            kind="title",
            anchor="start",
        )
    )
    return parts


def _worse_than_periods(frame: _Frame, shown: Sequence[Point]) -> str:
    """The part of the plane where a fixed period does as well."""
    periods = pareto(p for p in shown if p.family in {"periodic", "never", "always"})
    if not any(point.family == "periodic" for point in shown):
        return ""
    edge = [(frame.x(point.retrains), frame.y(point.loss)) for point in periods]
    right = frame.width - frame.right
    corners = [(edge[0][0], frame.above), *edge, (right, edge[-1][1]), (right, frame.above)]
    return f'<path class="worse" d="{path(corners)}Z"/>'


def _references(frame: _Frame, result: Result, shown: Sequence[Point]) -> list[str]:
    """Lines of ``never``, ``always`` and the trivial baseline."""
    levels = [(p.name, p.loss) for p in shown if p.name in {"never", "always"}]
    baseline = result.baseline
    note = ""
    right = frame.width - frame.right
    if baseline is not None:
        if frame.y.low <= baseline.loss <= frame.y.high:
            levels.append((baseline.name, baseline.loss))
        else:
            places = losses_decimals(result)
            side = "above" if baseline.loss > frame.y.high else "below"
            note = f"{baseline.name}: {number(baseline.loss, places)}, {side} the scale"
    parts = []
    for name, loss in levels:
        y = frame.y(loss)
        kind = "always" if name == "always" else "never" if name == "never" else "baseline"
        parts.append(line(frame.left, y, right, y, kind=f"reference {kind}"))
        under = y + 13 if kind == "always" else y - 5
        parts.append(text(right - 2, under, name, kind="reference-name", anchor="end"))
    if note:
        parts.append(text(right - 2, frame.above - 4, note, kind="reference-name", anchor="end"))
    return parts


def _labels(frame: _Frame, shown: Sequence[Point], advised: str, boxes: _Boxes) -> list[str]:
    """Names beside their points as far as there is room: the advised one first, then the frontier.

    On a phone only the advised one; the key and the table tell the rest.
    """
    best = {point.name for point in pareto(shown)}
    first = sorted(
        (point for point in shown if point.name not in {"never", "always"}),
        key=lambda point: (point.name != advised, point.name not in best, point.retrains),
    )
    # The names of the reference lines are there already.
    for loss in (p.loss for p in shown if p.name in {"never", "always"}):
        right, y = frame.width - frame.right, frame.y(loss)
        boxes.taken.append((right - 80, y - 18, right, y + 18))
    parts = []
    for point in first:
        if frame.width < 500 and point.name != advised:
            continue
        x, y = frame.x(point.retrains), frame.y(point.loss)
        far = _RING + 4 if point.name == advised else 10
        long = len(point.name) * (_STRONG_LETTER if point.name == advised else _LETTER)
        for dx, dy, anchor in (
            (far, 4, "start"),
            (-far, 4, "end"),
            (0, -far - 2, "middle"),
            (0, far + 10, "middle"),
            (far - 3, -8, "start"),
            (far - 3, 16, "start"),
            (-far + 3, 16, "end"),
        ):
            begin = x + dx - {"start": 0.0, "end": long, "middle": long / 2}[anchor]
            box = (begin, y + dy - _HEIGHT + 3, begin + long, y + dy + 3)
            inside = frame.left < box[0] and box[2] < frame.width and frame.above < box[1]
            if inside and box[3] < frame.bottom and boxes.free(box):
                boxes.taken.append(box)
                kind = "name strong" if point.name == advised else "name"
                parts.append(text(x + dx, y + dy, point.name, kind=kind, anchor=anchor))
                break
    return parts
