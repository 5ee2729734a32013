"""An explanation in the terminal: what, whether it is so, why, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from driftloop.explain.model import CriterionFound, Explanation, FeatureShift, WindowPoint
from driftloop.explain.sentences import check_words
from driftloop.plots.blocks import bar, bars
from driftloop.plots.figures import loss_name, percent
from driftloop.plots.scales import date_text
from driftloop.policy.incidents import moment

HEIGHT = 7
"""Rows of the plot."""

WIDEST = 110
"""Columns of a terminal that are used; a file gets `UNTRIMMED`."""

UNTRIMMED = 160
_LOSS, _ABOVE, _ASKED = "dodger_blue1", "dark_orange", "bright_red"
_LOOK = {
    "same": ("✓", "green"),
    "from-event": ("✓", "green"),
    "different": ("✗", "bold red"),
    "partly": ("!", "yellow"),
    "not-possible": ("!", "yellow"),
}
DASH = "\N{EN DASH}"
_CRITERIA, _FEATURES = 8, 10


def print_explanation(console: Console, told: Explanation) -> None:
    """Print an explanation.

    Args:
        console: Where to; without a terminal nothing is drawn in colour or cut.
        told: The explanation.
    """
    if not console.is_terminal:  # whatever width a pipe claims to have
        console = Console(file=console.file, width=UNTRIMMED, color_system=None, highlight=False)
    width = min(console.width, WIDEST) if console.is_terminal else UNTRIMMED
    console.print(Text(told.headline, style="bold"), width=width)
    console.print(Text(f"{told.about} Decided at {moment(told.at)}.", style="dim"), width=width)
    _check(console, told, width)
    if len(told.windows) > 1:
        _section(console, f"{loss_name(told.loss)} by window", _plot(told, width - 2), width)
    if told.shift.told:
        _section(console, "What changed", _lines(told.shift.told), width)
    if told.shift.features:
        console.print(
            Padding(_features(told.shift.features), (1, 0, 0, 2), expand=False), width=width
        )
    if told.criteria:
        _section(console, "What the criteria said", _criteria(told.criteria), width)
    for title, lines in (
        ("The policy", told.policy),
        ("The fleet at the time", () if told.fleet is None else told.fleet.told),
        ("What training did", () if told.training is None else told.training.told),
        ("Was it worth it", () if told.worth is None else told.worth.told),
    ):
        if lines:
            _section(console, title, _lines(lines), width)
    if told.steps:
        _section(console, "Events", _steps(told), width)


def _section(console: Console, title: str, shown: RenderableType, width: int) -> None:
    console.print()
    console.print(Text(title[:1].upper() + title[1:], style="bold"))
    console.print(Padding(shown, (0, 0, 0, 2), expand=False), width=width)


def _lines(lines: Sequence[str]) -> RenderableType:
    return Group(*(Text(one) for one in lines))


def _check(console: Console, told: Explanation, width: int) -> None:
    sign, look = _LOOK[told.check.outcome]
    first, *rest = check_words(told)
    console.print()
    console.print(Text(f"{sign} {first}", style=look), width=width)
    for one in rest:
        warns = one.startswith("Missing") or ": recorded " in one
        console.print(
            Padding(Text(one, style="yellow" if warns else "dim"), (0, 0, 0, 2), expand=False),
            width=width,
        )


# The plot


def _plot(told: Explanation, width: int) -> RenderableType:
    """Bars of the loss; those above the reference, and the decision, are told apart."""
    room = width - 10
    points = _around(told.windows, room)
    wide = 2 if 2 * len(points) <= room else 1
    top = max(one.loss for one in points) or 1.0
    rows = bars([one.loss for one in points], top, HEIGHT)
    out = []
    for index, row in enumerate(rows):
        value = top * (HEIGHT - index) / HEIGHT
        line = Text(f"{value:>8.3g} " if index in {0, HEIGHT // 2} else " " * 9, style="dim")
        for one, block in zip(points, row, strict=True):
            line.append(block * wide, style=_colour(one))
        out.append(line)
    marks = Text(" " * 9)
    for one in points:
        mark = "▲" if one.asked else "·" if one.decision in {"retrain", "fleet"} else " "
        marks.append(mark.ljust(wide), style=_ASKED if one.asked else "dim")
    out += [marks, _versions(points, wide)]
    out.append(
        Text.assemble(
            (f"{date_text(points[0].at)} to {date_text(points[-1].at, points[0].at)}; ", "dim"),
            ("█ ", _LOSS),
            ("loss  ", "dim"),
            ("█ ", _ABOVE),
            ("above the reference  ", "dim"),
            ("▲ ", _ASKED),
            ("this decision  · other retrains", "dim"),
        )
    )
    return Group(*out)


def _around(points: Sequence[WindowPoint], room: int) -> Sequence[WindowPoint]:
    """As many windows as fit, with the decision among them."""
    if len(points) <= room:
        return points
    here = next((i for i, one in enumerate(points) if one.asked), len(points) - 1)
    first = max(0, min(here - room * 2 // 3, len(points) - room))
    return points[first : first + room]


def _colour(one: WindowPoint) -> str:
    if one.asked:
        return _ASKED
    return _ABOVE if one.reference is not None and one.loss > one.reference else _LOSS


def _versions(points: Sequence[WindowPoint], wide: int) -> Text:
    """Names of versions where they begin, as far as they fit."""
    line = [" "] * (wide * len(points) + 8)
    free, before = 0, None
    for index, one in enumerate(points):
        if one.version is not None and one.version != before:
            name, at = one.version[:6], index * wide
            if at >= free:
                line[at : at + len(name)] = name
                free = at + len(name) + 1
        before = one.version
    return Text(" " * 9 + "".join(line).rstrip(), style="dim")


# Tables


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        right = name in {"effect", "p", "distance"}
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _criteria(criteria: Sequence[CriterionFound]) -> RenderableType:
    table = _table("criterion", "effect", "p", "what it means")
    for one in criteria[:_CRITERIA]:
        name = one.criterion
        if one.about and one.about not in name:
            name += f" {one.about}"
        table.add_row(
            Text(name, style="bold red" if one.rejected else ""),
            DASH if one.effect is None else f"{one.effect:.3g}",
            DASH if one.p_value is None else f"{one.p_value:.2g}",
            Text(one.told),
        )
    more = len(criteria) - _CRITERIA
    return Group(table, Text(f"and {more} more: --json", style="dim")) if more > 0 else table


def _features(features: Sequence[FeatureShift]) -> RenderableType:
    table = _table("column", "share in the shift", "distance", "what moved")
    shown = [one for one in features if one.role == "feature"][:_FEATURES]
    for one in [*shown, *(one for one in features if one.role != "feature")]:
        share = Text(one.role, style="dim") if one.role not in {"feature", one.name} else Text()
        if one.share is not None:
            share = Text.assemble((bar(one.share, 12), _ASKED), f" {percent(one.share)}")
        table.add_row(
            Text(one.name, style="italic" if one.role != "feature" else ""),
            share,
            "" if one.distance is None else f"{one.distance:.2f}",
            Text(one.told),
        )
    return table


def _steps(told: Explanation) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for one in told.steps:
        table.add_row(
            Text(moment(one.at), style="dim"), one.type, Text(one.told), Text(one.id[:8], "dim")
        )
    return table
