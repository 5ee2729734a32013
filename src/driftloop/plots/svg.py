"""Elements of an SVG as text. Colours come from the page's CSS, by class."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

MINUS = "\N{MINUS SIGN}"

SHAPES = ("circle", "square", "triangle", "diamond", "down", "plus", "cross", "ring")
"""Names of `marker`'s shapes, so that colour is never the only difference."""


def open_svg(width: float, height: float, label: str, *, description: str = "") -> str:
    """The opening tag of a picture, named for readers that do not see it.

    Args:
        width: In user units.
        height: In user units.
        label: What the picture shows.
        description: What can be seen in it, where that is more than the label says.
    """
    told = f"<desc>{escape(description)}</desc>" if description else ""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label, quote=True)}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(label)}</title>{told}"
    )


def text(x: float, y: float, content: str, *, kind: str = "tick", anchor: str = "middle") -> str:
    """A text of the CSS class `kind`; `anchor` is ``start``, ``middle`` or ``end``."""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(content)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, *, kind: str) -> str:
    """A straight line of the CSS class `kind`."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def path(points: Sequence[tuple[float, float]]) -> str:
    """Path data of a line through `points`.

    >>> path([(0, 1), (2, 3)])
    'M0.0 1.0L2.0 3.0'
    """
    return "".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))


def hover(x: float, y: float, width: float, height: float, told: str) -> str:
    """An invisible rectangle that tells `told` when pointed at."""
    return (
        f'<rect class="hover" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{escape(told)}</title></rect>"
    )


def marker(shape: str, x: float, y: float, *, kind: str, size: float = 5.0) -> str:
    """A point of a plot.

    Args:
        shape: One of `SHAPES`.
        x: Of its middle.
        y: Of its middle.
        kind: CSS class.
        size: Half its width.
    """
    if shape in {"circle", "ring"}:
        hollow = " hollow" if shape == "ring" else ""
        return f'<circle class="{kind}{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="{size:g}"/>'
    a, b = size * 0.9, size * 1.25
    if shape in {"plus", "cross"}:
        ends = ((a, a), (a, -a)) if shape == "cross" else ((b, 0.0), (0.0, b))
        data = "".join(f"M{x - dx:.1f} {y - dy:.1f}L{x + dx:.1f} {y + dy:.1f}" for dx, dy in ends)
        return f'<path class="{kind} stroked" d="{data}"/>'
    corners = {
        "square": [(-a, -a), (a, -a), (a, a), (-a, a)],
        "triangle": [(0.0, -b), (b, a), (-b, a)],
        "down": [(0.0, b), (b, -a), (-b, -a)],
        "diamond": [(0.0, -b), (b, 0.0), (0.0, b), (-b, 0.0)],
    }[shape]
    return f'<path class="{kind}" d="{path([(x + dx, y + dy) for dx, dy in corners])}Z"/>'


def signed_percent(saved: float) -> str:
    """A share of error saved as the change of the error.

    >>> signed_percent(-0.02), signed_percent(0.001)
    ('+2 %', '0 %')
    """
    change = round(-saved * 100)
    if change == 0:
        return "0 %"
    return f"{'+' if change > 0 else MINUS}{abs(change)} %"
