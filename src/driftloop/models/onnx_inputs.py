"""Features to inputs as ONNX nodes: what `driftloop.models.Encoding` does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from driftloop.models.context import DAY_MS, LAST_MS
from driftloop.models.encoding import Encoding
from driftloop.models.onnx_nodes import Nodes

_YEAR_1970 = 719_162
"""Days from 1 January of year 1 to 1 January 1970, in the Gregorian calendar."""
_CENTURIES = 146_097
"""Days of 400 years."""


class Encoded(NamedTuple):
    """What the graph goes on with.

    Attributes:
        inputs: Name of the model's inputs, (n, width); always finite.
        levels: Name of what is added to the prediction, (n, 1); empty where nothing is.
    """

    inputs: str
    levels: str


def encoded(nodes: Nodes, encoding: Encoding) -> Encoded:
    """Inputs of a model from the graph's ``numeric``, ``categorical`` and ``time``."""
    numbers, levels = _ordered(nodes, encoding)
    mean, scale = encoding.mean[encoding.order], encoding.scale[encoding.order]
    centred = nodes.node("Sub", [numbers, nodes.constant(mean[None])])
    scaled = nodes.node("Div", [centred, nodes.constant(scale[None])])
    zero = nodes.constant(np.zeros((1, 1)))
    parts = [nodes.node("Where", [nodes.not_finite(scaled), zero, scaled])]
    for place, known in enumerate(encoding.vocabulary):
        texts = nodes.node("Gather", ["categorical", nodes.whole(place)], axis=1)  # (n,)
        parts.append(_one_hot(nodes, texts, known))
    if encoding.calendar:
        parts += _calendar(nodes, encoding.calendar)
    return Encoded(nodes.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0], levels)


def _ordered(nodes: Nodes, encoding: Encoding) -> tuple[str, str]:
    """Numbers in the order of the inputs, (n, numeric), and the newest lag where it is taken."""
    lags = len(encoding.sequence)
    if not lags:
        return "numeric", ""
    order = encoding.order
    first = nodes.node("Gather", ["numeric", nodes.whole(order[:lags])], axis=1)  # (n, lags)
    numbers, levels = _filled(nodes, first, lags), ""
    if encoding.anchored:
        newest = nodes.node("Gather", [numbers, nodes.whole([lags - 1])], axis=1)  # (n, 1)
        usual = nodes.constant([[encoding.level]])
        levels = nodes.node("Where", [nodes.not_finite(newest), usual, newest])
        numbers = nodes.node("Sub", [numbers, levels])
    if order[lags:]:
        others = nodes.node("Gather", ["numeric", nodes.whole(order[lags:])], axis=1)
        numbers = nodes.node("Concat", [numbers, others], axis=1)
    return numbers, levels


def _filled(nodes: Nodes, lags: str, count: int) -> str:
    """As `driftloop.models.context.filled`, (n, count): nan or infinite without any finite lag."""
    missing = nodes.not_finite(lags)
    places = nodes.node("Where", [missing, nodes.whole([[-1]]), nodes.whole([range(count)])])
    step = 1
    while step < count:  # the largest place so far, over twice as many lags each time
        pads, before = nodes.whole([0, step, 0, 0]), nodes.whole(-1)
        later = nodes.node("Pad", [places, pads, before])
        later = nodes.node("Slice", [later, *(nodes.whole([at]) for at in (0, count, 1))])
        places = nodes.node("Max", [places, later])
        step *= 2
    known = nodes.node("Cast", [nodes.node("Not", [missing])], to=nodes.onnx.TensorProto.FLOAT)
    oldest = nodes.node("ArgMax", [known], axis=1, keepdims=1)  # (n, 1)
    none = nodes.node("Less", [places, nodes.whole(0)])
    nearest = nodes.node("Where", [none, oldest, places])
    return nodes.node("GatherElements", [lags, nearest], axis=1)


def _one_hot(nodes: Nodes, texts: str, known: tuple[str, ...]) -> str:
    """One column a known category and a last one for every other value."""
    index = nodes.node(
        "LabelEncoder",
        [texts],
        domain="ai.onnx.ml",
        keys_strings=list(known) or [""],
        values_int64s=list(range(len(known))) or [0],
        default_int64=len(known),
    )
    depth = nodes.whole([len(known) + 1])
    values = nodes.constant([0.0, 1.0], np.float32)  # the runtime knows no doubles here
    columns = nodes.node("OneHot", [index, depth, values], axis=1)
    return nodes.node("Cast", [columns], to=nodes.onnx.TensorProto.DOUBLE)


# Calendar


def _calendar(nodes: Nodes, parts: tuple[str, ...]) -> list[str]:
    """As `driftloop.models.context.calendar_columns`: columns (n, 1), two a part."""
    column = nodes.node("Reshape", ["time", nodes.whole([-1, 1])])
    time = nodes.node("Clip", [column, nodes.whole(0), nodes.whole(LAST_MS)])
    day = nodes.node("Div", [time, nodes.whole(DAY_MS)])
    out = []
    for part in parts:
        angle = nodes.node("Mul", [_phase(nodes, part, time, day), nodes.constant(2.0 * np.pi)])
        # A cosine is a sine a quarter later: not every runtime has cosines of doubles.
        quarter = nodes.node("Add", [angle, nodes.constant(np.pi / 2)])
        out += [nodes.node("Sin", [angle]), nodes.node("Sin", [quarter])]
    return out


def _phase(nodes: Nodes, part: str, time: str, day: str) -> str:
    """Where in its cycle a time is, (n, 1) in [0, 1)."""
    if part == "hour-of-day":
        return _share(nodes, nodes.node("Mod", [time, nodes.whole(DAY_MS)]), nodes.whole(DAY_MS))
    if part == "day-of-week":
        monday = nodes.node("Add", [day, nodes.whole(3)])  # 1 January 1970 was a Thursday
        return _share(nodes, nodes.node("Mod", [monday, nodes.whole(7)]), nodes.whole(7))
    # Whole years by their mean length: the right year (from 0 on), or the one before it.
    since = nodes.node("Add", [day, nodes.whole(_YEAR_1970)])
    year = nodes.node("Mul", [since, nodes.whole(400)])
    year = nodes.node("Div", [year, nodes.whole(_CENTURIES)])
    following = _days_before(nodes, nodes.node("Add", [year, nodes.whole(1)]))
    over = nodes.node("Not", [nodes.node("Less", [since, following])])
    over = nodes.node("Cast", [over], to=nodes.onnx.TensorProto.INT64)
    year = nodes.node("Add", [year, over])
    first = _days_before(nodes, year)
    following = _days_before(nodes, nodes.node("Add", [year, nodes.whole(1)]))
    length = nodes.node("Sub", [following, first])
    return _share(nodes, nodes.node("Sub", [since, first]), length)


def _days_before(nodes: Nodes, year: str) -> str:
    """Days of all years before one that is counted from 0, (n, 1)."""
    found = nodes.node("Mul", [year, nodes.whole(365)])
    for operator, every in (("Add", 4), ("Sub", 100), ("Add", 400)):
        found = nodes.node(operator, [found, nodes.node("Div", [year, nodes.whole(every)])])
    return found


def _share(nodes: Nodes, part: str, of: str) -> str:
    """Part of a whole as a double."""
    double = nodes.onnx.TensorProto.DOUBLE
    both = [nodes.node("Cast", [value], to=double) for value in (part, of)]
    return nodes.node("Div", both)
